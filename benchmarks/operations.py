"""Where the time of a step of the reference recipe goes, and how far its convolutions are from the machine's rate.

Every figure is a mean over the faster half of the profiled steps, so the groups add up to the step, and what
others do on the machine mostly stays out. The profiler's own cost does not: a step takes longer under it.

The floor of a convolution is the time that its multiply-adds would take at the rate of a 2048 x 2048 float32
matrix product, the fastest of those done just before and after. torch leaves products to one library and
convolutions to another, so the product is taken from both: as it is, and written as a 1 x 1 convolution.
Padding is counted as if it were image.
"""

import time
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean, median

import torch
from loops import REFERENCE, genlab_loop, prepared
from torch import Tensor, nn
from torch.autograd.profiler_util import FunctionEvent
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile, record_function

from genlab.assembly import choose_runner, new_state
from genlab.interfaces import Terms
from genlab.model import LatentModel
from genlab.train.callbacks import Callback

WARM, STEPS = 50, 50
MARK = "between two steps"
GROUPS = {  # an event belongs to the nearest of these around it, or is one
    "aten::conv2d": "convolution, forward",
    "aten::conv_transpose2d": "convolution, forward",
    "ConvolutionBackward0": "convolution, backward",
    "ReluBackward0": "ReLU, backward",
    "aten::linear": "matrix products",
    "AddmmBackward0": "matrix products",
    "aten::_foreach_add_": "optimizer",
    "aten::_fused_adam_": "optimizer",
}
CONVOLUTIONS = {
    "forward": ("aten::conv2d", "aten::conv_transpose2d"),  # shapes of input, weight
    "backward": ("aten::convolution_backward",),  # shapes of gradient, input, weight
}
OTHER, HOST = "other elementwise, sums, copies, data", "host: Python, autograd's bookkeeping, the profiler itself"


@dataclass
class Step:
    """One step's time in microseconds, and its events."""

    total: float
    events: list[FunctionEvent] = field(default_factory=list)


class Profile(Callback):
    """Profiles ``STEPS`` steps after the first ``WARM``."""

    def __init__(self) -> None:
        self.profiler = profile(activities=[ProfilerActivity.CPU], record_shapes=True)

    def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
        """Start, mark the end of a step, and stop."""
        if step == WARM:
            self.profiler.start()
        if step >= WARM:
            with record_function(MARK):
                pass
        if step == WARM + STEPS:
            self.profiler.stop()


def operations(seed: int) -> dict[str, object]:
    """Return milliseconds a step by group of operations, and each convolution beside its floor."""
    parts = prepared(REFERENCE, WARM + STEPS, seed)
    state, watch = new_state(parts), Profile()
    x = next(iter(parts.train))
    before = product_rates()
    torch.ones(2**27)  # touched and freed: the records push the step into memory that would be fresh otherwise
    genlab_loop(parts, state, choose_runner(parts, state, "eager").runner, watch)
    after = product_rates()
    rates = {name: max(before[name], after[name]) for name in before}
    steps = faster_half(watch.profiler.events())
    return {
        "steps_counted": len(steps),
        "product_gflops": {name: 2 * rate / 1e9 for name, rate in rates.items()},
        "step_ms": groups(steps),
        "convolutions": convolutions(parts.model, x, steps, max(rates.values())),
    }


@torch.no_grad()
def product_rates(repeats: int = 10) -> dict[str, float]:
    """Return multiply-adds a second of the product of two 2048 x 2048 matrices, the fastest of some."""
    a = torch.randn(2048, 2048)
    image = a.view(1, 32, 64, 2048).permute(0, 3, 1, 2)  # a row of the matrix is a pixel: channels last
    kernel = a.view(2048, 2048, 1, 1).to(memory_format=torch.channels_last)
    products = {"torch.mm": lambda: a @ a.T, "1 x 1 convolution": lambda: F.conv2d(image, kernel)}
    rates = dict.fromkeys(products, 0.0)
    for name, product in products.items():
        for _ in range(repeats):
            started = time.perf_counter()
            product()
            rates[name] = max(rates[name], 2048**3 / (time.perf_counter() - started))
    return rates


def faster_half(events: list[FunctionEvent]) -> list[Step]:
    """Sort events into steps by the marks between them; return the steps that were no slower than the median."""
    marks = sorted(event.time_range.start for event in events if event.name == MARK)
    steps = [Step(end - start) for start, end in pairwise(marks)]
    for event in events:
        number = bisect(marks, event.time_range.start) - 1
        if 0 <= number < len(steps):
            steps[number].events.append(event)
    limit = median(step.total for step in steps)
    return [step for step in steps if step.total <= limit]


def groups(steps: list[Step]) -> dict[str, float]:
    """Return each group's self time, and ``total``; milliseconds a step."""
    sums = dict.fromkeys([*GROUPS.values(), OTHER], 0.0)
    for event in (event for step in steps for event in step.events):
        if (name := group_of(event)) is not None:
            sums[name] += event.self_cpu_time_total
    total = sum(step.total for step in steps)
    sums |= {HOST: total - sum(sums.values()), "total": total}
    return {name: value / len(steps) / 1e3 for name, value in sums.items()}


def group_of(event: FunctionEvent) -> str | None:
    """Return the group of an event; None for the host's own."""
    around: FunctionEvent | None = event
    while around is not None:
        if around.name in GROUPS:
            return GROUPS[around.name]
        around = around.cpu_parent
    return OTHER if event.name.startswith("aten::") else None


def convolutions(model: LatentModel, x: Tensor, steps: list[Step], rate: float) -> list[dict[str, object]]:
    """Return each convolution's multiply-adds, milliseconds and floor, forward and backward.

    The backward pass has one product for the weights' gradient, and one for the input's where it is needed.
    """
    rows = []
    for name, layer, shape_in, shape_out in layers(model, x):
        spread = shape_in if isinstance(layer, nn.ConvTranspose2d) else shape_out
        macs = spread.numel() * layer.weight[0].numel()  # times a kernel over the other side's channels
        shapes = [list(shape_in), list(layer.weight.shape)]
        products = 1 if shape_in == x.shape else 2
        for way, first, count in (("forward", 0, 1), ("backward", 1, products)):
            times = [
                event.cpu_time_total
                for step in steps
                for event in step.events
                if event.name in CONVOLUTIONS[way] and event.input_shapes[first : first + 2] == shapes
            ]
            row = {"layer": name, "pass": way, "macs": count * macs}
            ms, floor = mean(times) / 1e3, 1e3 * count * macs / rate
            rows.append({**row, "ms": ms, "floor_ms": floor, "share": floor / ms})
    return rows


def layers(model: LatentModel, x: Tensor) -> list[tuple[str, nn.Module, torch.Size, torch.Size]]:
    """Return name, layer, and the shapes of input and output, of every convolution."""
    found = []

    def note(name: str) -> Callable[..., None]:
        return lambda layer, given, y: found.append((name, layer, given[0].shape, y.shape))

    hooks = [
        layer.register_forward_hook(note(name))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]
    model.p(model.q(x).rsample())
    for hook in hooks:
        hook.remove()
    return found


def table(found: dict[str, object]) -> str:
    """Return Markdown."""
    total = found["step_ms"]["total"]
    products = ", ".join(f"{rate:.0f} GFLOP/s ({name})" for name, rate in found["product_gflops"].items())
    lines = ["| operations | ms a step | share |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {ms:.2f} | {ms / total:.0%} |" for name, ms in found["step_ms"].items()]
    lines += [
        "",
        f"A 2048 x 2048 float32 matrix product runs at {products} here; the floor takes the larger.",
        "",
        "| convolution | pass | million multiply-adds | ms | ms at that rate | share reached |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['layer']} | {row['pass']} | {row['macs'] / 1e6:.1f} | {row['ms']:.2f} | {row['floor_ms']:.2f} "
        f"| {row['share']:.0%} |"
        for row in found["convolutions"]
    ]
    return "\n".join(lines)
