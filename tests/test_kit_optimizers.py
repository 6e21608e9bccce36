"""The checks of optimizers, on some that are wrong in one way or another, and on torch's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from pydantic import PositiveFloat
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from genlab.testing import check_optimizer


class Plain(Optimizer):
    """Goes down along the gradient."""

    def __init__(self, params: Iterable[Parameter], fused: bool, *, lr: PositiveFloat = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for i, p in enumerate(group["params"]):
                if p.grad is not None:
                    p -= self.move(p.grad, group["lr"], i)

    def move(self, gradient: Tensor, lr: float, i: int) -> Tensor:
        """Return what is taken off the i-th parameter."""
        return lr * gradient


class FirstAlone(Plain):
    """Moves the first parameter alone."""

    def move(self, gradient: Tensor, lr: float, i: int) -> Tensor:
        return lr * gradient * (i == 0)


class LaterUphill(Plain):
    """Goes uphill along all parameters but the first."""

    def move(self, gradient: Tensor, lr: float, i: int) -> Tensor:
        return lr * gradient * (-1) ** min(i, 1)


class OwnRate(Plain):
    """Does not pass its rate on."""

    def __init__(self, params: Iterable[Parameter], fused: bool, *, lr: PositiveFloat = 0.2) -> None:
        super().__init__(params, fused, lr=0.1)


class AllOrNothing(Plain):
    """Heeds no rate but 0."""

    def move(self, gradient: Tensor, lr: float, i: int) -> Tensor:
        return 0.1 * gradient * (lr > 0)


class InPlace(Plain):
    """Computes in the gradient."""

    def move(self, gradient: Tensor, lr: float, i: int) -> Tensor:
        return gradient.mul_(lr)


class OnTheHost(Plain):
    """Computes on the CPU."""

    def move(self, gradient: Tensor, lr: float, i: int) -> Tensor:
        return lr * gradient.cpu()


class LeftBehind(Plain):
    """Multiplies by a tensor that lies on the CPU."""

    def move(self, gradient: Tensor, lr: float, i: int) -> Tensor:
        return lr * gradient * torch.ones(gradient.shape or (1,)).view(gradient.shape)


@pytest.mark.parametrize(
    ("cls", "options", "failed"),
    [
        (FirstAlone, {}, "goes_downhill"),
        (LaterUphill, {}, "goes_downhill"),
        (OwnRate, {}, "has_a_learning_rate"),
        (OwnRate, {"lr": 0.05}, "has_a_learning_rate"),
        (AllOrNothing, {}, "has_a_learning_rate"),
        (InPlace, {}, "leaves_gradients_alone"),
        (OnTheHost, {}, "steps_on_any_device"),
        (LeftBehind, {}, "steps_on_any_device"),
    ],
)
def test_an_optimizer_that_does_not_step_as_it_should_is_found(cls: type, options: Any, failed: str) -> None:
    assert [result.name for result in check_optimizer(cls, **options).outcome("failed")] == [failed]


class Reading(Plain):
    """Reads a value on the host, which is slow, but allowed."""

    def move(self, gradient: Tensor, lr: float, i: int) -> Tensor:
        return lr * gradient / max(1.0, gradient.norm().item())


def test_one_that_reads_values_is_not_tried_on_a_device_that_has_none() -> None:
    report = check_optimizer(Reading)
    report.raise_if_failed()
    assert "steps_on_any_device" in [result.name for result in report.outcome("skipped")]
    assert "torch cannot rehearse a step of it" in str(report)


def wrapped(own: type[Optimizer], **options: Any) -> type[Optimizer]:
    class Wrapped(own):  # type: ignore[misc, valid-type]
        """One of torch's optimizers."""

        def __init__(self, params: Iterable[Parameter], fused: bool, *, lr: PositiveFloat = 1e-2) -> None:
            super().__init__(params, lr=lr, **options)

    return Wrapped


@pytest.mark.parametrize(
    "cls",
    [
        Plain,
        wrapped(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=0.1),
        wrapped(torch.optim.Adam, weight_decay=0.1, amsgrad=True),
        wrapped(torch.optim.AdamW, weight_decay=0.1, foreach=True),
        wrapped(torch.optim.NAdam),
        wrapped(torch.optim.RAdam),
        wrapped(torch.optim.Adamax),
        wrapped(torch.optim.Adagrad, weight_decay=0.1),
        wrapped(torch.optim.RMSprop, momentum=0.9, centered=True),
        wrapped(torch.optim.Adadelta),
        wrapped(torch.optim.Adafactor),
    ],
    ids=lambda cls: cls.__mro__[1].__name__,
)
def test_torchs_own_pass(cls: type) -> None:
    check_optimizer(cls).raise_if_failed()
