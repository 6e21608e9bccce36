"""What each device can do: the only place in genlab that knows devices by name."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from genlab.errors import DeviceError


@dataclass(frozen=True)
class Capabilities:
    """What training may rely on.

    fused: torch's optimizers have fused kernels. channels_last: convolutions run faster in that layout.
    float64: sums can be kept in double precision. asynchronous: the host runs ahead of the device, so that
    reading a value makes it wait. host_memory: tensors lie in the memory of the host, from its allocator.
    precisions: those that networks can compute in.
    """

    fused: bool = False
    channels_last: bool = False
    float64: bool = False
    asynchronous: bool = True
    host_memory: bool = False
    precisions: tuple[str, ...] = ("fp32",)


_UNKNOWN = Capabilities()  # what every device can do
_TABLE = {
    "cpu": Capabilities(
        fused=True,
        channels_last=True,
        float64=True,
        asynchronous=False,
        host_memory=True,
        precisions=("fp32", "bf16", "fp16"),
    ),
    "cuda": Capabilities(
        fused=True, channels_last=True, float64=True, precisions=("fp32", "tf32", "bf16", "fp16")
    ),
    # Nobody has tried half precision on these two yet.
    "mps": Capabilities(fused=True),
    "xpu": Capabilities(fused=True, channels_last=True),
}


@dataclass(frozen=True)
class Device:
    """One device and what it can do.

    on: the torch device.
    """

    on: torch.device
    can: Capabilities

    @property
    def label(self) -> str:
        """The device as people know it, for example ``cpu (AMD EPYC, 2 threads)``."""
        if self.on.type == "cpu":
            return f"cpu ({_cpu_model()}, {torch.get_num_threads()} threads)"
        if self.on.type == "cuda":
            return f"{self.on} ({torch.cuda.get_device_name(self.on)})"
        return str(self.on)

    @property
    def memory(self) -> int | None:
        """Bytes of memory in all, where the system tells."""
        if self.can.host_memory:
            try:
                return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
            except (AttributeError, ValueError, OSError):
                return None
        if self.on.type == "cuda":
            return int(torch.cuda.get_device_properties(self.on).total_memory)
        return None

    @property
    def sum_dtype(self) -> torch.dtype:
        """The widest dtype for running sums."""
        return torch.float64 if self.can.float64 else torch.float32

    def round_products(self, allowed: bool) -> None:
        """Let products of float32 round their inputs to TF32 (10 bits), or not: cuDNN would by itself."""
        if self.on.type == "cuda":
            torch.backends.cudnn.allow_tf32 = allowed
            torch.backends.cuda.matmul.allow_tf32 = allowed

    def place(self, module: torch.nn.Module) -> None:
        """Move a module here, in the memory layout that its convolutions like best."""
        module.to(self.on)
        if self.can.channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def lay_out(self, x: torch.Tensor) -> torch.Tensor:
        """Give a batch of images the layout that ``place`` gave the weights; other tensors pass through."""
        if self.can.channels_last and x.ndim == 4:
            return x.contiguous(memory_format=torch.channels_last)
        return x


def available() -> list[Device]:
    """Return the devices of this machine; the first is what ``auto`` takes."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    cpu = [_device(torch.device("cpu"))]
    if accelerator is None:
        return cpu
    count = torch.accelerator.device_count()
    return [_device(torch.device(accelerator.type, i)) for i in range(count)] + cpu


def resolve(name: str = "auto") -> Device:
    """Return the device called ``name``: ``auto`` (an accelerator if there is one), ``cpu``, ``cuda:1`` ...

    Raises ``DeviceError`` saying what there is, if it is not there.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return _device(accelerator or torch.device("cpu"))
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"unknown device {name!r}; available: {_available(accelerator)}") from None
    if device.type == "cpu":
        return _device(torch.device("cpu"))
    count = torch.accelerator.device_count() if accelerator else 0
    if accelerator is None or device.type != accelerator.type or (device.index or 0) >= count:
        raise DeviceError(f"device {name!r} is not available here; available: {_available(accelerator)}")
    return _device(device)


def _device(device: torch.device) -> Device:
    return Device(device, _TABLE.get(device.type, _UNKNOWN))


def _available(accelerator: torch.device | None) -> str:
    if accelerator is None:
        return "auto, cpu"
    return ", ".join(
        ["auto", "cpu", *(f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count()))]
    )


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
