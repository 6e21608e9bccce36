"""When to evaluate, and when to stop."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

import genlab
from genlab import LatentModel, Objective, Terms
from genlab.errors import RecipeError
from genlab.opening import open_recipe
from genlab.parts.objectives import ELBO
from genlab.plugins import installed
from genlab.recipe import Recipe
from genlab.train import loop, state
from genlab.train.callbacks import Callback
from genlab.train.options import EarlyStopping, TrainOptions
from tests.test_train import Scripted, train
from tests.trainer.training import (
    run,
)


class Rising(Objective):
    """The evidence lower bound, with a ``kl`` in its logs that rises from the third step on."""

    def __init__(self) -> None:
        super().__init__()
        self.elbo, self.steps = ELBO(), 0

    def forward(self, model: LatentModel, x: Tensor) -> Terms:
        self.steps += 1
        terms = self.elbo(model, x)
        return Terms(terms.loss, {"kl": torch.tensor(abs(self.steps - 3.0))})


def test_early_stopping_watches_a_metric_of_training() -> None:
    options = TrainOptions(
        epochs=30, eval_every_steps=1, early_stopping=EarlyStopping(monitor="train/kl", patience=3)
    )
    done = train(Scripted(*range(90, 0, -1)), options, objective=Rising())  # val/loss falls all the time
    assert done.ended == "early stopping"
    assert [record.metrics["train/kl"] for record in done.records] == [2, 1, 0, 1, 2, 3]
    assert [record.best for record in done.records] == [True, True, True, False, False, False]


def test_early_stopping_watches_any_metric_of_validation() -> None:
    found = iter([{"loss": 9 - i, "nll": nll} for i, nll in enumerate((5.0, 6.0, 4.0, 4.0, 4.5, 1.0))])
    options = TrainOptions(epochs=30, early_stopping=EarlyStopping(monitor="val/nll", patience=2))
    done = train(lambda: next(found), options)
    assert done.ended == "early stopping"
    assert [record.best for record in done.records] == [True, False, True, False, False]


def test_a_recipes_early_stopping_decides_which_model_is_kept(bars: Path) -> None:
    more = {"train.early_stopping": {"monitor": "val/kl", "patience": 2}, "train.epochs": 50, "optimizer.lr": 0.01}
    done = run(bars, more)
    kls = [record.metrics["val/kl"] for record in done.records]
    assert done.ended == "early stopping"
    assert done.metrics["val/kl"] == min(kls) == kls[-3]
    assert done.metrics["val/loss"] > min(record.metrics["val/loss"] for record in done.records)


@pytest.mark.parametrize(
    ("options", "steps", "ended"),
    [
        ({"epochs": 2, "eval_every_steps": 2}, [2, 4, 6], "all epochs done"),
        ({"epochs": 2, "eval_every_steps": 4}, [4, 6], "all epochs done"),
        ({"epochs": 2, "eval_every_steps": 99}, [6], "all epochs done"),
        ({"epochs": 2, "eval_every_steps": 4, "eval_every_epochs": 1}, [4, 6], "all epochs done"),
        ({"epochs": 5, "eval_every_epochs": 2}, [6, 12, 15], "all epochs done"),
        ({"epochs": 4, "eval_every_epochs": 4}, [12], "all epochs done"),
        ({"epochs": 9, "max_steps": 8}, [3, 6, 8], "step limit"),
        ({"epochs": 9, "max_steps": 1}, [1], "step limit"),
        ({"epochs": 9, "max_steps": 6}, [3, 6], "step limit"),
        ({"epochs": 2, "max_steps": 6}, [3, 6], "all epochs done"),
        ({"epochs": 2, "max_steps": 600}, [3, 6], "all epochs done"),
        ({"epochs": 9, "max_steps": 5, "eval_every_steps": 2}, [2, 4, 5], "step limit"),
        ({"epochs": 3, "accumulate": 2}, [2, 4, 6], "all epochs done"),
    ],
)
def test_evaluations_come_when_they_are_due_and_at_the_end(
    options: dict[str, int], steps: list[int], ended: str
) -> None:
    done = train(Scripted(*range(20)), TrainOptions(**options))  # type: ignore[arg-type]
    assert [record.step for record in done.records] == steps
    assert done.ended == ended
    assert done.state.step == steps[-1]


def test_training_metrics_are_of_the_steps_since_the_last_evaluation() -> None:
    done = train(Scripted(1, 2, 3), TrainOptions(epochs=2, eval_every_steps=4), objective=Rising())
    first, second = (record.metrics["train/kl"] for record in done.records)  # of batches of 4, 4, 2, 4 and 4, 2
    assert first == pytest.approx((2 * 4 + 1 * 4 + 0 * 2 + 1 * 4) / 14)
    assert second == pytest.approx((2 * 4 + 3 * 2) / 6)


class FakeTime(Callback):
    """A clock that says what it is told, and goes on by a second with every step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for module in (loop, state):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))

    def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
        self.now += 1


@pytest.mark.parametrize(
    ("max_time", "steps"), [(4.5, [3, 5]), (5, [3, 5]), ("6s", [3, 6]), ("1m", [3, 6, 9, 12])]
)
def test_a_time_limit_ends_training_with_an_evaluation(
    max_time: float | str, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = TrainOptions(epochs=4, max_time=max_time)  # type: ignore[arg-type]
    done = train(Scripted(*range(20)), options, callbacks=[FakeTime(monkeypatch)])
    assert [record.step for record in done.records] == steps
    assert done.ended == ("time limit" if steps[-1] < 12 else "all epochs done")


def test_time_spent_on_evaluations_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeTime(monkeypatch)

    def slow() -> dict[str, float]:
        clock.now += 100
        return {"loss": 1.0}

    done = train(slow, TrainOptions(epochs=4, max_time=50), callbacks=[clock])
    assert (done.ended, [record.step for record in done.records]) == ("time limit", [3])
    assert done.records[0].seconds == 103
    assert done.records[0].images_per_second == 10 / 3


def test_however_short_the_time_there_is_a_model_of_a_step_at_least(bars: Path) -> None:
    more = {"train.max_time": 1e-6, "train.early_stopping": {"monitor": "train/kl"}}
    done = genlab.run(bars, more, device="cpu")
    assert done.ended == "time limit"
    assert done.step >= 1
    assert {"train/kl", "val/kl"} <= done.metrics.keys()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 90), ("0.5", 0.5), ("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400),
        ("1d", 86400), ("1h1m1s", 3661),
    ],
)  # fmt: skip
def test_a_time_is_read_in_seconds(written: str, seconds: float, bars: Path) -> None:
    assert with_max_time(bars, written).train.max_time == seconds


@pytest.mark.parametrize(
    "written",
    ["soon", "''", "'90'", "10 m", "m10", "10min", "-5s", "0s", "0", "-1", "true", "[90]", ".inf", ".nan",
     "1h 30m", "10M", "1..5s", "9" * 400 + "s"],
)  # fmt: skip
def test_what_is_no_time_is_refused_where_it_stands(written: str, bars: Path) -> None:
    with pytest.raises(RecipeError, match=r"bars\.yaml:8:3: train\.max_time: "):
        with_max_time(bars, written)


def with_max_time(bars: Path, written: str) -> Recipe:
    text = bars.read_text().replace("train: {epochs: 2, batch_size: 32}", f"train:\n  max_time: {written}")
    bars.write_text(text)
    return open_recipe(bars, registry=installed().registry).recipe


def test_a_time_that_cannot_be_read_says_how_one_is_written(bars: Path) -> None:
    with pytest.raises(RecipeError, match=r"'soon' given; .* 90s, 10m or 1h30m"):
        with_max_time(bars, "soon")


def test_a_recipe_with_a_time_is_read_again_as_it_was_resolved(bars: Path) -> None:
    recipe = with_max_time(bars, "1h30m")
    bars.write_text(recipe.to_yaml())
    assert open_recipe(bars, registry=installed().registry).recipe == recipe
