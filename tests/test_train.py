"""The training loop, its data order, its evaluation and its guards."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genlab import LatentModel, Objective, Terms, device
from genlab.data import Batches, read_split
from genlab.device import resolve
from genlab.errors import DataError, DeviceError, TrainingError
from genlab.evaluate import Mean, evaluate
from genlab.interfaces import DataSource, Examples
from genlab.parts.bars import Bars
from genlab.parts.objectives import ELBO
from genlab.parts.schedules import Constant
from genlab.train import allocator
from genlab.train.callbacks import Callback, Plan, Record
from genlab.train.guard import POLL, FiniteGuard
from genlab.train.loop import fit
from genlab.train.options import EarlyStopping, TrainOptions
from genlab.train.rate import LearningRate
from genlab.train.signals import StopRequest
from genlab.train.state import TrainState
from genlab.train.step import Outcome, TrainStep
from tests.test_distributions import a_model

CPU = resolve("cpu")
NO_SCALER = torch.amp.GradScaler("cpu", enabled=False)


def prepare(x: Tensor) -> Tensor:
    return x.float()


def batches(count: int = 10, batch_size: int = 4, seed: int = 0) -> Batches:
    x = torch.arange(count, dtype=torch.float32)[:, None]
    return Batches(x, prepare, batch_size, device=CPU, seed=seed)


def order(of: Iterator[Tensor]) -> list[int]:
    return [int(i) for i in torch.cat(list(of))[:, 0]]


# -- order of the data ------------------------------------------------------------------------------------


def test_an_epoch_shows_every_example_once_the_smaller_last_batch_included() -> None:
    data = batches()
    assert [len(x) for x in data.shuffled(1)] == [4, 4, 2]
    assert sorted(order(data.shuffled(1))) == list(range(10))
    assert len(data) == 3


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    first = order(batches(count=100).shuffled(3))
    torch.manual_seed(99)
    assert order(batches(count=100, batch_size=7).shuffled(3)) == first
    assert order(batches(count=100).shuffled(4)) != first
    assert order(batches(count=100, seed=1).shuffled(3)) != first


def test_bytes_stay_bytes_until_a_batch_is_made() -> None:
    data = Batches(torch.full((6, 1, 2, 2), 255, dtype=torch.uint8), Bars().prepare, 4, device=CPU)
    assert data.x.dtype == torch.uint8
    assert torch.equal(next(iter(data)), torch.ones(4, 1, 2, 2))


# -- checks at the source ---------------------------------------------------------------------------------


class Given(DataSource):
    x_shape = (2,)

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def split(self, name: str) -> Examples:
        return Examples(self.x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(0, 2), "no examples"),
        (torch.zeros(3, 4), r"shape \(3, 4\)"),
        (torch.full((9000, 2), 1.0).index_fill(0, torch.tensor([8000]), math.nan), "example 8000 .* not finite"),
        (torch.full((5, 2), math.inf), "example 0 .* not finite"),
    ],
)
def test_unusable_examples_are_named_before_training(x: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_split(Given(x), "train")


def test_examples_reject_other_dtypes_and_labels_that_do_not_match() -> None:
    with pytest.raises(ValueError, match="float64; uint8 or float32"):
        Examples(torch.zeros(2, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"int64 of shape \(2,\)"):
        Examples(torch.zeros(2, 2), torch.zeros(3, dtype=torch.int64))


# -- means ------------------------------------------------------------------------------------------------


class MeanOfX(Objective):
    """The batch mean of x, so that an exact mean over a split is known."""

    def forward(self, model: LatentModel, x: Tensor) -> Terms:
        return Terms(x.mean(), {"largest": x.max()})


def test_evaluation_is_the_mean_over_examples_not_over_batches() -> None:
    x = torch.tensor([[0.0]] * 9 + [[10.0]])
    data = Batches(x, prepare, 9, device=CPU)
    assert evaluate(a_model(), MeanOfX(), data, CPU)["loss"] == pytest.approx(1.0)  # of batch means: 5.0


@pytest.mark.parametrize("batch_size", [1, 7, 64, 500])
def test_evaluation_does_not_depend_on_the_batch_size_but_for_noise(batch_size: int) -> None:
    torch.manual_seed(0)
    model, x = a_model(), torch.rand(200, 1, 2, 2)
    found = evaluate(model, ELBO(), Batches(x, prepare, batch_size, device=CPU), CPU)
    assert found["loss"] == pytest.approx(found["nll"] + found["kl"], rel=1e-5)
    reference = evaluate(model, ELBO(), Batches(x, prepare, 200, device=CPU), CPU)
    assert found["kl"] == pytest.approx(reference["kl"], rel=1e-5)  # no noise in it


def test_two_evaluations_use_the_same_noise_and_leave_state_alone() -> None:
    model, data = a_model().train(), Batches(torch.rand(50, 1, 2, 2), prepare, 20, device=CPU)
    before = torch.get_rng_state()
    assert evaluate(model, ELBO(), data, CPU) == evaluate(model, ELBO(), data, CPU)
    assert evaluate(model, ELBO(), data, CPU, seed=1) != evaluate(model, ELBO(), data, CPU)
    assert torch.equal(before, torch.get_rng_state())
    assert model.training


def test_long_sums_are_kept_in_double_precision() -> None:
    mean = Mean(CPU)
    for _ in range(20_000):
        mean.add(Terms(torch.tensor(150.1)), 1)
    assert mean.read()["loss"] == pytest.approx(float(torch.tensor(150.1)), abs=1e-9)


# -- the step and the loop --------------------------------------------------------------------------------


def test_a_step_follows_the_gradient_exactly() -> None:
    model = a_model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    x = torch.rand(8, 1, 2, 2)
    torch.manual_seed(3)
    ELBO()(model, x).loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}  # type: ignore[union-attr]
    torch.manual_seed(3)
    step = TrainStep(lambda x: ELBO()(model, x), torch.optim.SGD(model.parameters(), lr=0.1), NO_SCALER)
    outcome = step([x])
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), before[name] - 0.1 * gradients[name])
    assert not outcome.terms.loss.requires_grad
    assert outcome.norm.item() == pytest.approx(math.sqrt(sum(float((g * g).sum()) for g in gradients.values())))


class Scripted:
    """Stands for an evaluation with known losses."""

    def __init__(self, *losses: float) -> None:
        self.losses = iter(losses)

    def __call__(self) -> dict[str, float]:
        return {"loss": next(self.losses)}


def a_state(model: LatentModel, objective: Objective, steps_per_epoch: int = 3) -> TrainState:
    optimizer = torch.optim.Adam(model.parameters())
    return TrainState(model, objective, optimizer, NO_SCALER, None, CPU, steps_per_epoch)


def train(
    evaluation: Callable[[], dict[str, float]],
    options: TrainOptions,
    *,
    model: LatentModel | None = None,
    objective: Objective | None = None,
    stop: StopRequest | None = None,
    callbacks: list[Callback] | None = None,
    seed: int = 0,
) -> Fit:
    """Train on ten examples in batches of four."""
    model, objective = model or a_model(), objective or ELBO()
    x = torch.arange(40).view(10, 1, 2, 2) / 40
    state = a_state(model, objective, Batches(x, prepare, 4, device=CPU).steps_per_epoch(options.accumulate))
    ended = fit(
        state,
        TrainStep(lambda x: objective(model, x), state.optimizer, NO_SCALER, clip_norm=options.clip_norm),
        LearningRate(state.optimizer, Constant(), options.steps(state.steps_per_epoch)),
        Batches(x, prepare, 4, device=CPU),
        evaluation,
        options,
        seed=seed,
        stop=StopRequest() if stop is None else stop,
        callbacks=callbacks or [],
    )
    return Fit(state, ended)


@dataclass
class Fit:
    state: TrainState
    ended: str

    @property
    def records(self) -> list[Record]:
        return self.state.records


def test_early_stopping_waits_for_patience_and_marks_the_best() -> None:
    options = TrainOptions(epochs=30, early_stopping=EarlyStopping(patience=2))
    done = train(Scripted(5, 4, 4.5, 3, 3.5, 3.0, 1), options)
    assert done.ended == "early stopping"
    assert [record.best for record in done.records] == [True, True, False, True, False, False]
    assert [record.step for record in done.records] == [3, 6, 9, 12, 15, 18]


def test_without_early_stopping_every_epoch_is_trained_and_the_best_still_known() -> None:
    done = train(Scripted(1, 2, 3, 4), TrainOptions(epochs=4))
    assert done.ended == "all epochs done"
    assert [record.best for record in done.records] == [True, False, False, False]


def test_callbacks_hear_of_every_step_in_order() -> None:
    class Ear(Callback):
        def __init__(self) -> None:
            self.heard: list[object] = []

        def on_start(self, plan: Plan) -> None:
            self.heard.append(plan)

        def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
            self.heard.append((epoch, step, examples))

        def on_evaluation(self, record: Record, state: TrainState) -> None:
            self.heard.append(record.epoch)

    ear = Ear()
    train(Scripted(1, 2), TrainOptions(epochs=2), callbacks=[ear])
    assert ear.heard == [
        Plan(2, 6, 3), (1, 1, 4), (1, 2, 4), (1, 3, 2), 1, (2, 4, 4), (2, 5, 4), (2, 6, 2), 2,
    ]  # fmt: skip


def test_training_is_repeatable_and_does_not_touch_the_callers_random_state() -> None:
    def trained() -> list[Tensor]:
        torch.manual_seed(1)
        model = a_model()
        torch.manual_seed(torch.seed() % 1000)  # whatever state the caller is in
        before = torch.get_rng_state()
        train(Scripted(1, 2), TrainOptions(epochs=2), model=model, seed=5)
        assert torch.equal(before, torch.get_rng_state())
        return [p.detach() for p in model.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(trained(), trained(), strict=True))


def test_a_stop_request_ends_training_at_the_next_step() -> None:
    stop = StopRequest()

    class AfterFour(Callback):
        def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
            if step == 4:
                stop.signal = 2

    done = train(Scripted(1, 2), TrainOptions(epochs=50), stop=stop, callbacks=[AfterFour()])
    assert done.ended == "interrupted"
    assert len(done.records) == 1


class BadAt(Objective):
    """The ELBO until one step, where the loss becomes ``value``."""

    def __init__(self, step: int, value: float) -> None:
        super().__init__()
        self.elbo, self.at, self.value, self.step = ELBO(), step, value, 0

    def forward(self, model: LatentModel, x: Tensor) -> Terms:
        self.step += 1
        terms = self.elbo(model, x)
        return Terms(terms.loss * self.value if self.step == self.at else terms.loss, terms.logs)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_training_and_names_the_step(value: float) -> None:
    with pytest.raises(TrainingError, match="the loss is not finite at step 5, whose update was withheld;"):
        train(Scripted(1, 2, 3), TrainOptions(epochs=3), objective=BadAt(5, value))


def test_an_evaluation_that_is_not_finite_stops_training() -> None:
    with pytest.raises(TrainingError, match="val/loss is not finite after step 6"):
        train(Scripted(1, math.nan), TrainOptions(epochs=3))


def outcome(loss: float, norm: float = 1.0) -> Outcome:
    return Outcome(Terms(torch.tensor(loss)), torch.tensor(norm))


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_on_an_asynchronous_device_the_first_bad_step_is_named_though_seen_later(what: str) -> None:
    guard = FiniteGuard(device.Device(torch.device("cpu"), device._UNKNOWN), NO_SCALER)
    for step in range(1, POLL):
        bad = math.nan if step in (7, 30) else 1.0
        guard.watch(outcome(bad) if what == "loss" else outcome(1.0, bad), step)
    with pytest.raises(TrainingError, match=f"the {what} is not finite at step 7,"):
        guard.watch(outcome(1.0), POLL)


# -- devices ----------------------------------------------------------------------------------------------


def test_a_device_that_is_not_there_is_an_error_that_lists_what_is() -> None:
    with pytest.raises(DeviceError, match=r"unknown device 'gpu'; available: auto, cpu"):
        resolve("gpu")
    if not torch.accelerator.is_available():
        with pytest.raises(DeviceError, match=r"'cuda' is not available here; available: auto, cpu"):
            resolve("cuda")
        assert resolve("auto").on == torch.device("cpu")


def test_an_unknown_accelerator_gets_nothing_that_might_fail() -> None:
    can = device._device(torch.device("privateuseone")).can
    assert (can.fused, can.channels_last, can.float64) == (False, False, False)


def test_the_allocator_is_left_alone_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENLAB_MALLOC", "0")
    assert allocator.keep_freed_memory() is False


def test_the_allocator_is_left_alone_elsewhere_than_on_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert allocator.keep_freed_memory() is False


def test_loop_reads_top_to_bottom_in_under_200_lines() -> None:
    import genlab.train.loop as loop

    assert len(Path(loop.__file__).read_text().splitlines()) < 200
