"""LatentModel: an encoder, a decoder, a prior and a likelihood, wired into one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from genlab.contract import check_fit
from genlab.interfaces import Decoder, Encoder, Likelihood, Prior
from genlab.precision import Precision, in_float32
from genlab.seeds import seeded

if TYPE_CHECKING:
    from genlab.recipe import Recipe

CHUNK = 500  # examples at once in inference: bounds memory whatever N is


class LatentModel(nn.Module):
    """p(x, z) = p(z) p(x|z) with the amortised posterior q(z|x).

    The methods that end users call (``sample``, ``encode``, ``decode``, ``reconstruct``, ``log_prob``) run
    without gradients, in pieces that bound memory, take tensors from any device and return float32 on the
    model's own. ``q``, ``p`` and ``kl`` are what objectives are written in.

    Raises ``genlab.PartError`` where two parts do not fit together, naming them.
    """

    recipe: Recipe | None = None
    metrics: Mapping[str, float] | None = None

    def __init__(
        self, encoder: Encoder, decoder: Decoder, prior: Prior, likelihood: Likelihood,
        *, x_shape: tuple[int, ...], latent: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder, self.decoder, self.prior, self.likelihood = encoder, decoder, prior, likelihood
        self.x_shape, self.latent = x_shape, latent
        self.precision = Precision("fp32", "cpu")
        self.analytic_kl = check_fit(self)

    # -- what objectives are written in -------------------------------------------------------------------

    def q(self, x: Tensor) -> Distribution:
        """q(z|x) for x ``(B, *x_shape)``: batch ``(B,)``, event ``(Z,)``."""
        with self.precision.networks():
            q = self.encoder(x)
        return in_float32(q)

    def p(self, z: Tensor) -> Distribution:
        """p(x|z) for z ``(B, Z)``: batch ``(B,)``, event ``x_shape``."""
        with self.precision.networks():
            h = self.decoder(z)
        with self.precision.mathematics():
            return self.likelihood(h.float())

    def kl(self, q: Distribution, z: Tensor) -> Tensor:
        """KL(q || p(z)) in nats, ``(B,)``: in closed form where there is one, else estimated at z ~ q."""
        p = self.prior()
        if self.analytic_kl:
            return kl_divergence(q, p)
        return q.log_prob(z) - p.log_prob(z)

    def kl_each(self, q: Distribution, z: Tensor) -> Tensor:
        """KL(q || p(z)) in nats, latent by latent ``(B, Z)`` if it is such a sum, else ``(B, 1)``."""
        p = self.prior()
        if (
            self.analytic_kl
            and isinstance(q, Independent)
            and isinstance(p, Independent)
            and not (q.base_dist.event_shape or p.base_dist.event_shape)
        ):
            return kl_divergence(q.base_dist, p.base_dist)
        return self.kl(q, z)[:, None]

    # -- what end users call ------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the model's parameters and buffers lie; the CPU if it has none."""
        tensor = next(chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if tensor is None else tensor.device

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | None = None, draw: bool = False) -> Tensor:
        """Sample from the model: z ~ p(z), then the likelihood's mean, or a draw from it with ``draw``.

        Returns ``(n, *x_shape)`` float32. With ``seed`` the result is repeatable and torch's random state
        is left as it was.
        """
        if n < 0:
            raise ValueError(f"sample(n={n}): the number of samples cannot be negative")
        with seeded(seed, self.device):
            z = self.prior().sample((n,))
            return self._in_chunks(lambda z: _draw(self.p(z)) if draw else self.p(z).mean, z, self.x_shape)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Return the posterior means ``(N, Z)`` of x ``(N, *x_shape)``."""
        x = self._input(x, self.x_shape, "x")
        return self._in_chunks(lambda x: self.q(x).mean, x, (self.latent,))

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Return the likelihood's means ``(N, *x_shape)`` at z ``(N, Z)``."""
        z = self._input(z, (self.latent,), "z")
        return self._in_chunks(lambda z: self.p(z).mean, z, self.x_shape)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return ``decode(encode(x))``: ``(N, *x_shape)``."""
        return self.decode(self.encode(x))

    @torch.no_grad()
    def log_prob(self, x: Tensor, k: int = 100, *, seed: int | None = 0) -> Tensor:
        """Estimate log p(x) in nats, ``(N,)``, with k importance samples from q (Burda et al. 2016, eq. 8).

        A stochastic lower bound that tightens as k grows; k = 1 is the evidence lower bound.
        """
        if k < 1:
            raise ValueError(f"log_prob(k={k}): at least one importance sample is needed")
        x = self._input(x, self.x_shape, "x")

        def estimate(x: Tensor) -> Tensor:
            q, prior = self.q(x), self.prior()
            total = torch.full((len(x),), -torch.inf, device=self.device)
            for _ in range(k):
                z = q.sample()
                log_weight = self.p(z).log_prob(x) + prior.log_prob(z) - q.log_prob(z)
                total = torch.logaddexp(total, log_weight)
            return total - torch.tensor(k, device=self.device).log()

        with seeded(seed, self.device):
            return self._in_chunks(estimate, x, ())

    def _input(self, value: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} is a {type(value).__name__}; a torch.Tensor is expected")
        if tuple(value.shape[1:]) != shape or value.ndim == 0:
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}; (N, {', '.join(map(str, shape))}) is expected"
            )
        if not value.is_floating_point():
            raise ValueError(
                f"{name} is {value.dtype}; floating point is expected, as the data source prepares it "
                f"(for bytes: {name}.float() / 255)"
            )
        return value.to(self.device, torch.float32)

    def _in_chunks(self, fn: Callable[[Tensor], Tensor], value: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Apply fn to pieces of value along its first axis; pieces of shape ``(n, *shape)`` come back."""
        training = self.training
        self.eval()
        try:
            pieces = [fn(piece).float() for piece in value.split(CHUNK) if len(piece)]
        finally:
            self.train(training)
        return torch.cat(pieces) if pieces else torch.empty(0, *shape, device=self.device)


def _draw(p: Distribution) -> Tensor:
    return p.sample()
