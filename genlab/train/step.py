"""One training step: batches in, one update of the parameters, and nothing that makes a device wait."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from genlab.interfaces import Terms
from genlab.train.ema import EMA
from genlab.train.parameters import Vector


@dataclass(frozen=True)
class Outcome:
    """What a step leaves on the device: its terms, and the norm of its gradient before clipping, 0-dim."""

    terms: Terms
    norm: Tensor


class TrainStep:
    """Moves the parameters once against the gradient of the mean loss over one or more batches.

    loss: maps x ``(B, *x_shape)`` to its terms. scaler: see ``Precision.scaler``. waits: the host reads values,
    which costs nothing on the CPU. clip_norm: the gradient is scaled down to this norm where it is longer
    (Pascanu et al. 2013). ema: follows the parameters.

    Several batches are as one larger batch: each counts by its examples. An update whose loss or gradient is
    not finite is withheld: by the host if it waits, else on the device by the optimizer's fused kernels.
    """

    def __init__(
        self,
        loss: Callable[[Tensor], Terms],
        optimizer: Optimizer,
        scaler: GradScaler,
        *,
        waits: bool = True,
        clip_norm: float | None = None,
        ema: EMA | None = None,
    ) -> None:
        self.loss, self.optimizer, self.scaler, self.clip_norm, self.ema = loss, optimizer, scaler, clip_norm, ema
        self.waits = waits
        self.params = [p for group in optimizer.param_groups for p in group["params"]]

    def __call__(self, batches: Sequence[Tensor]) -> Outcome:
        """Take one step on batches of shape ``(B, *x_shape)``; return what it found, detached."""
        for p in self.params:
            if isinstance(p, Vector):
                p.gradient.zero_()
            else:
                p.grad = None
        examples = sum(map(len, batches))
        terms = [self._gradient(x, len(x) / examples) for x in batches]
        mean = terms[0] if len(terms) == 1 else _mean(terms, [len(x) / examples for x in batches])
        norm = self._update(mean.loss)
        return Outcome(mean, norm)

    def _gradient(self, x: Tensor, share: float) -> Terms:
        terms = self.loss(x)
        self.scaler.scale(terms.loss if share == 1 else terms.loss * share).backward()
        return Terms(terms.loss.detach(), {name: value.detach() for name, value in terms.logs.items()})

    def _update(self, loss: Tensor) -> Tensor:
        self.scaler.unscale_(self.optimizer)
        gradients = [p.grad for p in self.params if p.grad is not None]
        norm = torch.linalg.vector_norm(gradients[0]) if len(gradients) == 1 else get_total_norm(gradients)
        if self.clip_norm is not None:
            clip_grads_with_norm_(self.params, self.clip_norm, norm)
        if self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        elif not self.waits:
            self._step_on_device(loss, norm)
        elif math.isfinite(loss.item()) and math.isfinite(norm.item()):
            self.optimizer.step()
        if self.ema is not None:
            self.ema.update()
        return norm

    def _step_on_device(self, loss: Tensor, norm: Tensor) -> None:
        """Step, and let fused kernels withhold it there, in the way that torch's own scaler tells them to."""
        self.optimizer.grad_scale = None  # type: ignore[attr-defined]
        self.optimizer.found_inf = (~(loss.isfinite() & norm.isfinite())).float()  # type: ignore[attr-defined]
        self.optimizer.step()


def _mean(terms: Sequence[Terms], shares: Sequence[float]) -> Terms:
    def mean(values: Sequence[Tensor]) -> Tensor:
        return torch.stack([value * share for value, share in zip(values, shares, strict=True)]).sum()

    return Terms(mean([t.loss for t in terms]), {n: mean([t.logs[n] for t in terms]) for n in terms[0].logs})
