"""Distributions for the step: float32, and without argument validation, which branches on tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal, register_kl
from torch.nn.functional import binary_cross_entropy_with_logits

_LOG_2_PI = math.log(2 * math.pi)


def diagonal_normal(mean: Tensor, log_var: Tensor) -> Distribution:
    """Return N(mean, diag(exp(log_var))) over the last dimension, in float32.

    mean, log_var: ``(B, Z)``; the result has batch ``(B,)`` and event ``(Z,)``.
    """
    return DiagonalNormal(mean.float(), log_var.float())


@contextmanager
def default_validation(on: bool | None = None) -> Iterator[None]:
    """Put back, after a block, whether distributions validate by default; with ``on``, set it first.

    torch.compile switches that off for the whole process, the first time that it is used.
    """
    before = Distribution._validate_args
    try:
        if on is not None:
            Distribution.set_default_validate_args(on)
        yield
    finally:
        Distribution.set_default_validate_args(before)


class DiagonalNormal(Independent[Normal]):
    """What ``Independent(Normal(mean, std), 1)`` is, in fewer operations: on small models they are the step."""

    def __init__(self, mean: Tensor, log_var: Tensor) -> None:
        self.loc, self.log_var = mean, log_var
        self._std: Tensor | None = None
        self.reinterpreted_batch_ndims = 1
        Distribution.__init__(self, mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def std(self) -> Tensor:
        """The standard deviation, computed when it is first asked for."""
        if self._std is None:
            self._std = (0.5 * self.log_var).exp()
        return self._std

    @property
    def base_dist(self) -> Normal:  # type: ignore[override]
        """The normal distribution of each element."""
        return Normal(self.loc, self.std, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean, which is the mode too."""
        return self.loc

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """mean + std * noise: a sample through which gradients flow (Kingma & Welling 2014, section 2.4)."""
        noise = torch.randn((*sample_shape, *self.loc.shape), device=self.loc.device)
        return torch.addcmul(self.loc, self.std, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density in nats, summed over the last dimension."""
        z = (value - self.loc) / self.std
        return -0.5 * (z * z + self.log_var + _LOG_2_PI).sum(-1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> DiagonalNormal:
        """Repeat it over a larger batch shape."""
        shape = torch.Size(batch_shape) + self.event_shape
        return DiagonalNormal(self.loc.expand(shape), self.log_var.expand(shape))


class BernoulliPixels(Independent[Bernoulli]):
    """What ``Independent(Bernoulli(logits=logits), dims)`` is, in fewer operations: logits ``(B, *x_shape)``."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.reinterpreted_batch_ndims = logits.ndim - 1
        Distribution.__init__(self, logits.shape[:1], logits.shape[1:], validate_args=False)

    @property
    def base_dist(self) -> Bernoulli:  # type: ignore[override]
        """The Bernoulli distribution of each pixel."""
        return Bernoulli(logits=self.logits, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """The negative cross-entropy in nats, summed over the pixels: ``(B,)``."""
        if value.shape != self.logits.shape:
            return super().log_prob(value)
        return -binary_cross_entropy_with_logits(self.logits, value, reduction="none").flatten(1).sum(1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Independent[Bernoulli]:
        """Repeat it over a larger batch shape."""
        return Independent(self.base_dist, self.reinterpreted_batch_ndims, validate_args=False).expand(batch_shape)


class StandardDiagonalNormal(DiagonalNormal):
    """N(0, I)."""


@register_kl(DiagonalNormal, StandardDiagonalNormal)  # type: ignore[untyped-decorator]
def _kl_from_standard(q: DiagonalNormal, p: StandardDiagonalNormal) -> Tensor:
    """Kingma & Welling 2014, appendix B."""
    return 0.5 * (q.loc * q.loc + q.std * q.std - q.log_var - 1).sum(-1)
