"""How a step is executed: as it is written, compiled, or recorded once and replayed.

All three compute the same; ``compile`` fuses operations, which rounds differently in the last bits.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.distributions import Distribution

from genlab.device import Device, RunnerName
from genlab.errors import DeviceError, GenlabError
from genlab.interfaces import Terms
from genlab.train.state import TrainState
from genlab.train.step import Outcome, TrainStep

Runner = Callable[[Sequence[Tensor]], Outcome]
Loss = Callable[[Tensor], Terms]
Transform = Callable[[Loss], Loss]
StepOf = Callable[[Transform | None], TrainStep]
"""Builds the step, its loss passed through a transformation if one is given."""


def build_runner(
    name: RunnerName, state: TrainState, step_of: StepOf, batches: Sequence[Tensor], device: Device
) -> Runner:
    """Return a runner that is ready to run; the state stays as it is, to the last bit.

    step_of: makes a step around a loss. batches: such as training will bring.
    Raises ``DeviceError`` if the device or machine cannot do it.
    """
    if name == "eager":
        return step_of(None)
    if name == "compile":
        return compiled(state, step_of, batches)
    return graphed(state, step_of(None), batches, device)


def compiled(state: TrainState, step_of: StepOf, batches: Sequence[Tensor]) -> Runner:
    """Compile the whole loss, forward and backward (torch.compile); draws are those of the eager step."""
    shape = [x.shape for x in batches]
    options: dict[str, Any] = {"fallback_random": True}
    eager = step_of(None)
    Distribution.set_default_validate_args(False)  # as torch.compile does itself, but once in a process
    step = step_of(lambda loss: torch.compile(loss, options=options, dynamic=False))

    def run(group: Sequence[Tensor]) -> Outcome:
        # A smaller batch at the end of an epoch is not worth a compilation of its own.
        return (step if [x.shape for x in group] == shape else eager)(group)

    with state.unchanged():
        try:
            run(batches)
        except GenlabError:
            raise
        except Exception as error:
            if state.device.can.host_memory and not shutil.which(os.environ.get("CXX", "g++")):
                raise DeviceError(
                    "runner 'compile' needs a C++ compiler, and there is no g++ here: install one, name it in "
                    "CXX, or use --runner eager"
                ) from None
            reason = str(error).strip().partition("\n")[0]
            raise DeviceError(f"this model cannot be compiled ({reason}); use --runner eager") from error
    return run


@contextmanager
def finished(scaler: GradScaler) -> Iterator[None]:
    """Bring a scaler to the end of the step that a block which raised may have left it in."""
    try:
        yield
    except BaseException:
        with suppress(AssertionError, RuntimeError):  # there was no such step, or the device is past helping
            scaler.update()
        raise


def graphed(state: TrainState, step: TrainStep, batches: Sequence[Tensor], device: Device) -> Runner:
    """Record one whole step (forward, backward, update, moving average) and replay it for every other one."""
    if device.can.graph is None:
        raise DeviceError(
            f"runner 'graph' is not available on {device.on.type}; available: {', '.join(device.runners)}"
        )
    if not getattr(state.optimizer, "graphable", False):
        raise DeviceError(
            f"runner 'graph' cannot record optimizer {type(state.optimizer).__name__}, which does not say that it "
            "is graphable; use --runner eager or compile"
        )
    for group in state.optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = True
        if not isinstance(group["lr"], Tensor):
            group["lr"] = torch.tensor(float(group["lr"]), device=device.on)
    state.optimizer._warned_capturable_if_run_uncaptured = True  # rehearsals are meant
    inputs = [x.clone(memory_format=torch.preserve_format) for x in batches]
    graph = device.can.graph(device.on)
    try:
        with state.unchanged(), finished(state.scaler):
            outcome = graph.capture(lambda: step(inputs))
    except GenlabError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise DeviceError(f"this model's step cannot be recorded ({reason}); use --runner eager") from error

    def run(group: Sequence[Tensor]) -> Outcome:
        if [x.shape for x in group] != [x.shape for x in inputs]:
            return step(group)  # the smaller batch at the end of an epoch
        for place, x in zip(inputs, group, strict=True):
            place.copy_(x)
        graph.replay()
        return outcome

    return run
