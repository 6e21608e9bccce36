"""Does an objective minimise what it says? Its loss and its logs against the model's own -log p(x|z) and KL."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genlab.testing.checking import Failed, Skipped, check
from genlab.testing.objective_subject import LATENT, ObjectiveSubject, Pair

NEAR, FAR = 1.0, 8.0  # 3 and 129 nats a latent, the latter beyond what any free bits allow for; FAR is at N(0, I)
POOR, GOOD = -1.0, 2.0
DECODES = 0.1
ALIKE = 1e-3  # relative
STILL = 1e-5  # relative
LATE = (1_000_000, 1_234_567)  # warm-ups are over; a weight that comes and goes is not 0 at both
MODES = {"eval mode": (None,), "training": LATE}
NEEDS = ("any_batch_size", "eval_mode_is_steady", "leaves_its_input_alone", "leaves_its_model_alone")


def _inputs(subject: ObjectiveSubject) -> Tensor:
    """Return one x, three times, ``(3, *x_shape)``."""
    (x,) = subject.inputs(subject.case, 1)
    return x.repeat(3, *[1] * (x.ndim - 1))


def _own(pair: Pair, x: Tensor) -> dict[str, tuple[Tensor, ...]]:
    """Return the model's own nll and KL, in nats; the KL exactly and as one sample says, for there are both."""
    q = pair.model.q(x)
    z = q.rsample()
    nll = -pair.model.p(z).log_prob(x).mean()
    sampled = (q.log_prob(z) - pair.model.prior().log_prob(z)).mean()
    return {"nll": (nll,), "kl": (pair.model.kl(q, z).mean(), sampled)}


def _at(pair: Pair, step: int | None) -> Pair:
    """Put it in training at a step; in eval mode if there is none."""
    if step is not None:
        pair.train().objective.at_step(step)
    return pair


@check(*NEEDS)
@torch.no_grad()
def logs_are_what_their_names_say(subject: ObjectiveSubject) -> None:
    """In eval mode, a log called nll is the mean of -log p(x|z), one called kl that of KL(q || p), in nats.

    p is the model's prior, whichever that is. Tables and plots set those of different objectives side by side.
    Other names are the objective's own affair.
    """
    x = _inputs(subject)
    pair = subject.settled(x[0], fits=POOR, away=FAR)
    logs = pair(x).logs
    if not (names := [name for name in ("nll", "kl") if name in logs]):
        raise Skipped("it logs neither 'nll' nor 'kl'")
    for name in names:
        own, came = _own(pair, x)[name], logs[name]
        if not any(abs(came - each) <= ALIKE * (1 + abs(each)) for each in own):
            raise Failed(
                expected=f"{name} of {own[0].item():.5g} nats, which is that of the model",
                came=f"{came.item():.5g}",
                mend="log the term itself, before weights: -log p(x|z) or log q(z|x) - log p(z), summed over "
                "x or z, a mean over the batch, p(z) being model.prior(); call anything else by another name",
            )


@check(*NEEDS)
@torch.no_grad()
def rises_with_nll_and_kl(subject: ObjectiveSubject) -> None:
    """The loss rises where only the model's nll rises; where only its KL does, it rises if that is logged as kl.

    Without such a log it may stay, but not fall. It is so in eval mode and, late, in training. What weights there
    are is the objective's own affair, but not their signs: what is minimised is minus the bound.
    """
    x = _inputs(subject)
    logs = subject.settled(x[0], fits=POOR, away=NEAR)(x).logs
    settings = {"nll": ((GOOD, NEAR), (POOR, NEAR)), "kl": ((GOOD, NEAR), (GOOD, FAR))}
    for name, places in settings.items():
        for mode, steps in MODES.items():
            rises = []
            for step in steps:
                pairs = [_at(subject.settled(x[0], fits=fits, away=away), step) for fits, away in places]
                first, then = (subject.steady(pair, x).item() for pair in pairs)
                rises.append(then - first if abs(then - first) > STILL * abs(first) else 0.0)
            if min(rises) < 0 or (max(rises) == 0 and (name == "nll" or name in logs)):
                low, high = (_own(subject.settled(x[0], fits=f, away=a), x)[name][0].item() for f, a in places)
                raise Failed(
                    expected=f"a loss that rises where nothing but {name} does, from {low:.4g} to {high:.4g} nats",
                    came=f"in {mode}, one that {'falls' if min(rises) < 0 else 'stays'}: {min(rises):+.5g}",
                    mend="return minus the bound: nll + kl, each with a plus and a weight that is not zero",
                )


@check("rises_with_nll_and_kl")
@torch.no_grad()
def is_in_nats(subject: ObjectiveSubject) -> None:
    """The model's nll is not in the loss in bits, or divided by the number of elements of x.

    That is so in eval mode and, late, in training. A loss stands beside others in nats per example. Any other
    weights are the objective's own affair.
    """
    x = _inputs(subject)
    units = {"in bits": 1 / math.log(2), "per element of x": 1 / x[0].numel()}
    for mode, (step, *_) in MODES.items():
        good, poor = (_at(subject.settled(x[0], fits=fits, away=NEAR), step) for fits in (GOOD, POOR))
        risen = (subject.steady(poor, x) - subject.steady(good, x)).item()
        nll = (_own(poor, x)["nll"][0] - _own(good, x)["nll"][0]).item()
        for unit, factor in units.items():
            if abs(risen - factor * nll) <= ALIKE * abs(risen):
                raise Failed(
                    expected=f"a loss in nats: where the nll rises by {nll:.5g}, by that, times its weight",
                    came=f"in {mode}, {risen:.5g}, the same {unit}",
                    mend="sum over x and z, take the mean over the batch, and keep natural logarithms",
                )


@check("rises_with_nll_and_kl", "gradients_reach_every_parameter")
def nll_reaches_the_encoder(subject: ObjectiveSubject) -> None:
    """Late in training, the nll's gradient reaches the mean of each latent of q(z|x), with its own sign.

    The KL alone moves them otherwise, to the prior, and latents learn nothing of x. It is what the gradient gains
    once the decoder looks at z, which is always drawn at the same point.
    """
    x = _inputs(subject)
    found = []
    for decodes in (0.0, DECODES):
        pair = _at(subject.settled(x[0], fits=POOR, away=NEAR, decodes=decodes), LATE[0])
        found.append(torch.autograd.grad(subject.steady(pair, x), pair.biases)[0][:LATENT])
    own = torch.autograd.grad(_own(pair, x)["nll"][0], pair.biases)[0][:LATENT]
    came = found[1] - found[0]
    if not (came / own > ALIKE).all():
        raise Failed(
            expected=f"a gradient of the means of q(z|x) through the nll, {_row(own)} or that with a weight",
            came=_row(came),
            mend="decode what q.rsample() returns as it is: no q.sample(), no .detach(), no torch.no_grad()",
        )


def _row(values: Tensor) -> str:
    return ", ".join(f"{value:.3g}" for value in values.tolist())
