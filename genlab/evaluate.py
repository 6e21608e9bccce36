"""Exact means of an objective's terms over a whole split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from genlab.device import Device
from genlab.interfaces import Objective, Terms
from genlab.model import LatentModel
from genlab.seeds import derive, seeded


class Mean:
    """Means of terms weighted by batch size: exact for batches of unequal size.

    Sums are kept on the device, so that the host need not wait for it; or as Python's own numbers, in double
    precision, where it would not wait.
    """

    def __init__(self, device: Device) -> None:
        self.waits, self.dtype, self.on = device.can.asynchronous, device.sum_dtype, device.on
        self.names: tuple[str, ...] = ()
        self.sums: Tensor | list[float] = []
        self.count = 0

    def add(self, terms: Terms, examples: int) -> None:
        """Add the terms of a batch of so many examples."""
        values = (terms.loss, *terms.logs.values())
        if not self.names:
            self.names = ("loss", *terms.logs)
            zeros = [0.0] * len(values)
            self.sums = torch.tensor(zeros, dtype=self.dtype, device=self.on) if self.waits else zeros
        if isinstance(self.sums, Tensor):
            self.sums.add_(torch.stack(values).detach(), alpha=examples)
        else:
            self.sums = [total + value.item() * examples for total, value in zip(self.sums, values, strict=True)]
        self.count += examples

    def restore(self, names: Sequence[str], sums: Tensor | Sequence[float], count: int) -> None:
        """Become a mean that was saved, on whatever device."""
        self.names, self.count = tuple(names), count
        values = sums.tolist() if isinstance(sums, Tensor) else list(sums)
        self.sums = torch.tensor(values, dtype=self.dtype, device=self.on) if self.waits else values

    def read(self) -> dict[str, float]:
        """Return the means; the host waits for the device here."""
        sums = self.sums.tolist() if isinstance(self.sums, Tensor) else self.sums
        return {name: total / self.count for name, total in zip(self.names, sums, strict=True)}


@torch.no_grad()
def evaluate(
    model: LatentModel, objective: Objective, batches: Iterable[Tensor], device: Device, *, seed: int = 0
) -> dict[str, float]:
    """Return the exact per-example means of an objective's terms over all batches, in nats.

    Latents are drawn from one stream per seed, the same at every call, so that two evaluations differ by the
    model and not by the draw. Training mode and random state are left as they were.
    """
    training = model.training
    model.eval()
    objective.eval()
    mean = Mean(device)
    try:
        with seeded(derive(seed, "evaluate"), device.on):
            for x in batches:
                with model.precision.mathematics():
                    terms = objective(model, x)
                mean.add(terms, len(x))
    finally:
        model.train(training)
        objective.train(training)
    return mean.read()


ACTIVE = 0.01


def active_units(means: Tensor) -> int:
    """Return how many latents are in use, given posterior means ``(N, Z)`` over a split.

    A latent is active where the variance of its posterior mean over the data exceeds 0.01 (Burda et al.
    2016, section 5.2); one that is not has collapsed onto the prior and carries nothing of x.
    """
    return int((means.var(0, unbiased=False) > ACTIVE).sum())
