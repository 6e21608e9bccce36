"""What all parts that are modules have in common when they are tested."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from genlab.precision import Precision
from genlab.seeds import seeded
from genlab.testing.checking import DoesNotApply, Skipped
from genlab.testing.subject import LATENTS, X_SHAPES, PartSubject, refuses

BF16 = Precision("bf16", "cpu")
JITTER = 0.05  # moves parameters away from an initialisation that may be all zeros


@dataclass(frozen=True)
class Case:
    """One way to build a part. given: what the framework gives to its constructor."""

    given: tuple[Any, ...]
    x_shape: tuple[int, ...] = X_SHAPES[0]
    latent: int = LATENTS[0]

    def __str__(self) -> str:
        return f"x_shape {self.x_shape}, latent {self.latent}"


class ModuleSubject(PartSubject, ABC):
    """A part that is a module: how it is built, what it is given, and what training computes with it."""

    @property
    def otherwise(self) -> str:
        """What else its author can do where every way to build it was refused."""
        return ""

    @abstractmethod
    def tried(self) -> Sequence[Case]:
        """Return the ways to build it that are tried; the first that it takes is the usual one."""

    @abstractmethod
    def inputs(self, case: Case, batch: int = 3) -> tuple[Tensor, ...]:
        """Return what it is given in a step, the same every time."""

    @abstractmethod
    def step(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors that a training step computes with it; what it draws, it draws from torch's state."""

    @abstractmethod
    def loss(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Return a number whose gradient reaches what training must reach."""

    def steady(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Return what is computed where nothing is drawn, one row an example where there are examples."""
        return self.step(module, *inputs)[0]

    def draws(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return samples, of each sort that it can draw."""
        raise NotImplementedError(self.kind)

    def halved(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return what ``step`` does, the networks in bf16 as genlab's ``precision: bf16`` has them."""
        raise NotImplementedError(self.kind)

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The cases that its constructor does not refuse."""
        return tuple(case for case in self.tried() if self.takes(case))

    def takes(self, case: Case) -> bool:
        """Whether it can be built so; one that fails there is not said to refuse it."""
        try:
            with seeded(0, torch.device("cpu")):
                self.build(*case.given)
        except Exception as error:
            return not refuses(error)
        return True

    @property
    def case(self) -> Case:
        """The usual case."""
        if not self.cases:
            raise Skipped("it could not be built")
        return self.cases[0]

    def single(self, case: Case) -> Case:
        """Return a case of one latent; raises ``DoesNotApply`` if it is refused."""
        if not self.takes(case):
            raise DoesNotApply("it refuses a single latent, whose density could be added up")
        return case

    def module(self, case: Case | None = None, seed: int = 0) -> Any:
        """Build it, by default as usual."""
        return self.build(*(case or self.case).given, seed=seed)

    def moved(self, case: Case | None = None) -> Any:
        """Build it and move its parameters as training would, off zeros that hide what lies behind them."""
        module = self.module(case)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for p in module.parameters():
                if p.is_floating_point() and p.requires_grad:
                    p.add_(JITTER * torch.randn(p.shape, generator=generator))
        return module


class ShapedSubject(ModuleSubject, ABC):
    """A module that is built for shapes of x.

    x_shapes: that it is tried with; it may refuse some with a ValueError.
    """

    def __init__(self, cls: type, x_shapes: Iterable[tuple[int, ...]] = X_SHAPES, /, **options: Any) -> None:
        super().__init__(cls, **options)
        self.x_shapes = shapes_of(x_shapes)

    @property
    def otherwise(self) -> str:
        """Say how other shapes are tried."""
        return f", or say which shapes it takes: check_{self.kind}({self.cls.__name__}, [(3, 32, 32)])"


def shapes_of(x_shapes: Iterable[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of x that a part is to be tried with; raises ``TypeError`` unless there are some.

    That is a mistake in a test, not one of the part.
    """
    if isinstance(x_shapes, str) or not isinstance(x_shapes, Iterable):
        raise TypeError(f"x_shapes is a list of shapes: [(1, 4, 4)], not {x_shapes!r}")
    given = tuple(x_shapes)
    if given and all(_is_size(each) for each in given):
        raise TypeError(f"x_shapes is a list of shapes: [{given}], not {given}")
    for shape in given:
        if not isinstance(shape, Sequence) or not shape or not all(_is_size(size) and size > 0 for size in shape):
            raise TypeError(f"x_shapes is a list of shapes: [(1, 4, 4)], and {shape!r} is none")
    if not given:
        raise TypeError("x_shapes is a list of shapes: [(1, 4, 4)]; this one is empty")
    return tuple(tuple(shape) for shape in given)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def noise(*shape: int, seed: int = 1) -> Tensor:
    """Return normal numbers, the same every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 1) -> Tensor:
    """Return numbers in [0, 1), the same every time."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))
