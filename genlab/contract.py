"""Do the parts of a model fit together? One pass of two fake examples answers before any training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from genlab.errors import GenlabError, PartError
from genlab.interfaces import Likelihood
from genlab.seeds import seeded

if TYPE_CHECKING:
    from genlab.model import LatentModel

BATCH = 2


def decoder_out_shape(likelihood: Likelihood | type[Likelihood], x_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape a decoder must produce per example: ``(P * x_shape[0], *x_shape[1:])``."""
    params = getattr(likelihood, "params", None)
    if not isinstance(params, int) or params < 1:
        name = likelihood.__name__ if isinstance(likelihood, type) else _name(likelihood)
        raise PartError(
            f"likelihood {name}: params is {params!r}; the number of parameters per element of x is expected"
        )
    return (params * x_shape[0], *x_shape[1:])


def check_fit(model: LatentModel) -> bool:
    """Check shapes between the parts; return whether KL(q || prior) has a closed form.

    Random state and training mode are left as they were. Raises ``PartError`` naming the two parts that
    disagree.
    """
    device, training = model.device, model.training
    model.eval()
    try:
        with torch.no_grad(), seeded(0, device):
            return _walk(model, device)
    finally:
        model.train(training)


def _walk(model: LatentModel, device: torch.device) -> bool:
    encoder, decoder = _name(model.encoder), _name(model.decoder)
    prior_name, likelihood = _name(model.prior), _name(model.likelihood)

    x = torch.zeros(BATCH, *model.x_shape, device=device)
    with _blamed(f"encoder {encoder}", f"x of shape {tuple(x.shape)}"):
        q = model.encoder(x)
    _expect(q, f"encoder {encoder}", (BATCH,), (model.latent,), f"the recipe's latent size is {model.latent}")
    if not q.has_rsample:
        raise PartError(
            f"encoder {encoder} returns {_name(q)}, which has no rsample; gradients could not reach its parameters"
        )

    with _blamed(f"prior {prior_name}", "nothing"):
        prior = model.prior()
    _expect(prior, f"prior {prior_name}", (), (model.latent,), f"the recipe's latent size is {model.latent}")

    with _blamed(f"the {_name(q)} of encoder {encoder}", "rsample()"):
        z = q.rsample()
    with _blamed(f"decoder {decoder}", f"z of shape {tuple(z.shape)}"):
        h = model.decoder(z)
    if not isinstance(h, Tensor):
        raise PartError(f"decoder {decoder} returns {_name(h)}; a tensor is expected")
    wanted = (BATCH, *decoder_out_shape(model.likelihood, model.x_shape))
    if tuple(h.shape) != wanted:
        raise PartError(
            f"decoder {decoder} returns shape {tuple(h.shape)}, but likelihood {likelihood} needs {wanted} "
            f"({model.likelihood.params} per element of x {model.x_shape})"
        )
    with _blamed(f"likelihood {likelihood}", f"h of shape {tuple(h.shape)} from decoder {decoder}"):
        p = model.likelihood(h.float())
    _expect(p, f"likelihood {likelihood}", (BATCH,), model.x_shape, f"the data's x_shape is {model.x_shape}")

    between = f"KL(q || prior) of encoder {encoder} and prior {prior_name}"
    with _blamed(between, f"{_name(q)} and {_name(prior)}"):
        try:
            kl = kl_divergence(q, prior)
        except NotImplementedError:
            return False
    if tuple(kl.shape) != (BATCH,):
        raise PartError(f"{between} has shape {tuple(kl.shape)}; {(BATCH,)}, one number per example, is expected")
    return True


@contextmanager
def _blamed(who: str, given: str) -> Iterator[None]:
    """Turn whatever a part raises into an error that names it."""
    try:
        yield
    except GenlabError:
        raise
    except Exception as error:
        raise PartError(f"{who} fails on {given}: {_name(error)}: {error}") from error


def _expect(value: object, who: str, batch: tuple[int, ...], event: tuple[int, ...], because: str) -> None:
    if not isinstance(value, Distribution):
        raise PartError(f"{who} returns {_name(value)}; a torch.distributions.Distribution is expected")
    if (tuple(value.batch_shape), tuple(value.event_shape)) != (batch, event):
        raise PartError(
            f"{who} returns a distribution of batch shape {tuple(value.batch_shape)} and event shape "
            f"{tuple(value.event_shape)}; batch {batch} and event {event} are expected: {because}"
        )


def _name(value: object) -> str:
    return type(value).__name__


def check_dtypes(model: LatentModel, x: torch.Tensor) -> None:
    """Raise ``PartError`` if a part computes probabilities of x ``(B, *x_shape)`` in half precision."""
    with torch.no_grad(), seeded(0, model.device):
        q = model.q(x)
        z = q.rsample()
        p = model.p(z)
        found = {
            f"encoder {_name(model.encoder)}": (z, q.log_prob(z)),
            f"prior {_name(model.prior)}": (model.prior().log_prob(z),),
            f"likelihood {_name(model.likelihood)}": (p.log_prob(x),),
        }
    for who, values in found.items():
        for value in values:
            if value.dtype != torch.float32:
                raise PartError(
                    f"{who} computes in {value.dtype}; probabilities are float32: call .float() on the network's "
                    "output before building the distribution"
                )
