"""What a recipe's ``schedule:`` promises."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from genlab.errors import RecipeError, TrainingError
from genlab.interfaces import Schedule
from genlab.parts.schedules import Constant, Cosine, OneCycle, Plateau
from genlab.registry import Registry
from genlab.train.callbacks import Record
from genlab.train.rate import LearningRate
from genlab.wording import shown
from tests.trainer.training import (
    NOISELESS,
    Overrides,
    Watch,
    rate,
    run,
    weights,
)


@pytest.mark.parametrize(
    ("schedule", "steps", "values"),
    [
        (Constant(), 100, {0: 1, 1: 1, 99: 1, 100: 1}),
        (Constant(warmup_steps=3), 100, {0: 1 / 4, 1: 2 / 4, 2: 3 / 4, 3: 1, 4: 1, 99: 1}),
        (Cosine(), 100, {0: 1, 25: (1 + math.sqrt(0.5)) / 2, 50: 0.5, 75: (1 - math.sqrt(0.5)) / 2, 100: 0}),
        (Cosine(final=0.2), 100, {0: 1, 50: 0.6, 100: 0.2, 150: 0.2}),
        (Cosine(warmup_steps=10), 110, {0: 1 / 11, 4: 5 / 11, 9: 10 / 11, 10: 1, 60: 0.5, 110: 0}),
        (OneCycle(), 101, {0: 0.04, 15: 0.52, 30: 1, 65: (1 + 4e-6) / 2, 100: 4e-6}),
        (OneCycle(peak=0.5, start=0.5, final=0.25), 101, {0: 0.5, 25: 0.75, 50: 1, 75: 0.625, 100: 0.25}),
        (Plateau(), 100, {0: 1, 50: 1, 100: 1}),
        (Plateau(warmup_steps=1), 100, {0: 0.5, 1: 1, 2: 1}),
    ],
)
def test_a_schedule_takes_its_known_values(schedule: Schedule, steps: int, values: dict[int, float]) -> None:
    found = {step: schedule.factor(step, steps, []) for step in values}
    assert found == pytest.approx(values, abs=1e-9)


@pytest.mark.parametrize(
    ("losses", "factor"),
    [
        ([], 1),
        ([5, 4, 3, 2], 1),
        ([5, 4, 4], 1),  # one evaluation without a new best
        ([5, 4, 4, 4], 0.1),  # two
        ([5, 4, 4, 3.9, 4], 1),  # waits anew after a new best
        ([5, 4, 4, 4, 4], 0.1),  # and after it was lowered
        ([5, 4, 6, 5, 4, 4], 0.01),
        ([5, 4, 6, 5, 3, 2, 1], 0.1),  # never rises again
        ([1] * 9, 0.004),  # no lower than final
    ],
)
def test_plateau_lowers_the_rate_when_its_metric_no_longer_falls(losses: list[float], factor: float) -> None:
    history = [{"val/loss": 0.0, "val/nll": loss} for loss in losses]
    schedule = Plateau(monitor="val/nll", patience=2, shrink=0.1, final=0.004)
    assert schedule.factor(50, 100, history) == pytest.approx(factor)


def test_plateau_names_a_metric_that_is_not_there() -> None:
    with pytest.raises(TrainingError, match="no metric 'val/nll'; there are val/loss"):
        Plateau(monitor="val/nll").factor(3, 9, [{"val/loss": 1.0}])


SCHEDULES: list[Callable[[], Schedule]] = [
    Constant,
    lambda: Constant(warmup_steps=4),
    Cosine,
    lambda: Cosine(warmup_steps=4, final=0.1),
    OneCycle,
    lambda: OneCycle(peak=0.9, start=0.0, final=0.0),
    lambda: Plateau(patience=1, shrink=0.5, warmup_steps=4, final=0.0),
]


@pytest.mark.parametrize("build", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 50])
def test_a_factor_lies_from_0_to_1_however_long_training_is(build: Callable[[], Schedule], steps: int) -> None:
    history = [{"val/loss": 1.0}] * 3
    factors = [build().factor(step, steps, history) for step in range(steps + 10)]
    assert all(0 <= factor <= 1 for factor in factors)


@pytest.mark.parametrize("build", SCHEDULES)
def test_a_factor_depends_on_its_arguments_alone(build: Callable[[], Schedule]) -> None:
    schedule, histories = build(), [[{"val/loss": float(loss)} for loss in range(n)] for n in (0, 3)]
    calls = [(step, 20, history) for step in range(20) for history in histories]
    in_order = [schedule.factor(*call) for call in calls]
    assert [schedule.factor(*call) for call in reversed(calls)] == in_order[::-1]
    assert [build().factor(*call) for call in calls] == in_order
    assert histories == [[], [{"val/loss": 0.0}, {"val/loss": 1.0}, {"val/loss": 2.0}]]


class Told(Schedule):
    """A factor that says what it was told."""

    def factor(self, step: int, steps: int, history: Iterable[Mapping[str, float]]) -> float:
        return 1000 * steps + 10 * step + sum(metrics["val/loss"] for metrics in history)


def a_record(loss: float) -> Record:
    return Record(1, 1, 1.0, 1.0, {"val/loss": loss}, best=True)


def test_the_rate_is_the_optimizers_own_times_the_factor() -> None:
    groups = [{"params": [Parameter(torch.zeros(1))], "lr": lr} for lr in (0.5, 0.25)]
    optimizer = torch.optim.SGD(groups)
    rate = LearningRate(optimizer, Told(), steps=7)
    records: list[Record] = []
    for step, factor in ((0, 7000), (1, 7010), (1, 7011), (2, 7023)):  # 0, 0, 1 and 2 evaluations
        if factor % 10:
            records.append(a_record(float(len(records) + 1)))
        rate.set(step, records)
        assert [group["lr"] for group in optimizer.param_groups] == [0.5 * factor, 0.25 * factor]


def test_a_rate_that_is_a_tensor_is_filled_where_it_lies() -> None:
    optimizer = torch.optim.SGD([Parameter(torch.zeros(1))], lr=0.5)
    rate = LearningRate(optimizer, Constant(warmup_steps=3), steps=7)
    tensor = optimizer.param_groups[0]["lr"] = torch.tensor(0.5)  # as a runner does that captures a graph
    for step, value in ((0, 0.125), (1, 0.25), (3, 0.5), (1, 0.25)):
        rate.set(step, [])
        assert optimizer.param_groups[0]["lr"] is tensor
        assert tensor.item() == value


@pytest.mark.parametrize(("more", "steps"), [({}, 14), ({"train.max_steps": 10}, 10)])
def test_a_recipes_schedule_sets_the_rate_of_every_step(bars: Path, more: Overrides, steps: int) -> None:
    bars.write_text(
        bars.read_text() + "schedule: {use: cosine, warmup_steps: 3}\noptimizer: {use: sgd, lr: 0.2}\n"
    )
    watch = Watch(rate)
    run(bars, more, watch)
    falling = [0.2 * (1 + math.cos(math.pi * (step - 3) / (steps - 3))) / 2 for step in range(3, steps)]
    assert watch.after == pytest.approx([0.05, 0.1, 0.15, *falling])


def test_the_rate_moves_the_weights(bars: Path, registry: Registry) -> None:
    """Over the first step of a warm-up of 9 SGD goes a tenth of its way without."""

    def way(more: Overrides) -> dict[str, Tensor]:
        watch = Watch(weights)
        run(bars, {**NOISELESS, "train.max_steps": 1, **more}, watch)
        return {name: watch.after[0][name] - value for name, value in watch.before.items()}

    short = way({"schedule": {"use": "constant", "warmup_steps": 9}})
    for name, whole in way({}).items():
        torch.testing.assert_close(short[name], whole / 10, rtol=1e-3, atol=1e-7)


def test_a_plateau_in_a_recipe_follows_the_evaluations(bars: Path, registry: Registry) -> None:
    """A rate of 1e-30 moves nothing, so no evaluation after the first is a new best."""
    watch = Watch(rate)
    more = {"schedule": {"use": "plateau", "patience": 2, "shrink": 0.5}, "train.epochs": 6}
    run(bars, NOISELESS | more | {"optimizer.lr": 1e-30}, watch)
    assert watch.after == pytest.approx([factor * 1e-30 for factor in (1, 1, 1, 0.5, 0.5, 0.25) for _ in range(7)])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schedule", {"use": "plateau", "monitor": "val/los"}),
        ("train.early_stopping", {"monitor": "val/los"}),
    ],
)
def test_a_metric_that_there_will_not_be_is_refused_before_training(
    bars: Path, key: str, value: object, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError) as refused:
        run(bars, {key: value})
    assert str(refused.value).startswith(
        f"override {key}={shown(value)}: {key}.monitor: unknown metric 'val/los'; did you mean 'val/loss'?"
    )
    assert "train/nll" in str(refused.value)
    assert not (tmp_path / "runs").exists()
