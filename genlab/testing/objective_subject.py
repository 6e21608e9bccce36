"""An objective under test, and the small models that it is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import Parameter

from genlab.distributions import DiagonalNormal, diagonal_normal
from genlab.interfaces import Encoder, Objective, Prior, Terms
from genlab.model import LatentModel
from genlab.parts.decoders import MLPDecoder
from genlab.parts.encoders import MLPEncoder
from genlab.parts.likelihoods import BernoulliLikelihood
from genlab.seeds import seeded
from genlab.testing.module_subject import BF16, Case, ModuleSubject, uniform
from genlab.testing.subject import LATENTS, X_SHAPES, seed_all

SURE = 0.5  # standard deviations from the mean, where a posterior that leaves nothing to chance is drawn
PRIOR_MEAN, PRIOR_STD = 8.0, 0.5
X_SHAPE, LATENT = X_SHAPES[0], LATENTS[0]


class Elsewhere(Prior):
    """A normal prior that nobody can take for N(0, I)."""

    mean: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((latent,), PRIOR_MEAN))

    def forward(self) -> Distribution:
        """Return p(z)."""
        return diagonal_normal(self.mean, torch.full_like(self.mean, 2 * math.log(PRIOR_STD)))


class Certain(DiagonalNormal):
    """A normal distribution whose samples are all the same."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Return one point, as often as is asked for."""
        return (self.loc + SURE * self.std).expand((*sample_shape, *self.loc.shape))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Return that point without gradient."""
        return self.rsample(sample_shape).detach()


class Sure(Encoder):
    """An encoder whose posterior leaves nothing in a loss to chance."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Distribution:
        """Map x ``(B, *x_shape)`` to the encoder's posterior."""
        q = self.encoder(x)
        return Certain(q.mean, q.variance.log())


class Pair(nn.Module):
    """A small model, and an objective of it."""

    def __init__(self, objective: Objective, *, sure: bool = False) -> None:
        super().__init__()
        encoder: Encoder = MLPEncoder(X_SHAPE, LATENT, hidden=(16,))
        decoder = MLPDecoder(LATENT, X_SHAPE, hidden=(16,))
        self.model = LatentModel(
            Sure(encoder) if sure else encoder,
            decoder,
            Elsewhere(LATENT),
            BernoulliLikelihood(X_SHAPE),
            x_shape=X_SHAPE,
            latent=LATENT,
        )
        self.objective = objective

    @property
    def biases(self) -> Parameter:
        """The last of the encoder: the mean of each latent, then each log-variance, where its weights are 0."""
        bias = _linear(self.model.encoder)[-1].bias
        assert isinstance(bias, Parameter)
        return bias

    def forward(self, x: Tensor) -> Terms:
        """Map x ``(B, *x_shape)`` to terms."""
        found: Terms = self.objective(self.model, x)
        return found


class ObjectiveSubject(ModuleSubject):
    """An objective under test, with a small model of built-in parts."""

    kind: ClassVar[str] = "objective"

    def tried(self) -> Sequence[Case]:
        """It is given nothing."""
        return [Case(())]

    def module(self, case: Case | None = None, seed: int = 0, *, sure: bool = False) -> Pair:
        """Build it, and a model."""
        objective = self.build(seed=seed)
        with seeded(0, torch.device("cpu")):
            return Pair(objective, sure=sure)

    def inputs(self, case: Case, batch: int = 3) -> tuple[Tensor, ...]:
        """Return binary x ``(B, *x_shape)``."""
        return ((uniform(batch, *case.x_shape) > 0.5).float(),)

    def step(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the loss and the logs, 0-dim."""
        terms = module(*inputs)
        return (terms.loss, *terms.logs.values())

    def steady(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Return the loss, its noise the same every time."""
        seed_all(5)
        loss: Tensor = module(*inputs).loss
        return loss

    def halved(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Do what training in bf16 does."""
        assert isinstance(module, Pair)
        module.model.precision = BF16
        return self.step(module, *inputs)

    def loss(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Return the loss."""
        loss: Tensor = module(*inputs).loss
        return loss

    def settled(self, x: Tensor, *, fits: float, away: float, decodes: float = 0.0) -> Pair:
        """Build it in eval mode, with a sure model of one x ``(*x_shape)``, the same whatever it is given.

        fits: logits of p(x|z) in favour of x; the higher, the lower is the model's nll. away: how far the means of
        q(z|x) lie from the prior's, towards 0; the farther, the higher is its KL. Either is changed without the
        other. decodes: how much the mean of the latents adds to those logits.
        """
        pair = self.module(sure=True).eval()
        first, *_, last = _linear(pair.model.decoder)
        towards = 2 * x.flatten() - 1
        with torch.no_grad():
            for parameter in pair.model.parameters():
                parameter.zero_()
            pair.biases[:LATENT] = PRIOR_MEAN - away
            first.weight[0] = 1 / LATENT  # the first hidden unit has the mean of z, where that is well above 0
            last.weight[:, 0] = decodes * towards
            last.bias.copy_(fits * towards)
        return pair


def _linear(module: nn.Module) -> list[nn.Linear]:
    """Return a network's layers."""
    return [each for each in module.modules() if isinstance(each, nn.Linear)]
