"""Optimizers: torch's own, with options that a recipe can check.

The kind ``optimizer`` is any subclass of ``torch.optim.Optimizer`` whose constructor takes
``(params, fused, *, options...)``: the parameters to train, and whether the device has fused kernels.

Two class attributes, both False where a class does not say, let training be faster. ``elementwise``: every
element is treated alike, so the parameters may come as one long vector. ``graphable``: state begins at zero,
and a step neither reads a tensor's value on the host nor branches on one, so it can be captured in a graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeFloat, PositiveFloat
from torch.nn import Parameter

Decay = Annotated[float, Ge(0), Lt(1)]


class Adam(torch.optim.Adam):
    """Adam (Kingma & Ba 2015).

    lr: step size. betas: decay rates of the two moments. eps: added to the denominator.
    weight_decay: L2 penalty added to the gradient.
    """

    elementwise: ClassVar[bool] = True
    graphable: ClassVar[bool] = True

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
