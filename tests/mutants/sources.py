"""Data sources with one mistake each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genlab import Examples
from genlab.interfaces import SplitName
from genlab.parts.bars import Bars
from tests.mutants.making import Mutant, altered, general


class Small(Bars):
    """Few bars."""

    def __init__(self) -> None:
        super().__init__(size=4, examples=50)


class Shapeless(Small):
    """Learns its shape when it is read."""

    def __init__(self) -> None:
        super().__init__()
        del self.x_shape

    def split(self, name: SplitName) -> Examples:
        self.x_shape = (1, 4, 4)
        return super().split(name)


class ByHash(Small):
    """Draws by a seed that is another in each process."""

    def split(self, name: SplitName) -> Examples:
        order = torch.randperm(50, generator=torch.Generator().manual_seed(hash(name) % 2**31))
        examples = super().split(name)
        return Examples(examples.x[order % len(examples)])


def shuffled(self: Any, own: Any, name: SplitName) -> Examples:
    examples = own(name)
    order = torch.randperm(len(examples))
    return Examples(examples.x[order], examples.label[order])


def seeded(self: Any, own: Any, name: SplitName) -> Examples:
    torch.manual_seed(0)
    examples: Examples = own(name)
    return examples


def unlabelled(self: Any, own: Any, name: SplitName) -> Examples:
    examples: Examples = own(name)
    return examples if name == "train" else Examples(examples.x)


def normalised(self: Any, own: Any, x: Tensor) -> Tensor:
    prepared: Tensor = own(x)
    return prepared - prepared.mean()


def in_place(self: Any, own: Any, x: Tensor) -> Tensor:
    prepared: Tensor = own(x)
    x.zero_()
    return prepared


def on_the_cpu(self: Any, own: Any, x: Tensor) -> Tensor:
    prepared: Tensor = own(x)
    return prepared * torch.ones(4)


MUTANTS: dict[str, Mutant] = general(Small) | {
    "builds": Mutant(Shapeless, "no x_shape before it is read"),
    "reads_its_splits": altered(
        Small,
        "flattens its images",
        split=lambda self, own, name: Examples(own(name).x.flatten(1), own(name).label),
    ),
    "gives_the_same_every_time": altered(Small, "shuffles by the global state", split=shuffled),
    "gives_the_same_in_every_process": Mutant(ByHash, "a seed from the hash of a text"),
    "leaves_the_seed_alone": altered(Small, "sets the seed", split=seeded),
    "keeps_its_splits_apart": altered(Small, "test is train", split=lambda self, own, name: own("train")),
    "labels_its_examples": altered(Small, "labels in train alone", split=unlabelled),
    "prepares_float32": altered(Small, "prepares float64", prepare=lambda self, own, x: own(x).double()),
    "prepares_each_example_alone": altered(Small, "subtracts the batch's mean", prepare=normalised),
    "leaves_stored_examples_alone": altered(Small, "prepares in place", prepare=in_place),
    "prepares_on_any_device": altered(Small, "a constant on the CPU", prepare=on_the_cpu),
    "says_where_it_is_from": altered(Small, "an origin of two lines", fetch=lambda self, own: "made\nhere"),
}
