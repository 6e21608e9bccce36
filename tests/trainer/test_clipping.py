"""``train.clip_norm``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from genlab import Terms
from genlab.train.parameters import flattened
from genlab.train.step import TrainStep
from tests.test_train import NO_SCALER
from tests.trainer.training import (
    Watch,
    run,
    weights,
)


def slopes(*, flat: bool) -> tuple[list[Parameter], list[Parameter], Callable[[Tensor], Terms]]:
    """Two parameters whose gradients are the columns of x, what an optimizer is given, and their loss."""
    params = [Parameter(torch.zeros(())), Parameter(torch.zeros(()))]
    given = [flattened(params)] if flat else params

    def loss(x: Tensor) -> Terms:
        return Terms((x[:, 0] * params[0] + x[:, 1] * params[1]).mean())

    return params, list(given), loss


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    ("clip_norm", "moved"), [(1.0, (0.6, 0.8)), (2.5, (1.5, 2.0)), (5.001, (3.0, 4.0)), (None, (3.0, 4.0))]
)
def test_a_gradient_that_is_too_long_is_scaled_down_and_a_short_one_left_alone(
    clip_norm: float | None, moved: tuple[float, float], flat: bool
) -> None:
    params, given, loss = slopes(flat=flat)
    outcome = TrainStep(loss, torch.optim.SGD(given, lr=1.0), NO_SCALER, clip_norm=clip_norm)(
        [torch.tensor([[3.0, 4.0]])]
    )
    assert outcome.norm.item() == 5.0  # before clipping
    found = [-p.item() for p in params]
    assert found == (pytest.approx(moved, rel=1e-6) if clip_norm and clip_norm < 5 else list(moved))


def test_clipping_is_of_the_gradient_of_the_whole_group() -> None:
    params, given, loss = slopes(flat=False)
    step = TrainStep(loss, torch.optim.SGD(given, lr=1.0), NO_SCALER, clip_norm=4.0)
    step([torch.tensor([[30.0, 0.0]]), torch.tensor([[-30.0, 6.0]])])  # long apart, (0, 3) together
    assert [-p.item() for p in params] == [0.0, 3.0]


def test_a_recipes_clip_norm_bounds_every_step(bars: Path) -> None:
    watch = Watch(weights)
    run(bars, {"train.clip_norm": 0.001, "optimizer": {"use": "sgd", "lr": 1.0}}, watch)
    path = [torch.cat([value.flatten() for value in seen.values()]) for seen in [watch.before, *watch.after]]
    for before, after in pairwise(path):
        assert torch.linalg.vector_norm(after - before).item() == pytest.approx(0.001, rel=0.01)
