"""``train.ema``: averaged weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import Parameter

from genlab.evaluate import evaluate
from genlab.parts.objectives import ELBO
from genlab.train.ema import EMA
from tests.test_train import CPU
from tests.trainer.training import (
    Watch,
    largest_difference,
    run,
    some_parameters,
    twins,
    weights,
)


def followed(path: list[dict[str, Tensor]], decay: float) -> dict[str, Tensor]:
    """The average after the last of these weights, of which the first are the initial ones."""
    average = {name: value.double() for name, value in path[0].items()}
    for n, seen in enumerate(path[1:], start=1):
        d = min(decay, (1 + n) / (10 + n))
        average = {name: d * value + (1 - d) * seen[name] for name, value in average.items()}
    return average


def test_an_average_follows_its_formula() -> None:
    """With a decay of 0.3 the early rule, (1 + n) / (10 + n), holds for two steps."""
    p = Parameter(torch.tensor([1.0, -2.0]))
    ema = EMA([p], 0.3)
    average, value = [1.0, -2.0], [1.0, -2.0]
    for d in (2 / 11, 3 / 12, 0.3, 0.3, 0.3):
        value = [v + 1.5 for v in value]
        with torch.no_grad():
            p.copy_(torch.tensor(value))
        ema.update()
        average = [d * a + (1 - d) * v for a, v in zip(average, value, strict=True)]
        assert ema.averages[0].tolist() == pytest.approx(average, rel=1e-6)
    assert p.tolist() == value


@pytest.mark.parametrize("fails", [False, True])
def test_averages_stand_in_for_a_block_and_the_parameters_come_back_bit_for_bit(fails: bool) -> None:
    params = some_parameters()
    ema = EMA(params, 0.9)
    with torch.no_grad():
        for p in params:
            p.add_(torch.randn_like(p))
    ema.update()
    before, averages = twins(params), [average.clone() for average in ema.averages]
    addresses = [p.data_ptr() for p in params]
    try:
        with ema.applied():
            assert all(torch.equal(p, average) for p, average in zip(params, averages, strict=True))
            assert not any(torch.equal(p, old) for p, old in zip(params, before, strict=True))
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert all(torch.equal(p, old) for p, old in zip(params, before, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(ema.averages, averages, strict=True))
    assert [p.data_ptr() for p in params] == addresses


def test_a_run_with_ema_keeps_the_averaged_weights_evaluated_with_them(bars: Path) -> None:
    watch = Watch(weights)
    kept = run(bars, {"train.ema.decay": 0.7, "optimizer.lr": 0.01}, watch)
    path = [watch.before, *watch.after][: kept.step + 1]
    saved = load_file(kept.directory / "model" / "model.safetensors")
    assert largest_difference(saved, followed(path, 0.7)) < 1e-6
    assert largest_difference(saved, path[-1]) > 1e-3  # the weights that training moves
    found = evaluate(kept.model, ELBO(), watch.prepared.val, CPU, seed=kept.recipe.seed)
    assert found["loss"] == pytest.approx(kept.metrics["val/loss"], rel=1e-6)


def test_averaging_changes_nothing_that_is_trained(bars: Path) -> None:
    with_ema, without = Watch(weights), Watch(weights)
    run(bars, {"train.ema": {}}, with_ema)
    run(bars, None, without)
    assert with_ema.prepared.recipe.train.ema is not None
    for a, b in zip(with_ema.after, without.after, strict=True):
        assert largest_difference(a, b) == 0
