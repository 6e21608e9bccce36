"""Do the parts of a model fit together? One pass of two fake examples answers before any training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from genlab.errors import GenlabError, PartError, PartErrors, Several
from genlab.interfaces import Likelihood, Terms
from genlab.mistakes import Collected
from genlab.seeds import seeded

if TYPE_CHECKING:
    from genlab.interfaces import Objective
    from genlab.model import LatentModel

BATCH = 2


def decoder_out_shape(likelihood: Likelihood | type[Likelihood], x_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape a decoder must produce per example: ``(P * x_shape[0], *x_shape[1:])``."""
    params = getattr(likelihood, "params", None)
    if not isinstance(params, int) or params < 1:
        name = likelihood.__name__ if isinstance(likelihood, type) else _name(likelihood)
        raise PartError(
            f"likelihood {name}: params is {params!r}; the number of parameters per element of x is expected",
            "likelihood",
        )
    return (params * x_shape[0], *x_shape[1:])


def check_fit(model: LatentModel) -> bool:
    """Check shapes between the parts; return whether KL(q || prior) has a closed form.

    Random state and training mode are left as they were. Raises ``PartError`` naming the two parts that
    disagree, and ``PartErrors`` where several do.
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), seeded(0, model.device):
            return check_pass(model, torch.zeros(BATCH, *model.x_shape, device=model.device))
    finally:
        model.train(training)


class Faults(Collected[GenlabError]):
    """What is wrong with the parts of a model so far."""

    def __init__(self) -> None:
        super().__init__(GenlabError)

    def add(self, error: GenlabError) -> None:
        """Remember an error, or each of several."""
        for one in error.errors if isinstance(error, Several) else [error]:
            super().add(one)

    def together(self) -> GenlabError:
        """Return the error that has them all."""
        errors = list(self.found.values())
        return PartErrors("\n".join(map(str, errors)), errors)


def check_pass(model: LatentModel, x: Tensor) -> bool:
    """Check one pass of x ``(B, *x_shape)`` in the model's present mode, as ``check_fit`` does.

    Where a part returns something wrong, the next one is given zeros of the shape that it was promised.
    """
    analytic = True
    with Faults() as faults:
        q = prior = None
        z = torch.zeros(len(x), model.latent, device=x.device)
        h = torch.zeros(len(x), *decoder_out_shape(model.likelihood, model.x_shape), device=x.device)
        with faults.collecting():
            q, z = _posterior(model, x)
        with faults.collecting():
            prior = _prior(model)
        source = "made up"
        with faults.collecting():
            h = _output(model, z, h.shape)
            source = f"from decoder {_name(model.decoder)}"
        with faults.collecting():
            _check_likelihood(model, h, source)
        if q is not None and prior is not None:
            analytic = _check_kl(model, q, prior)
    return analytic


def _posterior(model: LatentModel, x: Tensor) -> tuple[Distribution, Tensor]:
    """Return q(z|x) and a sample of it, checked."""
    encoder = f"encoder {_name(model.encoder)}"
    with blamed(encoder, f"x of shape {tuple(x.shape)}", "encoder"):
        q = model.encoder(x)
    _expect(q, encoder, (len(x),), (model.latent,), f"the recipe's latent size is {model.latent}")
    if not q.has_rsample:
        raise PartError(
            f"{encoder} returns {_name(q)}, which has no rsample; gradients could not reach its parameters: "
            "return one that has, genlab.diagonal_normal(mean, log_var) for example",
            "encoder",
        )
    with blamed(f"the {_name(q)} of {encoder}", "rsample()", "encoder"):
        return q, q.rsample()


def _prior(model: LatentModel) -> Distribution:
    """Return p(z), checked."""
    who = f"prior {_name(model.prior)}"
    with blamed(who, "nothing", "prior"):
        prior = model.prior()
    _expect(prior, who, (), (model.latent,), f"the recipe's latent size is {model.latent}")
    return prior


def _output(model: LatentModel, z: Tensor, wanted: tuple[int, ...]) -> Tensor:
    """Return the decoder's h at z ``(B, Z)``, checked to have the shape that the likelihood needs."""
    decoder = f"decoder {_name(model.decoder)}"
    with blamed(decoder, f"z of shape {tuple(z.shape)}", "decoder"):
        h = model.decoder(z)
    if not isinstance(h, Tensor):
        raise PartError(f"{decoder} returns {_name(h)}; a tensor is expected", "decoder")
    if tuple(h.shape) != tuple(wanted):
        raise PartError(
            f"{decoder} returns shape {tuple(h.shape)}, but likelihood {_name(model.likelihood)} needs "
            f"{tuple(wanted)} ({model.likelihood.params} per element of x {model.x_shape}); the decoder is told "
            f"so, as out_shape {tuple(wanted[1:])}",
            "decoder",
        )
    return h


def _check_likelihood(model: LatentModel, h: Tensor, source: str) -> None:
    """Check p(x|z) at h ``(B, *out_shape)``; ``source``: what the message says of it."""
    likelihood = f"likelihood {_name(model.likelihood)}"
    with blamed(likelihood, f"h of shape {tuple(h.shape)} {source}", "likelihood"):
        p = model.likelihood(h.float())
    _expect(p, likelihood, (len(h),), model.x_shape, f"the data's x_shape is {model.x_shape}")


def _check_kl(model: LatentModel, q: Distribution, prior: Distribution) -> bool:
    """Return whether KL(q || prior) has a closed form, checked."""
    between = f"KL(q || prior) of encoder {_name(model.encoder)} and prior {_name(model.prior)}"
    batch = tuple(q.batch_shape)
    with blamed(between, f"{_name(q)} and {_name(prior)}"):
        try:
            kl = kl_divergence(q, prior)
        except NotImplementedError:
            return False
    if tuple(kl.shape) != batch:
        raise PartError(f"{between} has shape {tuple(kl.shape)}; {batch}, one number per example, is expected")
    return True


def check_probabilities(model: LatentModel, x: Tensor) -> None:
    """Check densities at x ``(B, *x_shape)``: one float32 number per example.

    Raises ``PartError`` naming the part that computes them otherwise, in half precision for example.
    """
    encoder, prior = f"encoder {_name(model.encoder)}", f"prior {_name(model.prior)}"
    likelihood = f"likelihood {_name(model.likelihood)}"
    with torch.no_grad(), seeded(0, model.device), Faults() as faults:
        with blamed(encoder, f"x of shape {tuple(x.shape)}", "encoder"):
            q = model.q(x)
            z = q.rsample()
        p = model.p(z)
        densities: list[tuple[str, str, str, Callable[[], Tensor]]] = [
            (encoder, "encoder", "log_prob of its own z", lambda: q.log_prob(z)),
            (prior, "prior", "log_prob of z", lambda: model.prior().log_prob(z)),
            (likelihood, "likelihood", "log_prob of x", lambda: p.log_prob(x)),
        ]
        with faults.collecting():
            _float32(encoder, "encoder", z)
        for who, kind, what, density in densities:
            with faults.collecting():
                with blamed(who, what, kind):
                    value = density()
                _float32(who, kind, value)
                if tuple(value.shape) != (len(x),):
                    said = f"{who}: {what} has shape {tuple(value.shape)}; {(len(x),)}, one number per example"
                    raise PartError(f"{said}, is expected", kind)


def check_objective(objective: Objective, model: LatentModel, x: Tensor) -> Terms:
    """Return the terms of x ``(B, *x_shape)``, or raise ``PartError`` if they are not what an objective returns.

    Gradients are recorded if the caller lets them. Random state is left as it was.
    """
    who = f"objective {_name(objective)}"
    with seeded(0, model.device), blamed(who, f"x of shape {tuple(x.shape)}", "objective"):
        terms: object = objective(model, x)
    if not isinstance(terms, Terms):
        raise PartError(f"{who} returns {_name(terms)}; genlab.Terms(loss, logs) is expected", "objective")
    for name, value in {"loss": terms.loss, **terms.logs}.items():
        if not isinstance(value, Tensor) or value.ndim:
            given = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {_name(value)}"
            raise PartError(
                f"{who}: {name} is {given}; a 0-dim tensor, the mean over the batch, is expected: "
                f"{'take .mean()' if isinstance(value, Tensor) else 'leave it on the device, without .item()'}",
                "objective",
            )
    return terms


@contextmanager
def blamed(who: str, given: str, kind: str = "") -> Iterator[None]:
    """Turn whatever a part raises into an error that names it."""
    try:
        yield
    except GenlabError:
        raise
    except Exception as error:
        raise PartError(f"{who} fails on {given}: {_name(error)}: {error}", kind) from error


def _expect(value: object, who: str, batch: tuple[int, ...], event: tuple[int, ...], because: str) -> None:
    kind = who.partition(" ")[0]
    if not isinstance(value, Distribution):
        raise PartError(f"{who} returns {_name(value)}; a torch.distributions.Distribution is expected", kind)
    found_batch, found_event = tuple(value.batch_shape), tuple(value.event_shape)
    if (found_batch, found_event) != (batch, event):
        message = (
            f"{who} returns a distribution of batch shape {found_batch} and event shape {found_event}; "
            f"batch {batch} and event {event} are expected: {because}"
        )
        if found_batch + found_event == batch + event and len(found_batch) > len(batch):
            count = len(found_batch) - len(batch)
            message += f"; torch.distributions.Independent(..., {count}) makes an event of the last axes"
        elif kind in ("encoder", "prior") and len(found_event) == 1:
            message += f", which the {kind} is given as `latent`"
        raise PartError(message, kind)


def _float32(who: str, kind: str, value: Tensor) -> None:
    if value.dtype != torch.float32:
        raise PartError(
            f"{who} computes in {value.dtype}; probabilities are float32: call .float() on the network's "
            "output before building the distribution",
            kind,
        )


def _name(value: object) -> str:
    return type(value).__name__
