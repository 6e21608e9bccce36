"""Notices a loss that is not finite without making the host wait for the device at every step."""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.device import Device
from genlab.errors import TrainingError

POLL = 50  # steps between looks on an asynchronous device

_NEVER = 2**62


class FiniteGuard:
    """Remembers, on the device, the first step whose loss was not finite."""

    def __init__(self, device: Device) -> None:
        self.poll = POLL if device.can.asynchronous else 1
        self.first = torch.full((), _NEVER, dtype=torch.int64, device=device.on)

    def watch(self, loss: Tensor, step: int) -> None:
        """Look at one step's loss; raise ``TrainingError`` once a bad one is known."""
        if self.poll == 1:
            if not loss.isfinite():  # the CPU has the value already: no waiting
                self.first.fill_(step)
                self.check()
            return
        self.first = torch.where(loss.isfinite(), self.first, self.first.clamp(max=step))
        if step % self.poll == 0:
            self.check()

    def check(self) -> None:
        """Raise ``TrainingError`` naming the first bad step, if there was one; the host waits here."""
        first = int(self.first)
        if first != _NEVER:
            raise TrainingError(
                f"the loss is not finite at step {first}; a smaller optimizer.lr, or data without "
                "extreme values, is the usual remedy"
            )
