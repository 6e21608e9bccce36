"""What a device can do at most, and what a call asks of it (Williams, Waterman & Patterson 2009, "Roofline").

Peaks are measured where the recipe is, in its precision and with its threads: the product of two square matrices
for arithmetic, the sum of two long vectors for memory. What a call does is counted on one eager pass: the
floating-point operations of products and convolutions, and the bytes of every operator's tensors, each counted
where it is read or written. A compiled call fuses operators and moves less, so its share of the roof can exceed
1; caches help small models to the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from genlab.bench.result import Peaks, Roofline
from genlab.bench.tasks import Counts
from genlab.device import Device
from genlab.prepare import Prepared

HOST_SIZE, DEVICE_SIZE = 1024, 8192  # rows of the matrices
HOST_ELEMENTS, DEVICE_ELEMENTS = 2**24, 2**28  # of the vectors: beyond most caches
REPEATS = 12
VIEWS = frozenset({"view", "_unsafe_view", "t", "transpose", "permute", "expand", "as_strided", "detach", "select",
                   "slice", "unsqueeze", "squeeze", "alias", "split", "chunk"})  # fmt: skip


class _Bytes(TorchDispatchMode):
    """Counts the bytes of the tensors that operators are given and return; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ not in VIEWS:
            leaves = [*tree_leaves((args, kwargs)), *tree_leaves(result)]
            self.bytes += sum(leaf.numel() * leaf.element_size() for leaf in leaves if isinstance(leaf, Tensor))
        return result


def counts_of(call: Callable[[], object]) -> Counts:
    """Return what one eager call does."""
    flops, moved = FlopCounterMode(display=False), _Bytes()
    with flops:
        call()
    with moved:
        call()
    return Counts(flops=float(flops.get_total_flops()), bytes=float(moved.bytes))


def peaks_of(prepared: Prepared) -> Peaks:
    """Measure what the device of a recipe reaches in its precision."""
    device, precision = prepared.device, prepared.model.precision
    size = HOST_SIZE if device.can.host_memory else DEVICE_SIZE
    count = HOST_ELEMENTS if device.can.host_memory else DEVICE_ELEMENTS
    with torch.no_grad(), precision.networks():
        a = torch.randn(size, size, device=device.on)
        a = a.to((a @ a).dtype)  # the one that products have here
        # torch leaves products to one library and convolutions to another: the same product, asked of both.
        image = a.view(1, 32, size // 32, size).permute(0, 3, 1, 2)  # a row is a pixel, channels last
        kernel = a.view(size, size, 1, 1).to(memory_format=torch.channels_last)
        product = min(_fastest(lambda: a @ a, device), _fastest(lambda: conv2d(image, kernel), device))
    with torch.no_grad():
        x, y = torch.ones(count, device=device.on), torch.ones(count, device=device.on)
        total = torch.empty_like(x)
        addition = _fastest(lambda: torch.add(x, y, out=total), device)
    return Peaks(
        device=str(device.on),
        precision=precision.name,
        flops=2 * size**3 / product,
        size=size,
        bytes=3 * x.nbytes / addition,
    )


def placed(counts: Counts, seconds: float, peaks: Peaks) -> Roofline:
    """Return where a call that takes so many seconds stands below its roof."""
    reached = counts.flops / seconds
    by_memory = counts.flops / counts.bytes * peaks.bytes if counts.bytes else float("inf")
    roof = min(peaks.flops, by_memory)
    return Roofline(
        flops_per_call=counts.flops,
        bytes_per_call=counts.bytes,
        flops=reached,
        share_of_product=reached / peaks.flops,
        share_of_roof=reached / roof if roof else 0.0,
        bound="memory" if by_memory < peaks.flops else "products",
    )


def _fastest(call: Callable[[], object], device: Device) -> float:
    best = float("inf")
    for _ in range(REPEATS):
        device.synchronize()
        began = time.perf_counter()
        call()
        device.synchronize()
        best = min(best, time.perf_counter() - began)
    return best
