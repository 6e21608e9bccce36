"""What is measured: each kind of work calls something again and again, and tells whoever watches of each call."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from torch import Tensor

from genlab.assembly import choose_runner, new_state
from genlab.bench.result import BenchError, Combination
from genlab.bench.tasks import Task
from genlab.evaluate import evaluate
from genlab.interfaces import Terms
from genlab.plugins import installed
from genlab.prepare import Prepared, prepare
from genlab.resolving import overridden, recipe_from
from genlab.runfiles import Metrics
from genlab.store import load_bundle, save
from genlab.train.callbacks import Callback, Record
from genlab.train.loop import fit
from genlab.train.options import TrainOptions
from genlab.train.rate import LearningRate
from genlab.train.runners import Runner
from genlab.train.signals import StopRequest
from genlab.train.state import TrainState
from genlab.tree import Place, tree_of

FOREVER = {
    "train.epochs": 10**6,
    "train.max_steps": None,
    "train.max_time": None,
    "train.early_stopping": None,
    "train.eval_every_steps": 10**9,
}
EVALUATED = 10  # batches of one call of ``eval``
ENDED = 15  # the number of the signal that a loop is told to stop by; nothing is sent


def prepared_for(task: Task) -> Prepared:
    """Build a task's recipe, changed to what its combination says. Raises ``GenlabError``."""
    wanted = task.combination
    registry = installed().registry
    recipe = recipe_from(task.recipe, "the recipe", registry=registry)
    changes: dict[str, object] = {}
    if wanted.precision is not None:
        changes["train.precision"] = wanted.precision
    changes["train.runner"] = wanted.runner or "eager"
    if wanted.batch_size is not None:
        key = "train.batch_size" if wanted.what in ("train", "start", "quality") else "train.eval_batch_size"
        changes[key] = wanted.batch_size
    if wanted.what == "quality":
        changes |= {"seed": recipe.seed + task.round, "train.max_time": task.seconds_left}
    else:
        changes |= FOREVER
    recipe = overridden(recipe, changes, registry=registry)
    return prepare(recipe, wanted.device, tree=tree_of({}, Place("the recipe")), command="")


class Watch(Protocol):
    """Who is told of calls: a meter, or a profiler."""

    @property
    def done(self) -> bool:
        """Whether there have been enough."""

    def start(self) -> None:
        """The first call is about to be made."""

    def tick(self) -> None:
        """A call was made, or queued."""


@dataclass
class Side:
    """A training that can take its first step."""

    prepared: Prepared
    state: TrainState
    runner: Runner


@dataclass
class Ready:
    """Work that can begin. begin: calls until whoever watches is done. runner_seconds: compilation or capture.

    call: a single one; None for training, which has a side instead.
    """

    begin: Callable[[Watch], None]
    examples_per_call: float | None
    runner_seconds: float | None = None
    call: Callable[[], object] | None = None
    side: Side | None = None


def ready(prepared: Prepared, combination: Combination) -> Ready:
    """Make ready what a combination measures, one kind of work each."""
    if combination.what in ("train", "start"):
        return _training(prepared)
    size = prepared.recipe.train.eval_batch_size
    model = prepared.model
    if combination.what == "sample":
        return _calling(lambda: model.sample(size, seed=0), size)
    if combination.what == "encode":
        x = next(iter(prepared.val))
        return _calling(lambda: model.encode(x), len(x))
    if combination.what == "eval":
        batches = list(islice(prepared.val, EVALUATED))
        seed, on = prepared.recipe.seed, prepared.device
        return _calling(
            lambda: evaluate(model, prepared.objective, batches, on, seed=seed), sum(map(len, batches))
        )
    if combination.what == "load":
        return Ready(lambda watch: _load(prepared, watch), None)
    raise BenchError(f"{combination.what}: no such work")


def runner_of(prepared: Prepared, state: TrainState) -> Runner:
    """Return the runner that the recipe names, and lay out the state so that it can be restored to what it is."""
    LearningRate(state.optimizer, prepared.schedule, 1)  # notes the first rate in the optimizer
    return choose_runner(prepared, state, prepared.recipe.train.runner).runner


def _calling(call: Callable[[], object], examples: int) -> Ready:
    return Ready(_repeated(call), examples, call=call)


def _repeated(call: Callable[[], object]) -> Callable[[Watch], None]:
    def begin(watch: Watch) -> None:
        watch.start()
        while not watch.done:
            call()
            watch.tick()

    return begin


class _Ticks(Callback):
    """Tells a watch of each step of the real loop, and stops the loop when the watch is done."""

    def __init__(self, watch: Watch, stop: StopRequest) -> None:
        self.watch, self.stop = watch, stop

    def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
        """Count the step."""
        self.watch.tick()
        if self.watch.done:
            self.stop.signal = ENDED


def _training(prepared: Prepared) -> Ready:
    state = new_state(prepared)
    began = time.perf_counter()
    runner = runner_of(prepared, state)
    prepared.device.synchronize()
    taken = time.perf_counter() - began
    options = prepared.recipe.train

    def begin(watch: Watch) -> None:
        stop = StopRequest()
        ticks = _Ticks(watch, stop)
        watch.start()
        trained(Side(prepared, state, runner), stop, ticks)

    return Ready(
        begin,
        prepared.train.examples / prepared.train.steps_per_epoch(options.accumulate),
        None if options.runner == "eager" else taken,
        side=Side(prepared, state, runner),
    )


def trained(
    side: Side,
    stop: StopRequest,
    *callbacks: Callback,
    options: TrainOptions | None = None,
    batches: Callable[[], Iterable[Tensor]] | None = None,
) -> None:
    """Run genlab's own loop until it is told to stop, or its options end it.

    options: instead of the recipe's. batches: what is evaluated, (B, *event) each, instead of all validation data.
    """
    prepared, state = side.prepared, side.state
    chosen, seed = options or prepared.recipe.train, prepared.recipe.seed
    model, objective, device = prepared.model, prepared.objective, prepared.device
    fit(
        state,
        side.runner,
        LearningRate(prepared.optimizer, prepared.schedule, chosen.steps(state.steps_per_epoch)),
        prepared.train,
        lambda: evaluate(model, objective, batches() if batches else prepared.val, device, seed=seed),
        chosen,
        seed=seed,
        stop=stop,
        callbacks=callbacks,
    )


def _load(prepared: Prepared, watch: Watch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "model"
        none = Metrics(metrics={}, epoch=0, protocol="", command="", seed=0, device="", history=[])
        save(bundle, prepared.model, none, "")
        _repeated(lambda: load_bundle(bundle, str(prepared.device.on)))(watch)


class _Target(Callback):
    """Stops training at the first evaluation that reaches a val/loss; remembers when that was."""

    def __init__(self, target: float, stop: StopRequest) -> None:
        self.target, self.stop = target, stop
        self.began = time.perf_counter()
        self.seconds: float | None = None
        self.loss = math.inf
        self.epochs = 0.0

    def on_evaluation(self, record: Record, state: TrainState) -> None:
        """Look at it."""
        self.loss = min(self.loss, record.metrics["val/loss"])
        self.epochs = state.step / state.steps_per_epoch
        if self.loss <= self.target:
            self.seconds = time.perf_counter() - self.began
            self.stop.signal = ENDED


@dataclass(frozen=True)
class Reached:
    """A training to a val/loss. seconds: None if it ended before."""

    seconds: float | None
    loss: float
    epochs: float
    runner_seconds: float | None


def to_quality(prepared: Prepared, target: float) -> Reached:
    """Train as the recipe says until an evaluation reaches ``target``; evaluations count, compilation does not."""
    state = new_state(prepared)
    began = time.perf_counter()
    runner = runner_of(prepared, state)
    taken = None if prepared.recipe.train.runner == "eager" else time.perf_counter() - began
    stop = StopRequest()
    watch = _Target(target, stop)
    trained(Side(prepared, state, runner), stop, watch)
    return Reached(watch.seconds, watch.loss, watch.epochs, taken)
