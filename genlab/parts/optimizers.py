"""Optimizers: torch's own, with options that a recipe can check.

The kind ``optimizer`` is any subclass of ``torch.optim.Optimizer`` whose constructor takes
``(params, fused, *, options...)``: the parameters to train, and whether the device has fused kernels.

Two class attributes, both False where a class does not say, let training be faster. ``elementwise``: every
element is treated alike, so the parameters may come as one long vector. ``graphable``: state begins at zero,
and a step neither reads a tensor's value on the host nor branches on one, so it can be captured in a graph.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeFloat, PositiveFloat
from torch.nn import Parameter
from torch.optim import Optimizer

Decay = Annotated[float, Ge(0), Lt(1)]


def lean(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return an optimizer's step without what torch wraps around it.

    That is step hooks, a label for the profiler, gradients through the step and a word to the compiler; on a
    small model they take longer than the update.
    """
    update = inspect.unwrap(step)

    @torch.no_grad()
    def run(self: Optimizer, closure: Callable[[], float] | None = None) -> float | None:
        return update(self, closure)

    run.hooked = True  # type: ignore[attr-defined]  # so that Optimizer does not wrap it again
    return run


def plain(method: Callable[..., None]) -> Callable[..., None]:
    """Return an optimizer's method without its word to the compiler, which first imports all of it: a second."""
    return inspect.unwrap(method)


class Adam(torch.optim.Adam):
    """Adam (Kingma & Ba 2015).

    lr: step size. betas: decay rates of the two moments. eps: added to the denominator.
    weight_decay: L2 penalty added to the gradient.
    """

    elementwise: ClassVar[bool] = True
    graphable: ClassVar[bool] = True
    step = lean(torch.optim.Adam.step)
    add_param_group = plain(torch.optim.Adam.add_param_group)

    def __init__(
        self,
        params: Iterable[Parameter],
        fused: bool,
        *,
        lr: PositiveFloat = 1e-3,
        betas: tuple[Decay, Decay] = (0.9, 0.999),
        eps: PositiveFloat = 1e-8,
        weight_decay: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused)


class AdamW(torch.optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    lr: step size. betas: decay rates of the two moments. eps: added to the denominator.
    weight_decay: share of each weight taken off per unit of lr.
    """

    elementwise: ClassVar[bool] = True
    graphable: ClassVar[bool] = True
    step = lean(torch.optim.AdamW.step)
    add_param_group = plain(torch.optim.AdamW.add_param_group)

    def __init__(
        self,
        params: Iterable[Parameter],
        fused: bool,
        *,
        lr: PositiveFloat = 1e-3,
        betas: tuple[Decay, Decay] = (0.9, 0.999),
        eps: PositiveFloat = 1e-8,
        weight_decay: NonNegativeFloat = 0.01,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused)


class SGD(torch.optim.SGD):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013).

    lr: step size. momentum: share of the last step kept. nesterov: look ahead; needs momentum > 0.
    weight_decay: L2 penalty added to the gradient.
    """

    elementwise: ClassVar[bool] = True
    graphable: ClassVar[bool] = True
    step = lean(torch.optim.SGD.step)
    add_param_group = plain(torch.optim.SGD.add_param_group)

    def __init__(
        self,
        params: Iterable[Parameter],
        fused: bool,
        *,
        lr: PositiveFloat = 1e-2,
        momentum: Decay = 0.0,
        nesterov: bool = False,
        weight_decay: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(
            params, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, fused=fused
        )
        # torch would leave them as memory happens to be if the very first step is withheld.
        for p in (p for group in self.param_groups if momentum for p in group["params"]):
            self.state[p]["momentum_buffer"] = torch.zeros_like(p)
