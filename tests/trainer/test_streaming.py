"""Data that come batch by batch: from a stream, or where they do not fit."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genlab.data import Batches, fits
from genlab.device import Capabilities, Device
from genlab.parts.bars import Bars
from tests.test_train import CPU, prepare
from tests.trainer.training import (
    Watch,
    model_bytes,
    nothing,
    numbered,
    run,
)


def images(*, stream: bool, workers: int = 0) -> Batches:
    bars = Bars(size=4, examples=50)
    return Batches(bars.split("train").x, bars.prepare, 8, device=CPU, seed=3, stream=stream, workers=workers)


def same(a: Iterable[Tensor], b: Iterable[Tensor]) -> bool:
    pairs = list(zip(a, b, strict=True))
    return all(torch.equal(x, y) and x.stride() == y.stride() for x, y in pairs)


# What torch, or Python, thinks of two processes on this machine is not what is tested.
FORKS = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=FORKS)])
def test_streamed_batches_are_those_that_lie_on_the_device(workers: int) -> None:
    streamed, whole = images(stream=True, workers=workers), images(stream=False)
    python, numpy, torchs = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    assert same(streamed, whole)
    assert same(streamed.shuffled(1), whole.shuffled(1))
    assert same(streamed.shuffled(2, start=5), whole.shuffled(2, start=5))
    assert len(list(streamed.shuffled(2, start=7))) == 0
    assert random.getstate() == python
    np.testing.assert_equal(np.random.get_state(), numpy)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torchs)


def test_streamed_examples_stay_where_they_are() -> None:
    x = Bars(size=4, examples=50).split("train").x
    assert Batches(x, prepare, 8, device=CPU, stream=True).x is x


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=FORKS)])
def test_a_run_on_streamed_data_gives_the_same_model(bars: Path, workers: int) -> None:
    streamed, whole = Watch(nothing), Watch(nothing)
    a = run(bars, {"train.data": "stream", "train.workers": workers}, streamed)
    b = run(bars, {"train.data": "device"}, whole)
    assert (streamed.prepared.train.stream, streamed.prepared.train.workers) == (True, workers)
    assert not whole.prepared.train.stream
    assert model_bytes(a) == model_bytes(b)
    assert [r.metrics for r in a.records] == [r.metrics for r in b.records]


@pytest.mark.parametrize("fit", [True, False])
def test_data_that_do_not_fit_are_streamed(bars: Path, fit: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genlab.prepare.fits", lambda x, device: fit)
    watch = Watch(nothing)
    run(bars, {"train.epochs": 1}, watch)
    assert watch.prepared.train.stream is watch.prepared.val.stream is not fit


class Small(Device):
    """An accelerator with 1000 bytes left, or one that does not say."""

    left: int | None = 1000

    @property
    def free_memory(self) -> int | None:
        return self.left


class Silent(Small):
    left = None


def test_examples_fit_in_half_of_what_is_free() -> None:
    accelerator, host = Capabilities(), Capabilities(host_memory=True)
    half, more = torch.zeros(500, dtype=torch.uint8), torch.zeros(126, dtype=torch.float32)
    device = torch.device("cpu")
    assert fits(half, Small(device, accelerator))
    assert not fits(more, Small(device, accelerator))
    assert fits(more, Small(device, host))  # they lie there already
    assert fits(more, Silent(device, accelerator))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("accumulate", [1, 2, 3, 4, 7])
def test_data_go_on_exactly_where_a_training_would_be(accumulate: int, stream: bool) -> None:
    """30 examples in batches of 8: four batches an epoch, the last of 6."""

    def groups(step: int, count: int) -> list[list[list[float]]]:
        found = numbered(30, 8, stream=stream, seed=5).after(step, accumulate)
        return [[x.flatten().tolist() for x in next(found)] for _ in range(count)]

    per_epoch = -(-4 // accumulate)
    whole = groups(0, 4 * per_epoch)
    for step in range(3 * per_epoch + 1):
        assert groups(step, per_epoch) == whole[step : step + per_epoch]
    for epoch in range(4):
        shown = [batch for group in whole[epoch * per_epoch : (epoch + 1) * per_epoch] for batch in group]
        assert shown == [x.flatten().tolist() for x in numbered(30, 8, seed=5).shuffled(epoch + 1)]
