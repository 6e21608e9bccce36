"""Several batches a step: ``train.accumulate``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genlab import LatentModel
from genlab.registry import Registry
from genlab.train.step import TrainStep
from tests.test_distributions import a_model
from tests.test_train import NO_SCALER
from tests.trainer.training import (
    NOISELESS,
    Noiseless,
    Watch,
    largest_difference,
    nothing,
    numbered,
    run,
    weights,
)


def test_four_batches_of_8_train_as_one_of_32(bars: Path, registry: Registry) -> None:
    """210 examples: the last step of an epoch has 18, as three batches of 8, 8 and 2."""
    data = {"data": {"use": "bars", "size": 4, "examples": 210}, **NOISELESS}
    pieces, whole, eights = Watch(nothing), Watch(nothing), Watch(nothing)
    a = run(bars, data | {"train.batch_size": 8, "train.accumulate": 4}, pieces)
    b = run(bars, data | {"train.batch_size": 32}, whole)
    run(bars, data | {"train.batch_size": 8, "train.max_steps": 14}, eights)
    assert [r.step for r in a.records] == [r.step for r in b.records] == [7, 14]
    assert largest_difference(weights(pieces.prepared), weights(whole.prepared)) < 1e-6
    assert largest_difference(weights(eights.prepared), weights(whole.prepared)) > 1e-3
    for mine, theirs in zip(a.records, b.records, strict=True):
        assert mine.metrics == pytest.approx(theirs.metrics, rel=1e-5)


def test_a_smaller_batch_of_a_group_counts_by_its_examples() -> None:
    pieces, whole = a_model(), a_model()
    pieces.load_state_dict(whole.state_dict())
    x = torch.cat([torch.rand(8, 1, 2, 2), torch.zeros(8, 1, 2, 2), torch.ones(2, 1, 2, 2)])

    def step_of(model: LatentModel) -> TrainStep:
        return TrainStep(lambda x: Noiseless()(model, x), torch.optim.SGD(model.parameters(), lr=0.1), NO_SCALER)

    a, b = step_of(pieces)(x.split([8, 8, 2])), step_of(whole)([x])
    assert largest_difference(pieces.state_dict(), whole.state_dict()) < 1e-6
    torch.testing.assert_close(a.terms.loss, b.terms.loss)
    torch.testing.assert_close(a.terms.logs, b.terms.logs)
    torch.testing.assert_close(a.norm, b.norm)
    assert not a.terms.loss.requires_grad


@pytest.mark.parametrize(
    ("examples", "accumulate", "steps"), [(210, 1, 27), (210, 4, 7), (208, 13, 2), (208, 26, 1), (208, 99, 1)]
)
def test_an_epoch_has_as_many_steps_as_groups_of_batches(examples: int, accumulate: int, steps: int) -> None:
    data = numbered(examples, 8)
    assert data.steps_per_epoch(accumulate) == steps
    groups = data.after(0, accumulate)
    shown = torch.cat([x for _ in range(steps) for x in next(groups)])
    assert sorted(shown.flatten().tolist()) == list(range(examples))
