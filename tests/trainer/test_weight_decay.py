"""``optimizer.weight_decay``."""

from __future__ import annotations

import pytest
import torch
from torch.nn import Parameter

from genlab import Terms
from genlab.build import build_optimizer
from genlab.plugins import installed
from genlab.resolving import recipe_from
from genlab.train.step import TrainStep
from genlab.tree import Json
from tests.test_train import NO_SCALER
from tests.trainer.training import (
    RECIPE,
)


def optimized(name: str, value: float, gradient: float, *, fused: bool, **options: Json) -> float:
    """One parameter after one step of the optimizer that a recipe names."""
    recipe = recipe_from(RECIPE | {"optimizer": {"use": name, **options}}, "r", registry=installed().registry)
    p = Parameter(torch.tensor([value]))
    optimizer = build_optimizer(recipe, [p], installed().registry, fused=fused)
    TrainStep(lambda x: Terms((p * gradient).sum()), optimizer, NO_SCALER)([torch.zeros(1, 1)])
    return p.item()


@pytest.mark.parametrize("fused", [False, True])
def test_weight_decay_reaches_the_update(fused: bool) -> None:
    """The first step of Adam is lr g / (|g| + eps): Kingma & Ba 2015, algorithm 1, both moments corrected."""
    p, g, lr, decay, eps = 2.0, -0.5, 0.1, 0.3, 1e-3
    adamw = p * (1 - lr * decay) - lr * g / (abs(g) + eps)  # Loshchilov & Hutter 2019, algorithm 2
    assert optimized("adamw", p, g, fused=fused, lr=lr, weight_decay=decay, eps=eps) == pytest.approx(adamw)
    penalised = g + decay * p  # of the other sign
    adam = p - lr * penalised / (abs(penalised) + eps)
    assert optimized("adam", p, g, fused=fused, lr=lr, weight_decay=decay, eps=eps) == pytest.approx(adam)
    sgd = p - lr * penalised
    assert optimized("sgd", p, g, fused=fused, lr=lr, weight_decay=decay) == pytest.approx(sgd)


def test_adamw_decays_by_a_hundredth_of_the_rate_unless_told_otherwise_and_the_others_not_at_all() -> None:
    assert optimized("adamw", 2.0, 0.0, fused=True, lr=0.1) == pytest.approx(2.0 * (1 - 0.1 * 0.01))
    assert optimized("adam", 2.0, 0.0, fused=True, lr=0.1) == 2.0
    assert optimized("sgd", 2.0, 0.0, fused=True, lr=0.1) == 2.0
