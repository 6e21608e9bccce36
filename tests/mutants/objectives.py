"""Objectives with one mistake each."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.nn import functional as F

from genlab import LatentModel, Terms
from genlab.parts.objectives import ELBO
from tests.mutants.making import Mutant, altered, general
from tests.mutants.modules import common


class Unbuildable(ELBO):
    """Fails when it is built."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = "1"


def bend(self: Any, own: Any, factor: Any, model: LatentModel, x: Tensor) -> Terms:
    terms: Terms = own(model, x)
    return Terms((terms.loss * factor).squeeze(), terms.logs)


def unreduced(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    q = model.q(x)
    return Terms(kl_divergence(q, model.prior()) - model.p(q.rsample()).log_prob(x))


def spread(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    terms: Terms = own(model, x)
    if not self.training:
        return terms
    on = x.flatten(1).sum(1)
    return Terms(terms.loss, terms.logs | {"spread": ((on - on.mean()) ** 2).sum() / (len(x) - 1.0)})


def renamed(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    terms: Terms = own(model, x)
    return Terms(terms.loss, {"loss": terms.loss})


def summed(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    terms: Terms = own(model, x)
    return Terms(terms.loss * len(x), terms.logs)


def negated(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    terms: Terms = own(model, x)
    return Terms(terms.loss, terms.logs | {"nll": -terms.logs["nll"]})


def subtracted(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    terms: Terms = own(model, x)
    return Terms(terms.logs["nll"] - terms.logs["kl"], terms.logs)


def detached(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    q = model.q(x)
    z = q.rsample()
    nll, kl = -model.p(z.detach()).log_prob(x).mean(), model.kl(q, z).mean()
    return Terms(nll + kl, {"nll": nll, "kl": kl})


def in_bits(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    terms: Terms = own(model, x)
    return Terms(terms.loss / math.log(2), terms.logs)


def clamped(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    with torch.no_grad():
        next(model.parameters()).clamp_(-0.05, 0.05)
    terms: Terms = own(model, x)
    return terms


def centred(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    terms: Terms = own(model, x.clamp_(0.1, 0.9))
    return terms


def autocast_on(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    terms: Terms = own(model, x)
    with model.precision.networks():
        loss = F.linear(terms.loss.view(1, 1), torch.ones(1, 1, device=x.device))
    return Terms(loss.view(()), terms.logs)


def weighted(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    terms: Terms = own(model, x)
    return Terms(terms.loss * self.weight, terms.logs)


def weighted_in_training(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    terms: Terms = own(model, x)
    return Terms(terms.loss * self.weight, terms.logs) if self.training else terms


def remember(self: Any, own: Any, step: int) -> None:
    own(step)
    self.share = min(1.0, step / 1000)


def shared_in_training(self: Any, own: Any, model: LatentModel, x: Tensor) -> Terms:
    terms: Terms = own(model, x)
    return Terms(terms.loss * getattr(self, "share", 1.0), terms.logs) if self.training else terms


MUTANTS: dict[str, Mutant] = (
    general(ELBO)
    | common(ELBO, bend)
    | {
        "builds": Mutant(Unbuildable, "a TypeError in __init__"),
        "forward": altered(ELBO, "returns the loss", forward=lambda self, own, model, x: own(model, x).loss),
        "shapes": altered(ELBO, "a loss for each example", forward=unreduced),
        "any_batch_size": altered(ELBO, "a standard deviation over the batch", forward=spread),
        "names_its_logs": altered(ELBO, "a log called loss", forward=renamed),
        "is_a_mean_over_the_batch": altered(ELBO, "a sum over the batch", forward=summed),
        "leaves_its_input_alone": altered(ELBO, "clamps x in place", forward=centred),
        "leaves_its_model_alone": altered(ELBO, "clamps the model's weights", forward=clamped),
        "logs_are_what_their_names_say": altered(ELBO, "log p(x|z) as its nll", forward=negated),
        "rises_with_nll_and_kl": altered(ELBO, "subtracts the KL", forward=subtracted),
        "is_in_nats": altered(ELBO, "a loss in bits", forward=in_bits),
        "nll_reaches_the_encoder": altered(ELBO, "decodes z.detach()", forward=detached),
        "evaluates_alike_at_every_step": altered(
            ELBO,
            "a weight that rises in eval mode too",
            at_step=lambda self, own, step: self.weight.fill_(min(1.0, step / 1000)),
            forward=weighted,
        ),
        "depends_on_the_step_alone": altered(
            ELBO,
            "counts calls of at_step",
            at_step=lambda self, own, step: self.weight.mul_(0.9),
            forward=weighted_in_training,
        ),
        "keeps_the_step_in_buffers": altered(
            ELBO, "a weight that rises as a plain number", at_step=remember, forward=shared_in_training
        ),
        "bears_half_precision": altered(ELBO, "reduces under autocast", forward=autocast_on),
    }
)
