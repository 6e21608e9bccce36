"""Optimizers with one mistake each."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from genlab.parts.optimizers import SGD
from tests.mutants.making import Mutant, altered

Params = Iterable[Parameter]


class Momentum(SGD):
    """Goes on in the direction of its last steps."""

    def __init__(self, params: Params, fused: bool) -> None:
        super().__init__(params, fused, momentum=0.5)


class Unannotated(SGD):
    """An option without a type."""

    def __init__(self, params: Params, fused: bool, *, scale=1) -> None:  # type: ignore[no-untyped-def]
        super().__init__(params, fused)


class Doubling(SGD):
    """An option that doubles each time it is read."""

    def __init__(
        self, params: Params, fused: bool, *, scale: Annotated[int, AfterValidator(lambda w: 2 * w)] = 4
    ) -> None:
        super().__init__(params, fused)


class Misdescribed(SGD):
    """An option whose schema refuses its default."""

    def __init__(
        self, params: Params, fused: bool, *, scale: Annotated[int, Field(json_schema_extra={"maximum": 2})] = 4
    ) -> None:
        super().__init__(params, fused)


class OneGroup(SGD):
    """Takes one parameter only."""

    def __init__(self, params: Params, fused: bool) -> None:
        super().__init__(params, fused)
        (self.only,) = self.param_groups[0]["lr"]


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


def normalises(self: Any, own: Any) -> None:
    along(self, own, lambda gradient: gradient / (gradient.norm() + 1e-6))


def through_the_host(self: Any, own: Any) -> None:
    along(self, own, lambda gradient: gradient.cpu().to(gradient.device))


def looks(self: Any, own: Any) -> None:
    for p in weights(self):
        if p.grad.abs().max() > 1e6:  # type: ignore[union-attr]
            return
    own()


MUTANTS: dict[str, Mutant] = {
    "registers": Mutant(Unannotated, "an option without a type"),
    "says_what_it_is": Mutant(type("Nameless", (Momentum,), {}), "no docstring"),
    "builds": Mutant(OneGroup, "a TypeError in __init__"),
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
    "is_elementwise_if_it_says_so": altered(Momentum, "divides by each parameter's norm", step=normalises),
    "is_graphable_if_it_says_so": altered(Momentum, "an `if` on the gradient", step=looks),
    "steps_on_any_device": altered(Momentum, "computes on the CPU", step=through_the_host),
    "options_survive_a_recipe": Mutant(Doubling, "an option that doubles when it is read"),
    "schema_accepts_its_options": Mutant(Misdescribed, "a schema that refuses the default"),
}
