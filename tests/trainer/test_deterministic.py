"""``train.deterministic``: only operations that repeat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from genlab.errors import RecipeError, TrainingError
from genlab.prepare import Prepared
from tests.trainer.training import (
    Watch,
    model_bytes,
    run,
)


@pytest.fixture
def own_flags(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put torch's flag, and the variable that goes with it, back after a test."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.usefixtures("own_flags")
def test_deterministic_training_lets_torch_refuse_what_does_not_repeat(bars: Path) -> None:
    def flag(prepared: Prepared) -> bool:
        return torch.are_deterministic_algorithms_enabled()

    told, untold = Watch(flag), Watch(flag)
    a, b = run(bars, {"train.deterministic": True}, told), run(bars, None, untold)
    assert told.after == [True] * 14
    assert untold.after == [False] * 14
    assert model_bytes(a) == model_bytes(b)  # on the CPU all of it repeats anyway


@pytest.mark.usefixtures("own_flags")
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("lr", [0.01, 1e30])
def test_the_callers_flag_is_what_it_was_after_a_run_that_ends_well_or_not(
    bars: Path, before: bool, lr: float
) -> None:
    torch.use_deterministic_algorithms(before)
    with pytest.raises(TrainingError) if lr > 1 else nullcontext():
        run(bars, {"train.deterministic": True, "train.epochs": 1, "optimizer": {"use": "sgd", "lr": lr}})
    assert torch.are_deterministic_algorithms_enabled() is before


def test_deterministic_training_needs_a_fixed_runner(bars: Path) -> None:
    with pytest.raises(RecipeError, match=r"bars\.yaml:7:1: train: .*deterministic training needs a fixed runner"):
        run(bars, {"train.deterministic": True, "train.runner": "auto"})
