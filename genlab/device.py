"""What each device can do: the only place in genlab that knows devices by name."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import torch

from genlab.errors import DeviceError
from genlab.units import counted

T = TypeVar("T")

RunnerName = Literal["eager", "compile", "graph"]


class StepGraph(Protocol):
    """Work that is queued once and then replayed whole, without the host in between."""

    def __init__(self, device: torch.device) -> None:
        """Prepare to capture on a device."""

    def capture(self, work: Callable[[], T]) -> T:
        """Record what ``work`` queues, after a few rehearsals that do run; return what it returned.

        Its tensors are filled by every replay.
        """

    def replay(self) -> None:
        """Do the recorded work."""


class CUDAGraph:
    """A CUDA graph (torch.cuda.CUDAGraph): one launch in place of hundreds."""

    REHEARSALS = 3  # so that libraries have chosen their kernels and workspaces before anything is recorded

    def __init__(self, device: torch.device) -> None:
        self.device, self.graph = device, torch.cuda.CUDAGraph()

    def capture(self, work: Callable[[], T]) -> T:
        """Rehearse on a stream of its own, as capture demands, then record."""
        with torch.cuda.device(self.device):
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(self.REHEARSALS):
                    work()
            torch.cuda.current_stream().wait_stream(aside)
            with torch.cuda.graph(self.graph):
                return work()

    def replay(self) -> None:
        """Launch the graph."""
        self.graph.replay()


@dataclass(frozen=True)
class Capabilities:
    """What training may rely on.

    fused: torch's optimizers have fused kernels. channels_last: convolutions run faster in that layout.
    float64: sums can be kept in double precision. asynchronous: the host runs ahead of the device, so that
    reading a value makes it wait. host_memory: tensors lie in the memory of the host, from its allocator.
    precisions: those that networks can compute in. graph: captures a step and replays it.
    """

    fused: bool = False
    channels_last: bool = False
    float64: bool = False
    asynchronous: bool = True
    host_memory: bool = False
    precisions: tuple[str, ...] = ("fp32",)
    graph: type[StepGraph] | None = None


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
        fused=True,
        channels_last=True,
        float64=True,
        precisions=("fp32", "tf32", "bf16", "fp16"),
        graph=CUDAGraph,
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
            return f"cpu ({_cpu_model()}, {counted(torch.get_num_threads(), 'thread')})"
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
    def free_memory(self) -> int | None:
        """Bytes of its own memory that are free now, where the system tells."""
        if self.on.type == "cuda":
            return int(torch.cuda.mem_get_info(self.on)[0])
        return None

    @property
    def name(self) -> str:
        """What the maker calls it."""
        if self.on.type == "cpu":
            return _cpu_model()
        if self.on.type == "cuda":
            return torch.cuda.get_device_name(self.on)
        return self.on.type

    @property
    def uuid(self) -> str | None:
        """What its driver calls it, whatever its number here, where the driver can be asked."""
        if self.on.type == "cuda":
            found = getattr(torch.cuda.get_device_properties(self.on), "uuid", None)
            return f"GPU-{found}" if found else None
        return None

    @property
    def peak_memory(self) -> int | None:
        """Bytes that torch's allocator has had in use here at most, where it counts them."""
        if self.on.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.on))
        if self.on.type == "xpu":
            return int(torch.xpu.max_memory_allocated(self.on))
        return None

    @property
    def runtime(self) -> dict[str, str]:
        """Versions of the libraries that compute on it."""
        if self.on.type == "cuda":
            cudnn = torch.backends.cudnn.version()
            return {"cuda": str(torch.version.cuda), "cudnn": str(cudnn), "capability": self._capability}
        if self.on.type == "cpu":
            return {"instructions": torch.backends.cpu.get_cpu_capability()}
        return {}

    @property
    def _capability(self) -> str:
        return ".".join(map(str, torch.cuda.get_device_capability(self.on)))

    @property
    def runners(self) -> tuple[RunnerName, ...]:
        """How a step can be executed here."""
        return ("eager", "compile", "graph") if self.can.graph else ("eager", "compile")

    def synchronize(self) -> None:
        """Wait until everything that was queued is done."""
        if self.can.asynchronous:
            torch.accelerator.synchronize(self.on)

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
        return available()[0] if accelerator is None else _device(_current(accelerator))
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"unknown device {name!r}; available: {_available(accelerator)}") from None
    if device.type == "cpu":
        return _device(torch.device("cpu"))
    count = torch.accelerator.device_count() if accelerator else 0
    if accelerator is None or device.type != accelerator.type or (device.index or 0) >= count:
        raise DeviceError(f"device {name!r} is not available here; available: {_available(accelerator)}")
    return _device(device if device.index is not None else _current(device))


def _current(device: torch.device) -> torch.device:
    """Give an accelerator its index; without one it means the current device."""
    return torch.device(device.type, torch.accelerator.current_device_index())


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
