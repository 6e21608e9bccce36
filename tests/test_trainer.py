"""What a recipe's ``train:``, ``schedule:``, ``optimizer:``, ``objective:`` and ``trackers:`` promise."""

from __future__ import annotations

import math
import random
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal
from torch.nn import Parameter

import genlab
from genlab import Encoder, LatentModel, Objective, Prior, Terms
from genlab.build import build_optimizer
from genlab.data import Batches, fits
from genlab.device import Capabilities, Device
from genlab.errors import GenlabError, RecipeError, TrainingError
from genlab.evaluate import evaluate
from genlab.interfaces import Schedule, Tracker
from genlab.opening import open_recipe
from genlab.parts.bars import Bars
from genlab.parts.objectives import ELBO
from genlab.parts.optimizers import SGD, Adam, AdamW
from genlab.parts.schedules import Constant, Cosine, OneCycle, Plateau
from genlab.parts.trackers import TensorBoard
from genlab.plugins import installed
from genlab.prepare import Prepared
from genlab.recipe import Recipe
from genlab.registry import Registry
from genlab.resolving import recipe_from
from genlab.seeds import seeded
from genlab.train import loop, state
from genlab.train.callbacks import Callback, Record
from genlab.train.ema import EMA
from genlab.train.options import EarlyStopping, TrainOptions
from genlab.train.parameters import ALIGNED, alike, flattened
from genlab.train.rate import LearningRate
from genlab.train.step import TrainStep
from genlab.tree import Json
from genlab.wording import shown
from tests.conftest import ROOT
from tests.test_distributions import a_model
from tests.test_train import CPU, NO_SCALER, Scripted, prepare, train

Overrides = Mapping[str, object]
T = TypeVar("T")

NOISELESS = {"objective": "noiseless", "optimizer": {"use": "sgd", "lr": 0.05}}
RECIPE: dict[str, Json] = {
    "name": "r", "data": "bars", "latent": 2, "encoder": "mlp", "decoder": "mlp", "likelihood": "bernoulli",
}  # fmt: skip


class Noiseless(Objective):
    """The evidence lower bound at the mean of q in place of a sample."""

    def forward(self, model: LatentModel, x: Tensor) -> Terms:
        q = model.q(x)
        nll, kl = -model.p(q.mean).log_prob(x).mean(), model.kl(q, q.mean).mean()
        return Terms(nll + kl, {"nll": nll, "kl": kl})


class PlainSGD(torch.optim.SGD):
    """An optimizer that does not say that it is elementwise."""

    def __init__(self, params: Iterable[Parameter], fused: bool, *, lr: float = 0.05) -> None:
        super().__init__(params, lr=lr, fused=fused)


class Heard(Tracker):
    """Writes down what it is told."""

    made: ClassVar[list[Heard]] = []

    def __init__(self, folder: Path, step: int, *, fails_at: int | None = None) -> None:
        self.folder, self.step, self.fails_at = folder, step, fails_at
        self.logged: list[tuple[int, int, dict[str, float]]] = []
        self.closed = 0
        self.made.append(self)

    def log(self, step: int, epoch: int, metrics: Mapping[str, float]) -> None:
        if step == self.fails_at:
            raise GenlabError("the service is gone")
        self.logged.append((step, epoch, dict(metrics)))

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The installed parts, and those above."""
    registry = installed().registry
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    monkeypatch.setattr(Heard, "made", [])
    registry.register("noiseless", Noiseless, "tests")
    registry.register("plain_sgd", PlainSGD, "tests")
    registry.register("heard", Heard, "tests")
    return registry


def nothing(prepared: Prepared) -> None:
    return None


class Watch(Callback, Generic[T]):
    """Looks at what a run has prepared: before the first step, and after every one."""

    prepared: Prepared
    before: T

    def __init__(self, look: Callable[[Prepared], T]) -> None:
        self.look = look
        self.after: list[T] = []

    def announce(self, prepared: Prepared, folder: Path) -> None:
        self.prepared, self.before = prepared, self.look(prepared)

    def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
        self.after.append(self.look(self.prepared))


def run(recipe: Path, overrides: Overrides | None = None, watch: Watch[Any] | None = None) -> genlab.Run:
    seen = watch or Watch(nothing)
    return genlab.run(recipe, overrides, device="cpu", plots=False, callbacks=[seen], announce=seen.announce)


def weights(prepared: Prepared) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in prepared.model.state_dict().items()}


def rate(prepared: Prepared) -> float:
    return float(prepared.optimizer.param_groups[0]["lr"])


def largest_difference(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def model_bytes(run: genlab.Run) -> bytes:
    return (run.directory / "model" / "model.safetensors").read_bytes()


# -- accumulation -----------------------------------------------------------------------------------------


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


# -- clipping ---------------------------------------------------------------------------------------------


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


# -- parameters as one vector -----------------------------------------------------------------------------


def some_parameters() -> list[Parameter]:
    torch.manual_seed(0)
    params = [Parameter(torch.randn(shape)) for shape in ((17, 3), (5,), (8, 4, 3, 3), (), (6, 7))]
    params[2].data = params[2].data.to(memory_format=torch.channels_last)
    params[4].data = params[4].data.t()  # neither layout
    return params


def twins(params: Iterable[Parameter]) -> list[Parameter]:
    return [Parameter(p.detach().clone(memory_format=torch.preserve_format)) for p in params]


def test_flattening_keeps_values_shapes_and_memory_layouts() -> None:
    params = some_parameters()
    before = twins(params)
    vector = flattened(params)
    for p, old in zip(params, before, strict=True):
        assert torch.equal(p, old)
        assert p.shape == old.shape
        assert p.untyped_storage().data_ptr() == vector.untyped_storage().data_ptr()
        assert p.data_ptr() % (4 * ALIGNED) == vector.data_ptr() % (4 * ALIGNED)
    assert [p.stride() for p in params[:4]] == [p.stride() for p in before[:4]]
    assert params[2].is_contiguous(memory_format=torch.channels_last)
    assert vector.abs().sum().item() == pytest.approx(sum(p.abs().sum().item() for p in before), rel=1e-6)


def test_no_two_parameters_share_a_piece_of_the_vector() -> None:
    params = some_parameters()
    vector = flattened(params)
    with torch.no_grad():
        vector.zero_()
        for p in params:
            p.add_(1)
    assert all(torch.equal(p, torch.ones_like(p)) for p in params)
    assert vector.sum().item() == sum(p.numel() for p in params)


def test_gradients_arrive_in_the_vector_and_add_up_there() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(72, 3))
    CPU.place(net)
    assert not next(net.parameters()).is_contiguous()
    plain, x = deepcopy(net), torch.randn(2, 4, 5, 5)
    vector = flattened(list(net.parameters()))
    assert vector.grad is not None
    assert not vector.grad.any()
    for times in (1, 2):
        for each in (net, plain):
            each(x).square().sum().backward()
        wanted = [p.grad for p in plain.parameters()]
        for p, gradient in zip(net.parameters(), wanted, strict=True):
            assert p.grad is not None
            assert gradient is not None
            assert p.grad.untyped_storage().data_ptr() == vector.grad.untyped_storage().data_ptr()
            torch.testing.assert_close(p.grad, gradient)
        squares = sum(float(g.square().sum()) for g in wanted if g is not None)
        assert float(vector.grad.square().sum()) == pytest.approx(squares, rel=1e-5), times


STEPPERS: list[tuple[type[Adam] | type[AdamW] | type[SGD], dict[str, object]]] = [
    (Adam, {"weight_decay": 0.1}),
    (AdamW, {"weight_decay": 0.1, "betas": (0.8, 0.9)}),
    (SGD, {}),
    (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
]


def stepped(cls: type, options: Mapping[str, object], fused: bool) -> tuple[list[Parameter], list[Parameter]]:
    """Ten steps of separate parameters, and of the same ones in a vector."""
    separate = some_parameters()
    together = twins(separate)
    apart, one = cls(separate, fused, lr=0.01, **options), cls([flattened(together)], fused, lr=0.01, **options)
    for _ in range(10):
        for p, twin in zip(separate, together, strict=True):
            p.grad = torch.randn_like(p)
            assert twin.grad is not None
            twin.grad.copy_(p.grad)
        apart.step()
        one.step()
    return separate, together


@pytest.mark.parametrize(("cls", "options"), STEPPERS)
def test_a_step_of_the_vector_is_that_of_its_parts_bit_for_bit(cls: type, options: dict[str, object]) -> None:
    for p, twin in zip(*stepped(cls, options, fused=False), strict=True):
        assert torch.equal(p, twin)


@pytest.mark.parametrize(("cls", "options"), STEPPERS)
def test_a_fused_step_of_the_vector_is_that_of_its_parts(cls: type, options: dict[str, object]) -> None:
    """Nearly to the last bit: a kernel may round the ends of a tensor otherwise than its middle."""
    for p, twin in zip(*stepped(cls, options, fused=True), strict=True):
        torch.testing.assert_close(p, twin, rtol=1e-5, atol=1e-7)


def test_parameters_of_two_dtypes_do_not_share_a_vector() -> None:
    single, double = Parameter(torch.zeros(3)), Parameter(torch.zeros(2, dtype=torch.float64))
    assert alike([single, Parameter(torch.zeros(2, 2))])
    assert not alike([single, double])
    recipe = recipe_from(RECIPE, "r", registry=installed().registry)
    optimizer = build_optimizer(recipe, [single, double], installed().registry, fused=True)
    assert [p is q for p, q in zip(given_to(optimizer), [single, double], strict=True)] == [True, True]


def given_to(optimizer: torch.optim.Optimizer) -> list[Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_built_in_optimizer_is_given_one_vector(name: str, fused: bool) -> None:
    params = some_parameters()
    recipe = recipe_from(RECIPE | {"optimizer": name}, "r", registry=installed().registry)
    optimizer = build_optimizer(recipe, params, installed().registry, fused=fused)
    (vector,) = given_to(optimizer)
    assert vector.ndim == 1
    assert vector.numel() >= sum(p.numel() for p in params)
    assert optimizer.param_groups[0]["fused"] is fused


def test_an_optimizer_that_is_not_elementwise_is_given_the_parameters_themselves(registry: Registry) -> None:
    params = some_parameters()
    recipe = recipe_from(RECIPE | {"optimizer": "plain_sgd"}, "r", registry=registry)
    given = given_to(build_optimizer(recipe, params, registry, fused=True))
    assert len(given) == len(params)
    assert all(p is q for p, q in zip(given, params, strict=True))


def test_training_is_the_same_with_the_parameters_apart_and_in_a_vector(bars: Path, registry: Registry) -> None:
    apart, together = Watch(nothing), Watch(nothing)
    more = {"train.accumulate": 3, "train.clip_norm": 1.0, "train.ema": {}}
    run(bars, NOISELESS | more | {"optimizer": "plain_sgd"}, apart)
    run(bars, NOISELESS | more, together)
    assert len(given_to(apart.prepared.optimizer)) > 1 == len(given_to(together.prepared.optimizer))
    assert largest_difference(weights(apart.prepared), weights(together.prepared)) < 1e-6


@pytest.mark.parametrize("name", ["plain_sgd", "sgd"])
def test_a_second_step_on_the_same_parameters_starts_without_the_gradients_of_the_first(
    name: str, registry: Registry
) -> None:
    """As when runners are measured one after the other; no gradient reaches the last parameter."""
    params = [Parameter(torch.ones(3)), Parameter(torch.ones(2))]
    recipe = recipe_from(RECIPE | {"optimizer": {"use": name, "lr": 0.5}}, "r", registry=registry)
    optimizer = build_optimizer(recipe, params, registry, fused=True)
    for slope in (2.0, 0.0):
        TrainStep(lambda x, slope=slope: Terms((params[0] * slope).sum()), optimizer, NO_SCALER)([torch.zeros(1)])  # type: ignore[misc]
        assert [p.tolist() for p in params] == [[0.0] * 3, [1.0] * 2]


# -- averaged weights -------------------------------------------------------------------------------------


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


# -- schedules --------------------------------------------------------------------------------------------


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


# -- weight decay -----------------------------------------------------------------------------------------


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


# -- the objective ----------------------------------------------------------------------------------------


def weight_of(terms: Terms) -> float:
    """The weight of the KL term in a loss."""
    return ((terms.loss - terms.logs["nll"]) / terms.logs["kl"]).item()


@pytest.mark.parametrize("beta", [1.0, 4.0, 3])
def test_the_weight_of_the_kl_term_rises_linearly_and_evaluations_use_its_final_value(beta: float) -> None:
    model, x = a_model(), torch.rand(64, 1, 2, 2)
    objective = ELBO(beta=beta, warmup_steps=4)
    for step, share in ((0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75), (4, 1.0), (400, 1.0)):
        objective.at_step(step)
        assert objective.train().weight.item() == share * beta
        assert weight_of(objective(model, x)) == pytest.approx(share * beta, abs=1e-3)
        assert weight_of(objective.eval()(model, x)) == pytest.approx(beta, abs=1e-3)


def test_the_weight_is_filled_where_it_lies() -> None:
    objective = ELBO(warmup_steps=4)
    weight, address = objective.weight, objective.weight.data_ptr()
    objective.at_step(3)
    assert objective.weight is weight
    assert objective.weight.data_ptr() == address
    assert weight.item() == 0.75


def test_without_a_warm_up_the_weight_is_beta_at_once() -> None:
    objective = ELBO(beta=4.0).train()
    objective.at_step(0)
    assert weight_of(objective(a_model(), torch.rand(64, 1, 2, 2))) == pytest.approx(4.0, abs=1e-3)


def test_training_tells_the_objective_of_every_step() -> None:
    class Weights(Callback):
        def __init__(self) -> None:
            self.found: list[float] = []

        def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
            self.found.append(weight_of(terms))

    weights = Weights()
    train(Scripted(1, 2), TrainOptions(epochs=2), objective=ELBO(beta=2.0, warmup_steps=4), callbacks=[weights])
    assert weights.found == pytest.approx([0, 0.5, 1, 1.5, 2, 2], abs=1e-3)


class SameForAll(Encoder):
    """A posterior that does not look at x: its mean and log-variance are parameters."""

    def __init__(self, mean: Tensor, build: Callable[[Tensor], Distribution]) -> None:
        super().__init__()
        self.mean, self.build = Parameter(mean), build

    def forward(self, x: Tensor) -> Distribution:
        return self.build(self.mean.expand(len(x), -1))


def unit_normal(mean: Tensor) -> Distribution:
    return genlab.diagonal_normal(mean, torch.zeros_like(mean))


def torchs_normal(mean: Tensor) -> Distribution:
    return Independent(Normal(mean, torch.ones_like(mean), validate_args=False), 1, validate_args=False)


def correlated(mean: Tensor) -> Distribution:
    return MultivariateNormal(mean, scale_tril=torch.eye(mean.shape[-1]), validate_args=False)


def wrapped(mean: Tensor) -> Distribution:
    return Independent(correlated(mean), 0, validate_args=False)


class Fixed(Prior):
    """One distribution around zero."""

    def __init__(self, latent: int, build: Callable[[Tensor], Distribution]) -> None:
        super().__init__()
        self.latent, self.build = latent, build

    def forward(self) -> Distribution:
        return self.build(torch.zeros(self.latent))


MEAN = (3.0, 0.2, 0.0)  # of unit normals, whose KL from the prior is then 4.5, 0.02 and 0: half the squares


def with_posterior(
    build: Callable[[Tensor], Distribution], prior: Callable[[Tensor], Distribution] | None = None
) -> LatentModel:
    like = a_model()
    return LatentModel(
        SameForAll(torch.tensor(MEAN), build),
        like.decoder,
        Fixed(3, prior) if prior else like.prior,
        like.likelihood,
        x_shape=(1, 2, 2),
        latent=3,
    )


def gradients(model: LatentModel, value: Tensor) -> list[float]:
    (found,) = torch.autograd.grad(value, [model.get_parameter("encoder.mean")], retain_graph=True)
    return found.tolist()


def test_a_latent_under_its_allowance_is_not_charged_for() -> None:
    model, x = with_posterior(unit_normal), torch.rand(16, 1, 2, 2)
    terms = ELBO(beta=2.0, free_bits=0.5).train()(model, x)
    assert terms.logs["kl"].item() == pytest.approx(4.52)
    assert terms.loss.item() == pytest.approx(terms.logs["nll"].item() + 2 * (4.5 + 0.5 + 0.5), rel=1e-6)
    assert gradients(model, terms.loss - terms.logs["nll"]) == pytest.approx([2 * 3.0, 0, 0], abs=1e-5)


def test_evaluations_charge_for_every_nat() -> None:
    model, x = with_posterior(unit_normal), torch.rand(16, 1, 2, 2)
    terms = ELBO(free_bits=0.5).eval()(model, x)
    assert terms.logs["kl"].item() == pytest.approx(4.52)
    assert terms.loss.item() == pytest.approx(terms.logs["nll"].item() + 4.52, rel=1e-6)


def test_the_allowance_is_of_the_mean_over_the_batch() -> None:
    """KL 0.5 and 0.02 of two examples: 0.26 on average, above an allowance of 0.2, so both are charged for."""
    model = a_model()
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.2, 0.0, 0.0]])
    model.encoder.forward = lambda x: genlab.diagonal_normal(rows, torch.zeros(2, 3))  # type: ignore[method-assign]
    terms = ELBO(free_bits=0.2).train()(model, torch.rand(2, 1, 2, 2))
    assert (terms.loss - terms.logs["nll"]).item() == pytest.approx(0.26 + 0.2 + 0.2, abs=1e-5)


@pytest.mark.parametrize(
    ("build", "prior"), [(unit_normal, None), (torchs_normal, None), (torchs_normal, torchs_normal)]
)
def test_the_kl_of_diagonal_normals_comes_latent_by_latent(
    build: Callable[[Tensor], Distribution], prior: Callable[[Tensor], Distribution] | None
) -> None:
    model = with_posterior(build, prior)
    q = model.q(torch.rand(5, 1, 2, 2))
    z = q.rsample()
    each = model.kl_each(q, z)
    torch.testing.assert_close(each, torch.tensor([[4.5, 0.02, 0.0]]).expand(5, 3))
    torch.testing.assert_close(each.sum(1), model.kl(q, z))


@pytest.mark.parametrize(("build", "prior"), [(correlated, None), (correlated, correlated), (wrapped, wrapped)])
def test_a_posterior_that_does_not_factorise_has_one_kl_and_one_allowance(
    build: Callable[[Tensor], Distribution], prior: Callable[[Tensor], Distribution] | None
) -> None:
    model, x = with_posterior(build, prior), torch.rand(5, 1, 2, 2)
    q = model.q(x)
    z = q.rsample()
    torch.testing.assert_close(model.kl_each(q, z), model.kl(q, z)[:, None])
    terms = ELBO(free_bits=100.0).train()(model, x)
    assert (terms.loss - terms.logs["nll"]).item() == pytest.approx(3 * 100.0, rel=1e-5)
    assert gradients(model, terms.loss - terms.logs["nll"]) == pytest.approx([0, 0, 0], abs=1e-5)


# -- when to evaluate, and when to stop -------------------------------------------------------------------


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


# -- only operations that repeat --------------------------------------------------------------------------


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


# -- data that come batch by batch ------------------------------------------------------------------------


def numbered(count: int, batch_size: int, *, stream: bool = False, workers: int = 0, seed: int = 0) -> Batches:
    x = torch.arange(count, dtype=torch.float32)[:, None]
    return Batches(x, prepare, batch_size, device=CPU, seed=seed, stream=stream, workers=workers)


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


# -- trackers ---------------------------------------------------------------------------------------------


def test_a_tracker_is_told_of_every_evaluation_and_then_closed(bars: Path, registry: Registry) -> None:
    done = run(bars, {"trackers": ["heard", {"use": "heard", "fails_at": 99}], "train.epochs": 3})
    assert [heard.fails_at for heard in Heard.made] == [None, 99]
    for heard in Heard.made:
        assert (heard.folder, heard.step) == (done.directory, 0)
        assert heard.logged == [(r.step, r.epoch, dict(r.metrics)) for r in done.records]
        assert [step for step, _, _ in heard.logged] == [7, 14, 21]
        assert heard.closed == 1


def test_a_tracker_of_a_resumed_run_is_told_where_it_goes_on(bars: Path, registry: Registry) -> None:
    done = run(bars, {"trackers": ["heard"]})
    genlab.resume(done.directory, {"train.epochs": 4}, plots=False)
    _, heard = Heard.made
    assert (heard.folder, heard.step, heard.closed) == (done.directory, 14, 1)
    assert [step for step, _, _ in heard.logged] == [21, 28]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"optimizer": {"use": "sgd", "lr": 1e30}}, "not finite"),
        ({"trackers": ["heard", {"use": "heard", "fails_at": 7}]}, "the service is gone"),
    ],
)
def test_trackers_are_closed_when_training_fails(
    bars: Path, more: Overrides, message: str, registry: Registry
) -> None:
    with pytest.raises(GenlabError, match=message):
        run(bars, {"trackers": ["heard", "heard"], **more})
    assert [heard.closed for heard in Heard.made] == [1, 1]


def test_trackers_are_closed_when_another_one_cannot_start(
    bars: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_tensorboard(monkeypatch)
    with pytest.raises(GenlabError):
        run(bars, {"trackers": ["heard", "tensorboard"]})
    (heard,) = Heard.made
    assert heard.closed == 1


def without_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)


def test_without_tensorboard_its_tracker_says_what_to_install_before_the_first_step(
    bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_tensorboard(monkeypatch)
    watch = Watch(nothing)
    with pytest.raises(
        GenlabError, match=r"'tensorboard' needs TensorBoard .*pip install 'genlab\[tensorboard\]'"
    ):
        run(bars, {"trackers": ["tensorboard"]}, watch)
    assert watch.after == []


def test_the_extra_that_is_named_there_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert any(need.startswith("tensorboard") for need in project["optional-dependencies"].get("tensorboard", []))


def test_tensorboard_is_given_each_metric_as_a_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for its writer; events of a void past, after the step that is resumed from, are purged."""
    calls: list[tuple[object, ...]] = []

    class SummaryWriter:
        def __init__(self, folder: Path, *, purge_step: int) -> None:
            calls.append((folder, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            calls.append((name, value, step))

        def flush(self) -> None:
            calls.append(("flush",))

        def close(self) -> None:
            calls.append(("close",))

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=SummaryWriter))
    tracker = TensorBoard(tmp_path, 14, subfolder="curves")
    tracker.log(21, 3, {"train/loss": 2.0, "val/loss": 3.0})
    tracker.close()
    assert calls == [
        (tmp_path / "curves", 15), ("train/loss", 2.0, 21), ("val/loss", 3.0, 21), ("flush",), ("close",),
    ]  # fmt: skip


def test_an_unknown_tracker_is_refused_where_it_stands(bars: Path) -> None:
    bars.write_text(bars.read_text() + "trackers: [tensorbord]\n")
    with pytest.raises(
        RecipeError, match=r"bars\.yaml:8:12: trackers.*unknown tracker 'tensorbord'; did you mean"
    ):
        run(bars)


# -- seeds ------------------------------------------------------------------------------------------------


def drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), torch.rand(()).item()  # noqa: NPY002


@pytest.mark.parametrize("fails", [False, True])
def test_a_seeded_block_draws_from_its_seed_and_leaves_no_trace(fails: bool) -> None:
    def block(seed: int) -> tuple[float, float, float]:
        found = (0.0, 0.0, 0.0)
        try:
            with seeded(seed, CPU.on):
                found = drawn()
                if fails:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            assert fails
        return found

    with seeded(11, CPU.on):
        expected = [drawn(), drawn()]
    with seeded(11, CPU.on):
        first = drawn()
        assert block(5) == block(5)
        assert all(a != b for a, b in zip(block(5), block(6), strict=True))
        assert [first, drawn()] == expected


def test_a_block_without_a_seed_draws_on() -> None:
    with seeded(11, CPU.on):
        expected = [drawn(), drawn()]
    with seeded(11, CPU.on):
        with seeded(None, CPU.on):
            first = drawn()
        assert [first, drawn()] == expected


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_torch_cannot_take_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=f"seed {seed}: from 0 to"), seeded(seed, CPU.on):
        pass
