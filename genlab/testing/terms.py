"""Does an objective minimise what it says? Its loss and its logs against the model's own -log p(x|z) and KL."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genlab.testing.checking import Failed, Skipped, check
from genlab.testing.objective_subject import ObjectiveSubject, Pair

NAMES = ("nll", "kl")
NEAR, FAR = 1.0, 8.0  # 0.5 and 32 nats a latent: the latter is beyond what any free bits allow for
POOR, GOOD = -1.0, 2.0
NEEDS = ("any_batch_size", "eval_mode_is_steady", "leaves_its_input_alone", "leaves_its_model_alone")


def _logged(subject: ObjectiveSubject, x: Tensor) -> list[str]:
    with torch.no_grad():
        logs = subject.settled(x[0], fits=POOR, away=NEAR)(x).logs
    if not (names := [name for name in NAMES if name in logs]):
        raise Skipped("it logs neither 'nll' nor 'kl'")
    return names


def _inputs(subject: ObjectiveSubject) -> Tensor:
    """Return one x, three times, ``(3, *x_shape)``."""
    (x,) = subject.inputs(subject.case, 1)
    return x.repeat(3, *[1] * (x.ndim - 1))


def _own(pair: Pair, x: Tensor) -> dict[str, tuple[float, ...]]:
    """Return the model's own nll and KL, in nats; the KL exactly and as one sample says, for there are both."""
    q = pair.model.q(x)
    z = q.rsample()
    nll = -pair.model.p(z).log_prob(x).mean()
    sampled = (q.log_prob(z) - pair.model.prior().log_prob(z)).mean()
    return {"nll": (nll.item(),), "kl": (pair.model.kl(q, z).mean().item(), sampled.item())}


@check(*NEEDS)
def logs_are_what_their_names_say(subject: ObjectiveSubject) -> None:
    """In eval mode, a log called nll is the mean of -log p(x|z), one called kl that of KL(q || p), in nats.

    Tables and plots set those of different objectives side by side. Other names are the objective's own affair.
    """
    x = _inputs(subject)
    with torch.no_grad():
        for name in _logged(subject, x):
            pair = subject.settled(x[0], fits=POOR, away=FAR)
            own, came = _own(pair, x)[name], pair(x).logs[name].item()
            if not any(abs(came - each) <= 1e-3 * (1 + abs(each)) for each in own):
                raise Failed(
                    expected=f"{name} of {own[0]:.5g} nats, which is that of the model",
                    came=f"{came:.5g}",
                    mend="log the term itself, before weights: -log p(x|z) or log q(z|x) - log p(z), summed over "
                    "x or z, a mean over the batch; call anything else by another name",
                )


@check(*NEEDS)
def rises_with_nll_and_kl(subject: ObjectiveSubject) -> None:
    """In eval mode, the loss rises where only the model's nll rises, and where only its KL does, if it logs them.

    Their weights are the objective's own affair, but not their signs: what is minimised is minus the bound.
    """
    x = _inputs(subject)
    settings = {"nll": ((GOOD, NEAR), (POOR, NEAR)), "kl": ((GOOD, NEAR), (GOOD, FAR))}
    with torch.no_grad():
        for name in _logged(subject, x):
            pairs = [subject.settled(x[0], fits=fits, away=away) for fits, away in settings[name]]
            low, high = (_own(pair, x)[name][0] for pair in pairs)
            first, then = (pair(x).loss.item() for pair in pairs)
            if not then > first:
                raise Failed(
                    expected=f"a loss that rises where nothing but {name} does, from {low:.4g} to {high:.4g} nats",
                    came=f"{first:.5g}, then {then:.5g}",
                    mend="return minus the bound: nll + kl, each with a plus and a weight that is not zero",
                )


@check("rises_with_nll_and_kl")
def is_in_nats(subject: ObjectiveSubject) -> None:
    """In eval mode, the loss is not the model's nll + KL in bits, or divided by the number of elements of x.

    It stands beside other losses in nats per example. Any other weights are the objective's own affair.
    """
    x = _inputs(subject)
    _logged(subject, x)
    units = {"in bits": 1 / math.log(2), "per element of x": 1 / x[0].numel()}
    with torch.no_grad():
        pair = subject.settled(x[0], fits=POOR, away=FAR)
        own, loss = _own(pair, x), pair(x).loss.item()
    for unit, factor in units.items():
        for kl in own["kl"]:
            bound = own["nll"][0] + kl
            if abs(loss - factor * bound) <= 1e-3 * abs(loss):
                raise Failed(
                    expected=f"a loss in nats per example, where nll + kl is {bound:.5g}",
                    came=f"{loss:.5g}, the same {unit}",
                    mend="sum over x and z, take the mean over the batch, and keep natural logarithms",
                )
