"""Objectives: what training minimises, in nats per example."""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor

from genlab.interfaces import Objective, Terms
from genlab.model import LatentModel


class ELBO(Objective):
    """Negative evidence lower bound with one sample of z (Kingma & Welling 2014, equation 10).

    beta: weight of the KL term; 1 is the bound itself, other values the beta-VAE (Higgins et al. 2017).
    warmup_steps: the weight rises linearly from 0 to beta over so many training steps (Bowman et al. 2016);
        evaluations use beta.
    free_bits: nats of KL per latent that training does not charge for (Kingma et al. 2016, appendix C.8);
        each latent has its own allowance where the KL is a sum over latents, else they share one.
    """

    weight: Tensor

    def __init__(
        self,
        *,
        beta: NonNegativeFloat = 1.0,
        warmup_steps: NonNegativeInt = 0,
        free_bits: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        self.beta, self.warmup_steps, self.free_bits = beta, warmup_steps, free_bits
        self.register_buffer("weight", torch.tensor(float(beta)))

    def at_step(self, step: int) -> None:
        """Set the weight of the KL term."""
        if self.warmup_steps:
            self.weight.fill_(self.beta * min(1.0, step / self.warmup_steps))

    def forward(self, model: LatentModel, x: Tensor) -> Terms:
        """Map x ``(B, *x_shape)`` to the mean of -log p(x|z) + beta KL(q(z|x) || p(z)), nats per example."""
        q = model.q(x)
        z = q.rsample()
        nll = -model.p(z).log_prob(x).mean()
        if self.training and self.free_bits:
            each = model.kl_each(q, z).mean(0)  # (Z,), or (1,) for all of z
            allowance = self.free_bits * model.latent / len(each)
            kl, charged = each.sum(), each.clamp(min=allowance).sum()
        else:
            kl = charged = model.kl(q, z).mean()
        if self.training and self.warmup_steps:
            return Terms(nll + self.weight * charged, {"nll": nll, "kl": kl})
        return Terms(torch.add(nll, charged, alpha=self.beta), {"nll": nll, "kl": kl})
