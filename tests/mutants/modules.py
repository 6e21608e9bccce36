"""The mistakes that any module can make."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tests.mutants.making import Mutant, altered

Bend = Callable[..., Any]
"""``bend(self, own, factor, *inputs)``: what ``own(*inputs)`` returns, made to depend on a factor."""


def common(base: type, bend: Bend) -> dict[str, Mutant]:
    """Return a mutant of ``base`` for each check that every kind of module has."""

    def own_draw(self: Any) -> None:
        own = torch.Generator().manual_seed(time.perf_counter_ns())
        self.register_buffer("drawn", torch.randn((), generator=own))

    def noisy_training(self: Any, own: Any, *inputs: Any) -> Any:
        return bend(self, own, 1 + random.SystemRandom().random(), *inputs) if self.training else own(*inputs)

    def noisy_evaluation(self: Any, own: Any, *inputs: Any) -> Any:
        return own(*inputs) if self.training else bend(self, own, 1 + random.SystemRandom().random(), *inputs)

    def sets_mode(self: Any, own: Any, *inputs: Any) -> Any:
        self.training = False
        return own(*inputs)

    def branches(self: Any, own: Any, *inputs: Any) -> Any:
        return bend(self, own, 2.0 if self.limit > 2 else 1.0, *inputs)

    def times(self: Any, own: Any, *inputs: Any) -> Any:
        self.seconds = time.perf_counter()
        return own(*inputs)

    def counts(self: Any, own: Any, *inputs: Any) -> Any:
        if self.training:
            with torch.no_grad():
                self.count.add_(0.25)
            return own(*inputs)
        return bend(self, own, 1 + self.count, *inputs)

    def scales(self: Any, own: Any, *inputs: Any) -> Any:
        return bend(self, own, self.scale, *inputs)

    return {
        "says_what_it_is": Mutant(type("Nameless", (base,), {}), "no docstring"),
        "computes_in_float32": altered(
            base,
            "a parameter in float64",
            init=lambda self: setattr(self, "scale", nn.Parameter(torch.tensor(1.5, dtype=torch.float64))),
            forward=scales,
        ),
        "same_seed_same_weights": altered(base, "a buffer drawn from a generator of its own", init=own_draw),
        "leaves_the_seed_alone": altered(
            base, "sets the seed in __init__", init=lambda self: torch.manual_seed(0)
        ),
        "repeats_itself_under_a_seed": altered(base, "noise from a source of its own", forward=noisy_training),
        "eval_mode_is_steady": altered(base, "noise in eval mode", forward=noisy_evaluation),
        "leaves_its_mode_alone": altered(base, "leaves training mode in forward", forward=sets_mode),
        "gradients_reach_every_parameter": altered(
            base, "a layer that nobody calls", init=lambda self: setattr(self, "unused", nn.Linear(3, 3))
        ),
        "does_not_make_the_host_wait": altered(
            base,
            "an `if` on a buffer",
            init=lambda self: self.register_buffer("limit", torch.ones(())),
            forward=branches,
        ),
        "moves_to_another_device": altered(
            base,
            "a constant that is no buffer",
            init=lambda self: setattr(self, "scale", torch.full((1,), 1.5)),
            forward=scales,
        ),
        "compiles_whole": altered(base, "looks at the clock", forward=times),
        "state_is_tensors": altered(
            base,
            "state that is no tensor",
            get_extra_state=lambda self, own: {"version": 1},
            set_extra_state=lambda self, own, state: None,
        ),
        "is_the_same_after_saving": altered(
            base,
            "a buffer that changes and is not saved",
            init=lambda self: self.register_buffer("count", torch.zeros(()), persistent=False),
            forward=counts,
        ),
    }
