"""Every runner with every precision: the same training, and the same state before it begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import genlab
from genlab import device
from genlab.assembly import choose_runner, new_state
from genlab.distributions import default_validation
from genlab.errors import GenlabError
from genlab.opening import open_recipe
from genlab.plugins import installed
from genlab.prepare import Prepared, prepare
from genlab.train import choice, runners
from genlab.train.choice import choose
from genlab.train.state import TrainState
from genlab.train.step import Outcome
from genlab.train.tree import copied
from tests.test_resume import result

RUNNERS: list[Any] = ["eager", "compile", "graph"]
PRECISIONS = ["fp32", "bf16", "fp16"]


TRAINING: list[Callable[[], bool]] = [lambda: True]
"""Whether the model that is about to be recorded or compiled is in training mode."""


class FakeGraph:
    """Stands for a CUDA graph on the CPU: replaying does the work again and fills the tensors it returned.

    As with a real one, the work must read its inputs where they lay at capture, and returned tensors are
    overwritten by each replay. Unlike a real one, it does run at capture; whoever captures must undo that.
    """

    made: ClassVar[list[FakeGraph]] = []

    def __init__(self, on: torch.device) -> None:
        self.replays = 0
        FakeGraph.made.append(self)

    def capture(self, work: Callable[[], Any]) -> Any:
        assert TRAINING[-1]()  # what is recorded is a training step
        for _ in range(3):
            work()
        self.work, self.outcome = work, work()
        return self.outcome

    def replay(self) -> None:
        self.replays += 1
        for place, value in zip(_tensors(self.outcome), _tensors(self.work()), strict=True):
            place.copy_(value)


def _tensors(outcome: Outcome) -> list[Tensor]:
    return [outcome.terms.loss, *outcome.terms.logs.values(), outcome.norm]


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[FakeGraph]:
    """A CPU that has graphs."""
    monkeypatch.setitem(device._TABLE, "cpu", replace(device._TABLE["cpu"], graph=FakeGraph))
    FakeGraph.made.clear()
    return FakeGraph.made


@pytest.fixture
def quick_compile(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """torch.compile without the minute that its code generation takes: the graph is traced, and run as it is."""
    asked: list[dict[str, Any]] = []
    real = torch.compile

    def traced(loss: Any, *, options: dict[str, Any], dynamic: bool) -> Any:
        asked.append(options)
        assert TRAINING[-1]()
        torch._dynamo.reset()
        return real(loss, backend="aot_eager", dynamic=dynamic)

    monkeypatch.setattr(runners.torch, "compile", traced)
    return asked


def prepared(recipe: Path, **settings: Any) -> Prepared:
    overrides = {key.replace("__", "."): value for key, value in settings.items()}
    opened = open_recipe(recipe, overrides)
    return prepare(opened.recipe, "cpu", tree=opened.tree, command="test")


def equal(a: Any, b: Any) -> bool:
    """Whether two trees are the same to the last bit."""
    left, right = pytree.tree_leaves(a), pytree.tree_leaves(b)
    return len(left) == len(right) and all(
        torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in zip(left, right, strict=True)
    )


def settled(state: TrainState) -> dict[str, Any]:
    """The state without what a runner may change: how the optimizer is computed, and the clock."""
    tree = copied(state.tree())
    for group in tree["optimizer"]["param_groups"]:
        group.pop("capturable", None)
        group["lr"] = round(float(group["lr"]), 9)  # a graph's is a float32 tensor
    states = tree["optimizer"]["state"]
    if all(not value.any() for values in states.values() for value in values.values()):
        tree["optimizer"]["state"] = {}
    del tree["seconds"]
    return tree


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_building_a_runner_leaves_the_state_as_it_was_to_the_last_bit(
    runner: Any, precision: str, bars: Path, graphs: Any, quick_compile: Any
) -> None:
    parts = prepared(bars, train__precision=precision, train__ema={"decay": 0.9}, objective__warmup_steps=9)
    state = new_state(parts)
    TRAINING.append(lambda: parts.model.training and parts.objective.training)
    before = settled(state)
    torch.manual_seed(7)
    draws = torch.get_rng_state()
    choose_runner(parts, state, runner)
    assert equal(settled(state) | {"random": None}, before | {"random": None})
    assert torch.equal(torch.get_rng_state(), draws)
    TRAINING.pop()


@pytest.mark.parametrize("runner", RUNNERS[1:])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_runner_trains_as_eager_does(
    runner: str, precision: str, bars: Path, graphs: list[FakeGraph], quick_compile: list[Any]
) -> None:
    settings = {"train.precision": precision, "train.epochs": 4, "train.ema": {"decay": 0.9}, "schedule": "cosine",
                "objective.warmup_steps": 9, "train.clip_norm": 5.0}  # fmt: skip
    eager = genlab.run(bars, settings, plots=False, device="cpu")
    other = genlab.run(bars, settings | {"train.runner": runner}, plots=False, device="cpu")
    # In half precision a traced network rounds some intermediate values where eager does not.
    tolerance = 1e-5 if precision == "fp32" else 5e-3
    for a, b in zip(eager.records, other.records, strict=True):
        assert b.metrics == pytest.approx(dict(a.metrics), rel=tolerance, abs=tolerance)
    if runner == "graph":
        ((graph),) = graphs
        assert graph.replays == 4 * 6  # six whole batches an epoch; the smaller last one is stepped eagerly
        for a, b in zip(eager.model.parameters(), other.model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)  # whose learning rate is a float32
    else:
        assert quick_compile[0]["fallback_random"]  # the same noise as eager
    assert f'"runner": "{runner}"' in (other.directory / "env.json").read_text()


def test_compile_leaves_the_validation_of_distributions_on_for_the_rest_of_the_process(
    bars: Path, quick_compile: list[Any]
) -> None:
    with default_validation(True):
        genlab.run(bars, {"train.epochs": 1, "train.runner": "compile"}, plots=False, device="cpu")
        assert torch.distributions.Distribution._validate_args
    assert quick_compile


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_graph_reads_the_learning_rate_where_the_schedule_writes_it(
    optimizer: str, bars: Path, graphs: list[FakeGraph]
) -> None:
    parts = prepared(bars, optimizer={"use": optimizer, "lr": 0.01})
    state = new_state(parts)
    step = choose_runner(parts, state, "graph").runner
    (group,) = state.optimizer.param_groups
    rate = group["lr"]
    assert isinstance(rate, Tensor)
    batches = next(parts.train.after(0))
    before = [p.detach().clone() for p in parts.model.parameters()]
    rate.fill_(0.0)
    step(batches)
    if optimizer != "adamw":
        assert all(torch.equal(a, b) for a, b in zip(before, parts.model.parameters(), strict=True))
    rate.fill_(0.5)
    step(batches)
    assert group["lr"] is rate
    assert not all(torch.equal(a, b) for a, b in zip(before, parts.model.parameters(), strict=True))
    assert group.get("capturable", True)


def test_a_graph_resumes_exactly(bars: Path, graphs: list[FakeGraph]) -> None:
    from tests.test_resume import interrupted, resumed

    settings = {
        "train.runner": "graph",
        "train.epochs": 4,
        "optimizer": {"use": "sgd", "lr": 0.1, "momentum": 0.9},
    }
    expected = result(genlab.run(bars, settings, plots=False, device="cpu").directory)
    assert resumed(interrupted(bars, settings, 10)) == expected


def test_a_graph_withholds_an_update_that_is_not_finite_without_asking_the_device(
    bars: Path, graphs: list[FakeGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an asynchronous device does: the optimizer's fused kernels decide there."""
    parts = prepared(bars)
    asynchronous = replace(parts.device, can=replace(parts.device.can, asynchronous=True))
    parts = replace(parts, device=asynchronous)
    state = new_state(parts)
    step = choose_runner(parts, state, "graph").runner
    (x,) = next(parts.train.after(0))
    monkeypatch.setattr(Tensor, "item", None)  # which would make the device wait, and fail in a capture
    step([x])
    before = [p.detach().clone() for p in parts.model.parameters()]
    step([x * float("nan")])
    assert all(torch.equal(a, b) for a, b in zip(before, parts.model.parameters(), strict=True))
    step([x])
    assert not all(torch.equal(a, b) for a, b in zip(before, parts.model.parameters(), strict=True))


# -- what cannot be had ------------------------------------------------------------------------------------


def test_a_runner_that_the_device_has_not_is_refused_before_training(bars: Path) -> None:
    with pytest.raises(GenlabError, match="'graph' is not available on cpu; available: auto, eager, compile"):
        genlab.run(bars, {"train.runner": "graph"}, device="cpu")
    with pytest.raises(GenlabError, match=r"train\.runner: 'fast' given"):
        genlab.run(bars, {"train.runner": "fast"})


def test_an_optimizer_that_does_not_say_that_it_is_graphable_is_refused(
    bars: Path, graphs: list[FakeGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(torch.optim.SGD):
        def __init__(self, params: Any, fused: bool) -> None:
            super().__init__(params, lr=0.1)

    registry = installed().registry
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    registry.register("own", Own, "tests")
    with pytest.raises(GenlabError, match="cannot record optimizer Own"):
        genlab.run(bars, {"train.runner": "graph", "optimizer": "own"}, device="cpu")


def test_compile_without_a_compiler_says_what_to_install(bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(loss: Any, **_: Any) -> Any:
        def run(x: Tensor) -> Any:
            raise RuntimeError("no compiler")

        return run

    monkeypatch.setattr(runners.torch, "compile", broken)
    monkeypatch.setattr(runners.shutil, "which", lambda _: None)
    with pytest.raises(GenlabError, match=r"needs a C\+\+ compiler.*--runner eager"):
        genlab.run(bars, {"train.runner": "compile"}, device="cpu")
    monkeypatch.setattr(runners.shutil, "which", lambda _: "/usr/bin/g++")
    with pytest.raises(GenlabError, match=r"cannot be compiled \(no compiler\); use --runner eager"):
        genlab.run(bars, {"train.runner": "compile"}, device="cpu")


# -- auto ----------------------------------------------------------------------------------------------------


def a_choice(bars: Path, seconds: dict[str, float], steps: int, monkeypatch: pytest.MonkeyPatch) -> choice.Choice:
    """Choose between runners that are said to take so many seconds a step."""
    state = new_state(prepared(bars))
    named = {name: (lambda group, name=name: None) for name in seconds}
    monkeypatch.setattr(choice, "_seconds", lambda runner, *_: seconds[_name_of(runner, named)])
    return choose({name: (lambda name=name: named[name]) for name in seconds}, state, [], steps)  # type: ignore[misc]


def _name_of(runner: Any, named: dict[str, Any]) -> str:
    return next(name for name, function in named.items() if function is runner)


def test_auto_takes_the_fastest(bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = a_choice(bars, {"eager": 1.0, "compile": 0.9, "graph": 0.2}, 1000, monkeypatch)
    assert found.name == "graph"
    assert set(found.figures) == {"eager", "compile", "graph"}
    found = a_choice(bars, {"eager": 1.0, "compile": 1.1}, 1000, monkeypatch)
    assert found.name == "eager"
    assert "1100.00 ms a step" in str(found.figures["compile"])


def test_auto_does_not_prepare_what_the_steps_left_cannot_pay(bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = a_choice(bars, {"eager": 0.01, "compile": 0.001}, 100, monkeypatch)
    assert found.name == "eager"
    assert "not tried" in str(found.figures["compile"])


def test_auto_passes_over_what_fails(bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise GenlabError("no compiler")

    state = new_state(prepared(bars))
    monkeypatch.setattr(choice, "_seconds", lambda *_: 1.0)
    found = choose({"eager": lambda: lambda group: None, "compile": broken}, state, [], 1000)  # type: ignore[arg-type, return-value]
    assert found.name == "eager"
    assert str(found.figures["compile"]) == "not possible: no compiler"


def test_auto_measures_records_its_choice_and_trains_as_if_it_had_not(bars: Path, graphs: list[FakeGraph]) -> None:
    settings = {"train.epochs": 2}
    monkey = pytest.MonkeyPatch()
    monkey.setattr(choice, "WORTH", {"eager": 0.0, "graph": 0.0, "compile": 1e9})
    run = genlab.run(bars, settings | {"train.runner": "auto"}, plots=False, device="cpu")
    monkey.undo()
    log = (run.directory / "log.txt").read_text()
    assert "(chosen)" in log
    assert "runner compile: not tried" in log
    environment = (run.directory / "env.json").read_text()
    assert "ms a step after" in environment
    assert '"runner": "auto"' not in environment
    eager = genlab.run(bars, settings, plots=False, device="cpu")
    assert run.metrics == pytest.approx(dict(eager.metrics), rel=1e-5)


def test_modules_with_buffers_are_restored_too(bars: Path) -> None:
    """What measuring steps does to running statistics is undone."""
    parts = prepared(bars)
    parts.model.add_module("norm", nn.BatchNorm1d(2))
    state = new_state(parts)
    norm = parts.model.norm
    assert isinstance(norm, nn.BatchNorm1d)
    with state.unchanged():
        norm(torch.randn(8, 2))
        assert norm.running_mean is not None
        assert norm.running_mean.any()
    assert not norm.running_mean.any()


class Grudging(torch.optim.Optimizer):
    """An optimizer whose state is neither tensors nor zero at the start, and partly common to all parameters."""

    def __init__(self, params: Any, fused: bool) -> None:
        super().__init__(params, {"lr": 0.01})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        common = self.state["common"]  # type: ignore[index]
        common["steps"] = common.get("steps", 0) + 1
        for p in self.param_groups[0]["params"]:
            state = self.state[p]
            state.setdefault("size", torch.ones_like(p))
            state["steps"] = state.get("steps", 0) + 1
            state["size"].mul_(0.9)
            p.sub_(self.param_groups[0]["lr"] * state["size"] * p.grad.sign() / state["steps"])


@pytest.mark.parametrize("runner", ["eager", "compile"])
def test_an_optimizer_of_another_kind_starts_fresh_after_a_rehearsal_and_resumes(
    runner: str, bars: Path, quick_compile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.test_resume import interrupted, resumed

    registry = installed().registry
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    registry.register("grudging", Grudging, "tests")
    settings = {"optimizer": "grudging", "train.epochs": 4, "train.runner": runner}
    run = genlab.run(bars, settings, plots=False, device="cpu")
    (steps,) = {state["steps"] for state in _optimizer_states(run.directory).values()}
    assert steps == 4 * 7  # no rehearsal is among them
    assert resumed(interrupted(bars, settings, 10)) == result(run.directory)


def _optimizer_states(directory: Path) -> dict[Any, Any]:
    from genlab.train.checkpoints import Checkpoints

    return dict(Checkpoints(directory / "checkpoints").load()["optimizer"]["state"])


def test_auto_puts_the_learning_rate_back_if_the_graph_was_slower(
    bars: Path, graphs: Any, quick_compile: Any
) -> None:
    monkey = pytest.MonkeyPatch()
    monkey.setattr(choice, "WORTH", dict.fromkeys(choice.WORTH, 0.0))
    times = iter([1.0, 2.0, 3.0])
    monkey.setattr(choice, "_seconds", lambda *_: next(times))
    parts = prepared(bars)
    state = new_state(parts)
    assert choose_runner(parts, state, "auto").name == "eager"
    monkey.undo()
    (group,) = state.optimizer.param_groups
    assert isinstance(group["lr"], float)
    assert group["capturable"] is False


def test_a_step_that_cannot_be_recorded_is_a_message_and_auto_passes_over_it(
    bars: Path, graphs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def capture(self: FakeGraph, work: Any) -> Any:
        work()
        monkeypatch.setattr(torch.amp.GradScaler, "step", refused)  # the second rehearsal fails in mid-step
        try:
            work()
        finally:
            monkeypatch.setattr(torch.amp.GradScaler, "step", step)

    def refused(*_: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    step = torch.amp.GradScaler.step
    monkeypatch.setattr(FakeGraph, "capture", capture)
    monkeypatch.setattr(choice, "WORTH", {"eager": 0.0, "graph": 0.0, "compile": 1e9})
    settings = {"train.precision": "fp16", "train.epochs": 2}
    with pytest.raises(GenlabError, match=r"cannot be recorded \(operation not permitted.*--runner eager"):
        genlab.run(bars, settings | {"train.runner": "graph"}, device="cpu")
    auto = genlab.run(bars, settings | {"train.runner": "auto"}, plots=False, device="cpu")
    eager = genlab.run(bars, settings, plots=False, device="cpu")
    assert result(auto.directory)["model/model.safetensors"] == result(eager.directory)["model/model.safetensors"]
