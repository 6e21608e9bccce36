"""The checks of data sources, on splits that share examples in one way or another, and on others that do not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from genlab import DataSource, Examples
from genlab.interfaces import SplitName
from genlab.parts.bars import Bars
from genlab.testing import ConformanceError, check_data, data_checks

N = 300
APART = "keeps_its_splits_apart"


def drawn(seed: int, count: int = N) -> Tensor:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def make(check: str, cls: type, **options: Any) -> None:
    """Make one check, and those that it builds on: not all, of which one needs a process of its own."""
    next(each for each in data_checks(cls, **options) if str(each) == check)()


class Noise(DataSource):
    """Noise, each split of its own."""

    def __init__(self) -> None:
        self.x_shape = (1, 4, 4)

    def split(self, name: SplitName) -> Examples:
        """Return a split."""
        return Examples(self.train() if name == "train" else self.held_out(name))

    def train(self) -> Tensor:
        """Return the training examples."""
        return drawn(0)

    def held_out(self, name: SplitName) -> Tensor:
        """Return the others."""
        return drawn(1 if name == "val" else 2)


class Shuffled(Noise):
    """The test is what was learned, shuffled."""

    def held_out(self, name: SplitName) -> Tensor:
        order = torch.randperm(N, generator=torch.Generator().manual_seed(ord(name[0])))
        return self.train()[order]


class Middle(Noise):
    """The others are cut from the middle of the training examples."""

    def held_out(self, name: SplitName) -> Tensor:
        return self.train()[100:200] if name == "val" else self.train()[200:280]


class ATenth(Noise):
    """A tenth of the test examples is from training."""

    def held_out(self, name: SplitName) -> Tensor:
        x = super().held_out(name)
        return x if name == "val" else torch.cat((x[:270], self.train()[50:80]))


class ValFromTest(Noise):
    """The validation examples are some of the test's."""

    def held_out(self, name: SplitName) -> Tensor:
        return drawn(2)[100:200] if name == "val" else drawn(2)


class SameSeed(Noise):
    """Each split is drawn after the global seed is set."""

    def split(self, name: SplitName) -> Examples:
        torch.manual_seed(("train", "val", "test").index(name))
        return Examples(torch.rand(N, 1, 4, 4))


class BySet(Noise):
    """Its examples come in the order of a set."""

    def train(self) -> Tensor:
        return torch.cat([drawn(int(word), 20) for word in {str(i) for i in range(3, 18)}])


@pytest.mark.parametrize(
    ("cls", "failed"),
    [
        (Shuffled, APART),
        (Middle, APART),
        (ATenth, APART),
        (ValFromTest, APART),
        (SameSeed, "leaves_the_seed_alone"),
        (BySet, "gives_the_same_in_every_process"),
    ],
)
def test_a_source_whose_splits_are_not_what_they_should_be_is_found(cls: type, failed: str) -> None:
    with pytest.raises(ConformanceError, match=failed):
        make(failed, cls)


class Few(Noise):
    """A few examples are in two splits, as in many a collection."""

    def held_out(self, name: SplitName) -> Tensor:
        x = super().held_out(name)
        return torch.cat((x, self.train()[:5]))


class ValIsTest(Noise):
    """Holds nothing out: whoever validates does it on the test examples."""

    def held_out(self, name: SplitName) -> Tensor:
        return drawn(2)


class Coins(Noise):
    """Three coins, of which there are eight."""

    def split(self, name: SplitName) -> Examples:
        x = super().split(name).x.round()
        x[:, :, :, 1:] = 0
        x[:, :, 3] = 0
        return Examples(x)


@pytest.mark.parametrize("cls", [Noise, Few, ValIsTest, Coins])
def test_honest_sources_pass(cls: type) -> None:
    make(APART, cls)
    make("leaves_the_seed_alone", cls)


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("examples", [3, 50, 2000])
def test_bars_of_few_kinds_are_in_every_split_and_pass(size: int, examples: int) -> None:
    make(APART, Bars, size=size, examples=examples)


def test_a_class_that_cannot_be_imported_is_not_looked_at_in_another_process() -> None:
    class Inner(Noise):
        """Noise of a test."""

    report = check_data(Inner)
    report.raise_if_failed()
    (skipped,) = report.outcome("skipped")
    assert skipped.name == "gives_the_same_in_every_process"
    assert "Inner is no class of a module that can be imported anew" in skipped.reason
