"""Objectives: what training minimises, in nats per example."""

from __future__ import annotations

from pydantic import NonNegativeFloat
from torch import Tensor

from genlab.interfaces import Objective, Terms
from genlab.model import LatentModel


class ELBO(Objective):
    """Negative evidence lower bound with one sample of z (Kingma & Welling 2014, equation 10).

    beta: weight of the KL term; 1 is the bound itself, other values the beta-VAE (Higgins et al. 2017).
    """

    def __init__(self, *, beta: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, model: LatentModel, x: Tensor) -> Terms:
        """Map x ``(B, *x_shape)`` to the mean of -log p(x|z) + beta KL(q(z|x) || p(z)), nats per example."""
        q = model.q(x)
        z = q.rsample()
        nll = -model.p(z).log_prob(x)  # (B,)
        kl = model.kl(q, z)  # (B,)
        loss = (nll + self.beta * kl).mean()
        return Terms(loss, {"nll": nll.mean(), "kl": kl.mean()})
