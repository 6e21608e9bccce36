"""Bijections of R^Z, chains of zuko's autoregressive transformations.

One transformation maps v to w with w_i = g(v_i; h_i(v_<i, c)): g is a monotonic function of one number, and a
masked network h (Germain et al. 2015) makes its parameters from the elements that precede and from a context c.
The Jacobian is triangular, so log |det dw/dv| is a sum. v -> w takes one pass of the network; back, each v_i has
to wait for those before it, which takes ``passes``. Every other transformation reverses the order.

- ``maf``: g is affine (Papamakarios et al. 2017, "Masked Autoregressive Flow for Density Estimation").
- ``nsf``: g is a rational-quadratic spline on [-5, 5] and the identity outside (Durkan et al. 2019, "Neural
  Spline Flows").

zuko has further families; these two need no value on the host in either direction, so that a step can be compiled
or captured as a graph. Its own coupling layers, neural and continuous flows look at values.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.distributions import Distribution

# zuko's import switches argument validation off for every distribution in the process, which is not its to decide
# nor ours: what it changes is put back. Nothing here uses zuko's own distributions, which rely on it.
_KEPT = {name: vars(Distribution)[name] for name in ("_validate_args", "arg_constraints")}
from zuko.flows import MaskedAutoregressiveTransform  # noqa: E402
from zuko.transforms import MonotonicAffineTransform, MonotonicRQSTransform  # noqa: E402

for _name, _value in _KEPT.items():
    setattr(Distribution, _name, _value)

Kind = Literal["nsf", "maf"]
Hidden = tuple[Annotated[int, Ge(1), Le(4096)], ...]  # an option, checked before any memory is asked for
Bins = Annotated[int, Ge(2), Le(128)]
Transforms = Annotated[int, Ge(1), Le(64)]
Passes = Annotated[int, Ge(2)] | None

SLOPE = 1e-3  # the least slope of a spline; a bound on steepness, too, keeps float32 invertible
CLOSE = 0.1  # the scale of the initial parameters of every g: at 0 the bijection would be the identity


class Bijection(nn.Module):
    """A chain of ``transforms`` autoregressive transformations of R^Z, given a context of C numbers.

    It starts close to the identity. All of it is computed in float32, under autocast too: an error in log |det|
    is an error in the density.
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        *,
        transforms: int,
        kind: Kind,
        hidden: tuple[int, ...],
        bins: int,
        passes: int | None,
    ) -> None:
        super().__init__()
        univariate: Callable[..., object] = MonotonicAffineTransform  # shift and scale
        shapes: list[tuple[int, ...]] = [(), ()]
        if kind == "nsf":  # widths and heights of the bins, slopes between them
            univariate, shapes = partial(MonotonicRQSTransform, slope=SLOPE), [(bins,), (bins,), (bins - 1,)]
        with torch.device("cpu"):  # zuko looks at the values of its masks, and the meta device has none
            ascending = torch.arange(features)
            steps = [
                MaskedAutoregressiveTransform(
                    features,
                    context,
                    passes=passes,
                    order=ascending if i % 2 == 0 else ascending.flip(0),
                    univariate=univariate,
                    shapes=shapes,
                    hidden_features=hidden,
                    activation=nn.SiLU,
                )
                for i in range(transforms)
            ]
            for step in steps:
                # One number without a context has no network: its parameters are g's own.
                _make_small(step.phi if features == 1 and not context else step.hyper[-1])
        self.steps = nn.ModuleList(steps).to(torch.get_default_device())

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map v ``(..., Z)``, given ``(..., C)``, to w ``(..., Z)`` and log |det dw/dv| ``(...,)``: one pass."""
        if not v.numel():
            return v, v.sum(-1)  # torch's reductions of log |det| cannot tell the shape of nothing
        with _float32(v):
            total = torch.zeros_like(v[..., 0])
            for step in self.steps:
                v, log_det = step(context).call_and_ladj(v)
                total = total + log_det
        return v, total

    def inverse(self, w: Tensor, context: Tensor | None = None) -> Tensor:
        """Map w ``(..., Z)`` back to v, in ``passes`` for each transformation; gradients flow here as well."""
        with _float32(w):
            for step in reversed(self.steps):
                w = step(context).inv(w)
        return w


@torch.no_grad()
def _make_small(last: nn.Module) -> None:
    for p in last.parameters():
        p.mul_(CLOSE)


def _float32(x: Tensor) -> AbstractContextManager[object]:
    """No autocast, whoever has switched it on."""
    kind = x.device.type
    on = kind != "meta" and torch.is_autocast_enabled(kind)  # which has none
    return torch.autocast(kind, enabled=False) if on else nullcontext()
