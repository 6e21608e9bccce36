"""Optimizers with one mistake each."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from genlab.parts.optimizers import SGD
from tests.mutants.making import Mutant, altered, general

Params = Iterable[Parameter]


class Momentum(SGD):
    """Goes on in the direction of its last steps."""

    def __init__(self, params: Params, fused: bool) -> None:
        super().__init__(params, fused, momentum=0.5)


def weights(optimizer: Optimizer) -> list[Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


@torch.no_grad()
def along(self: Any, own: Any, change: Callable[[Tensor], Tensor]) -> None:
    """Step along other gradients, and put those that were there back."""
    kept = [(p, p.grad) for p in weights(self)]
    for p, gradient in kept:
        p.grad = change(gradient)  # type: ignore[arg-type]
    own()
    for p, gradient in kept:
        p.grad = gradient


@torch.no_grad()
def decays(self: Any, own: Any) -> None:
    own()
    for p in weights(self):
        p.mul_(0.999)


def uphill(self: Any, own: Any) -> None:
    along(self, own, torch.neg)


def jitters(self: Any, own: Any) -> None:
    scale = 1 + 0.1 * random.SystemRandom().random()
    along(self, own, lambda gradient: gradient * scale)


def needs_gradients(self: Any, own: Any) -> None:
    for group in self.param_groups:
        for p in group["params"]:
            self.last_shape = p.grad.shape
    own()


def scales(self: Any, own: Any) -> None:
    for p in weights(self):
        p.grad.mul_(0.5)  # type: ignore[union-attr]
    own()


def slows(self: Any, own: Any) -> None:
    self.taken = getattr(self, "taken", 0) + 1
    along(self, own, lambda gradient: gradient / self.taken)


@torch.no_grad()
def decays_by_norm(self: Any, own: Any) -> None:
    own()
    for p in weights(self):
        p.mul_(1 - self.param_groups[0]["lr"] * p.norm())


def through_the_host(self: Any, own: Any) -> None:
    along(self, own, lambda gradient: gradient.cpu().to(gradient.device))


def looks(self: Any, own: Any) -> None:
    for p in weights(self):
        if p.grad.abs().max() > 1e6:  # type: ignore[union-attr]
            return
    own()


MUTANTS: dict[str, Mutant] = general(Momentum) | {
    "builds": altered(Momentum, "a TypeError in __init__", init=lambda self: iter(self.param_groups[0]["lr"])),
    "has_a_learning_rate": altered(Momentum, "decay beside the learning rate", step=decays),
    "goes_downhill": altered(Momentum, "goes uphill", step=uphill),
    "repeats_itself": altered(Momentum, "noise from a source of its own", step=jitters),
    "leaves_gradients_alone": altered(Momentum, "scales gradients in place", step=scales),
    "bears_parameters_without_gradient": altered(
        Momentum, "asks each parameter for a gradient", step=needs_gradients
    ),
    "state_can_be_written": altered(
        Momentum, "a function in its state", init=lambda self: self.param_groups[0].update(rule=lambda p: p)
    ),
    "goes_on_from_its_saved_state": altered(Momentum, "counts steps where they are not saved", step=slows),
    "is_elementwise_if_it_says_so": altered(Momentum, "decays by each parameter's norm", step=decays_by_norm),
    "is_graphable_if_it_says_so": altered(Momentum, "an `if` on the gradient", step=looks),
    "steps_on_any_device": altered(Momentum, "computes on the CPU", step=through_the_host),
}
