"""Notices a loss or gradient that is not finite without making the host wait for the device at every step."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.amp import GradScaler

from genlab.device import Device
from genlab.errors import TrainingError
from genlab.train.step import Outcome

POLL = 50  # steps between looks on an asynchronous device

SMALLEST_SCALE = 2.0**-20  # of fp16 gradients; what overflows at this one is no overflow

_NEVER = 2**62


class FiniteGuard:
    """Remembers, on the device, the first step whose loss, or whose gradient, was not finite.

    scaler: if it scales (fp16), gradients may overflow: it withholds those steps and halves its scale.
    """

    def __init__(self, device: Device, scaler: GradScaler) -> None:
        self.waits = not device.can.asynchronous  # the CPU has the values already
        self.scaler, self.scaled = scaler, scaler.is_enabled()
        self.first = torch.full((2,), _NEVER, dtype=torch.int64, device=device.on)  # of the loss, of the gradient

    def watch(self, outcome: Outcome, step: int) -> None:
        """Look at one step; raise ``TrainingError`` once a bad one is known."""
        loss, norm = outcome.terms.loss, outcome.norm
        if not self.waits:
            bad = ~self._values(loss, norm).isfinite()
            self.first = torch.where(bad, self.first.clamp(max=step), self.first)
        elif not math.isfinite(loss.item()):
            raise _not_finite("the loss", step)
        elif not self.scaled and not math.isfinite(norm.item()):
            raise _not_finite("the gradient", step)
        if step % POLL == 0:
            self.check(step)

    def check(self, step: int) -> None:
        """Raise ``TrainingError`` naming the first bad step, if there was one; the host waits here."""
        loss, gradient = self.first.tolist()
        if min(loss, gradient) != _NEVER:
            raise _not_finite("the loss" if loss <= gradient else "the gradient", min(loss, gradient))
        if self.scaled and self.scaler.get_scale() < SMALLEST_SCALE:
            raise _not_finite("the gradient, however small its scale,", step)

    def _values(self, loss: Tensor, norm: Tensor) -> Tensor:
        return torch.stack((loss, torch.zeros_like(norm) if self.scaled else norm))


def _not_finite(what: str, step: int) -> TrainingError:
    return TrainingError(
        f"{what} is not finite at step {step}, whose update was withheld; a smaller optimizer.lr, "
        "train.clip_norm, or data without extreme values, is the usual remedy"
    )
