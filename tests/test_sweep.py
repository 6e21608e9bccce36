"""Sweeps: what is asked for, checked; what is run, once; what comes out."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import genlab
from genlab import Choices, GenlabError, Range, Search
from genlab.cli import main
from genlab.errors import DeviceError, PartError, RecipeError, RunError
from genlab.opening import open_recipe
from genlab.parts.searches import Grid, Random
from genlab.plugins import installed
from genlab.runs import is_sweep
from genlab.space import Json
from genlab.sweep import Sweep, Watcher, read_sweep, resume_sweep, sweep
from genlab.sweep.outcome import Outcome
from genlab.sweep.summary import labels
from genlab.sweep.tokens import read_tokens
from tests.sweeping import StandIn

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parent.parent


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path / "log")


def states(done: Sweep) -> list[str]:
    return [outcome.state for outcome in done.outcomes]


# -- what is typed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "swept"),
    [
        ("2,8,32", Choices((2, 8, 32))),
        ("0.5, 1, 4", Choices((0.5, 1, 4))),
        ("[64],[128,64]", Choices(([64], [128, 64]))),
        ("mlp,conv", Choices(("mlp", "conv"))),
        ("mlp,{use: conv, kernel: 3}", Choices(("mlp", {"use": "conv", "kernel": 3}))),
        ("null,1.0,10", Choices((None, 1.0, 10))),
        ('"a,b",c', Choices(("a,b", "c"))),
        ("2..64", Range(2, 64, integer=True)),
        ("0.1..0.5", Range(0.1, 0.5)),
        ("-1..1", Range(-1, 1, integer=True)),
        ("1..2.5", Range(1, 2.5)),
        ("log:1e-4..1e-2", Range(1e-4, 1e-2, log=True)),
        ("log:1..1024", Range(1, 1024, log=True, integer=True)),
    ],
)
def test_several_values_or_a_range_are_swept(text: str, swept: Choices | Range) -> None:
    given = read_tokens([f"some.key={text}"])
    assert given.space == {"some.key": swept}
    assert given.overrides == ()


@pytest.mark.parametrize(
    "text", ["8", "[64,128]", '"a,b"', "{monitor: val/loss, patience: 2}", "../data", "conv", "[[1,2],[3]]", ""]
)
def test_one_value_is_an_override(text: str) -> None:
    given = read_tokens([f"some.key={text}"])
    assert given.space == {}
    assert [override.key for override in given.overrides] == ["some.key"]


def test_listed_seeds_are_seeds() -> None:
    assert read_tokens(["seed=3,5"]).seeds == (3, 5)
    assert read_tokens(["seed=3"]).seeds is None


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (["latent=2,8,2"], "override 'latent=2,8,2': 2 is listed twice"),
        (["latent=2,8", "latent=3"], "override 'latent=3': latent is set twice"),
        (["latent=3", "latent=2..8"], "override 'latent=2..8': latent is set twice"),
        (["latent=8..2"], "override 'latent=8..2': a range goes up: 8 is not below 2"),
        (["optimizer.lr=log:0..1"], "a logarithmic range starts above 0, not at 0"),
        (["optimizer.lr=log:-1..1"], "a logarithmic range starts above 0, not at -1"),
        (["optimizer.lr=log:1e-4"], "a range is written 0.1..0.5, or log:1e-4..1e-2 for equal ratios"),
        (["latent=2.."], "a range is written 0.1..0.5"),
        (["seed=0..9"], "seeds are listed, as in seed=0,1,2, or counted, as in --seeds 3"),
        ([".a=1,2"], "key=value,value is expected, as in latent=2,8,32"),
    ],
)
def test_a_token_that_means_nothing_is_named(tokens: list[str], said: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(said)):
        read_tokens(tokens)


# -- what is checked before anything starts --------------------------------------------------------------------

WRONG: list[tuple[list[str], str]] = [
    (["latnt=2,8"], "latnt: unknown option; did you mean 'latent'?"),
    (["latent=2,0,-8"], "override latent=0: latent: 0 given; expected: an integer"),
    (["latent=2,0,-8"], "override latent=-8: latent: -8 given"),
    (["latent=2,0", "objective.beta=1,x"], "override objective.beta='x': objective.beta: 'x' given"),
    (["latent=2,0", "objective.beta=1,x"], "override latent=0: latent: 0 given"),
    (["encoder=mlp,resnet"], "unknown encoder 'resnet'"),
    (["seed=0,-1"], "override seed=-1: seed: -1 given"),
    (["latent=2,8", "train.epochs=none"], "train.epochs: 'none' given"),
    (["latent=2..8"], "latent: a grid has no end of values from 2 to 8; list them, as in latent=2,8, or draw "
     "some: --search random --samples 20"),
    ([], "nothing is swept; list values, as in 'latent=2,8,32'"),
    (["latent=8"], "nothing is swept"),
    (["name=a,b"], "name: it changes nothing about training"),
    (["description=a,b"], "description: it changes nothing about training; sweep over something else; one text "
     "with a comma is put in quotes: 'description=\"a, b\"'"),
    (["objective.beta=1,1.0"], "objective.beta=1 and objective.beta=1.0 are the same recipe; leave one out"),
    (["latent=2,8", "seed=0,1", "--seeds", "2"], "seed=... and --seeds: one of them says which seeds there are"),
    (["latent=2,8", "--seeds", "501"], "1002 runs; one sweep has 1000 at most"),
    (["latent=2,8", "--seeds", "1001"], "1001 seeds; one sweep has 1000 runs at most"),
    ([f"latent={','.join(map(str, range(1, 40)))}", f"objective.beta={','.join(map(str, range(1, 40)))}"],
     "1521 runs; one sweep has 1000 at most: list fewer values or seeds, or draw some combinations"),
    (["objective.beta=2..8.5", "--samples", "3", "--seeds", "400"], "1200 runs; one sweep has 1000 at most"),
    (["latent=2,8", "--search", "grid", "--samples", "3"], "search 'grid' tries every combination"),
    (["latent=2..8", "--search", "random"], "search 'random': how many combinations? for example --samples 20"),
    (["latent=-3..0", "--samples", "3"], "latent: "),
    (["latent=2,8", "--search", "gird"], "--search 'gird': unknown search 'gird'; did you mean 'grid'?"),
    (["latent=2,8", "--search", ""], "--search '': a name, or {use: name, option: value}, is expected"),
    (["latent=2,8", "--search", "{use: random, draws: 3}"], "draws: unknown option; allowed: none"),
    (["latent=2,8", "--search", "[grid]"],
     "--search '[grid]': a name, or {use: name, option: value}, is expected"),
    (["latent=2,8", "--resume", "yes"], "resume='yes': 'never' or 'auto' is expected"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=lambda case: str(case)[:60])
def test_every_mistake_is_reported_before_anything_starts(
    bars: Path, arguments: list[str], said: str, capsys: Captured, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", str(bars), *arguments])
    out, err = capsys.readouterr()
    assert stopped.value.code == 2
    assert said in err
    assert "Traceback" not in out + err
    assert not (tmp_path / "runs").exists()


def test_a_search_that_is_not_installed_is_told_with_those_that_are(
    bars: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = installed().registry
    parts = {key: part for key, part in registry._parts.items() if key[:2] != ("search", "optuna")}
    monkeypatch.setattr(registry, "_parts", parts)
    with pytest.raises(SystemExit):
        main(["sweep", str(bars), "latent=2,8", "--search", "optuna", "--trials", "3"])
    assert "unknown search 'optuna'; installed: grid, random" in capsys.readouterr().err


def test_a_folder_without_a_sweep_is_named(tmp_path: Path) -> None:
    assert not is_sweep(tmp_path)
    with pytest.raises(RunError, match="no sweep can be read there"):
        resume_sweep(tmp_path)


# -- searches --------------------------------------------------------------------------------------------------


def asked(search: Search, most: int = 10_000) -> Iterator[Mapping[str, Json]]:
    while most and (values := search.ask()) is not None:
        most -= 1
        yield values


def test_a_grid_has_every_combination_once(tmp_path: Path) -> None:
    space = {"a": Choices((1, 2)), "b": Choices(("x", [3])), "c": Choices((None, True, 0.5))}
    found = [tuple(map(json.dumps, values.values())) for values in asked(Grid(space, tmp_path, 0))]
    assert len(found) == len(set(found)) == 12
    assert found[:2] == [("1", '"x"', "null"), ("1", '"x"', "true")]
    assert list(asked(Grid({}, tmp_path, 0))) == [{}]
    with pytest.raises(PartError, match="a: a grid has no end of values"):
        Grid({"a": Range(0, 1)}, tmp_path, 0)


def test_random_draws_each_combination_of_a_finite_space_once(tmp_path: Path) -> None:
    space = {"a": Choices((1, 2, 3)), "b": Range(1, 4, integer=True)}
    found = [json.dumps(values) for values in asked(Random(space, tmp_path, 0))]
    assert len(found) == len(set(found)) == 12


def test_random_is_a_function_of_its_seed(tmp_path: Path) -> None:
    space = {"a": Choices((1, 2, 3)), "lr": Range(1e-4, 1e-1, log=True)}
    first, second, other = (list(asked(Random(space, tmp_path, seed), 50)) for seed in (1, 1, 2))
    assert first == second
    assert first != other


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("integer", [False, True])
def test_a_range_is_filled_evenly_to_its_ends(tmp_path: Path, log: bool, integer: bool) -> None:
    choices = Range(1, 64, log=log, integer=integer)
    values = [choices.at((i + 0.5) / 10_000) for i in range(10_000)]
    assert all(isinstance(value, int) == integer for value in values)
    assert min(values) == pytest.approx(1, abs=0.01)
    assert max(values) == pytest.approx(64, abs=0.01)
    below = sum(value <= 8 for value in values) / len(values)
    ends = (0.5, 64.5, 8.5) if integer else (1, 64, 8)
    low, high, at = map(math.log, ends) if log else ends
    assert below == pytest.approx((at - low) / (high - low), abs=0.01)


def test_keys_are_cut_to_what_tells_them_apart() -> None:
    assert labels(["latent", "objective.beta"]) == ["latent", "beta"]
    assert labels(["encoder.hidden", "decoder.hidden", "lr"]) == ["encoder.hidden", "decoder.hidden", "lr"]


# -- what is run -----------------------------------------------------------------------------------------------


def test_each_trial_is_the_recipe_that_genlab_run_would_train(bars: Path, stand_in: StandIn) -> None:
    bars.write_text(
        bars.read_text() + "checkpoint: {every_minutes: null}\ndescription: $${x} of latent ${latent}\n"
    )
    space = {"latent": [2, 8], "objective.beta": [0.5, 1, 4]}
    done = sweep(bars, space, overrides={"train.epochs": 1}, seeds=3, jobs=3, command=stand_in)
    assert done.completed
    found = []
    for outcome in done.outcomes:
        trial = outcome.trial
        recipe = open_recipe(done.path / "trials" / f"{trial.number:03d}" / "recipe.yaml").recipe
        given = {"train.epochs": 1, **trial.values, "seed": trial.seed}
        assert recipe == open_recipe(bars, given).recipe
        found.append(recipe.to_yaml())
    assert len(found) == len(set(found)) == 18
    assert sorted(stand_in.started()) == [f"{i:03d}" for i in range(18)]
    assert {outcome.trial.seed for outcome in done.outcomes} == {0, 1, 2}


def test_seeds_count_from_the_recipes_own_or_are_those_listed(bars: Path, stand_in: StandIn) -> None:
    counted = sweep(bars, {}, overrides={"seed": 7}, seeds=2, command=stand_in)
    assert [outcome.trial.seed for outcome in counted.outcomes] == [7, 8]
    listed = sweep(bars, {}, seeds=[5, 3], command=stand_in)
    assert [outcome.trial.seed for outcome in listed.outcomes] == [5, 3]


@pytest.mark.parametrize("jobs", [1, 3])
def test_so_many_run_at_once(bars: Path, tmp_path: Path, jobs: int) -> None:
    stand_in = StandIn(tmp_path / "log", lasts=0.3)
    assert sweep(bars, {"latent": [2, 3, 4, 5]}, jobs=jobs, command=stand_in).completed
    assert stand_in.most_at_once() == jobs


def test_later_edits_of_the_recipe_change_nothing(bars: Path, stand_in: StandIn) -> None:
    class Edit(Watcher):
        def on_finish(self, outcome: Outcome, done: int, total: int) -> None:
            bars.write_text("name: [")

    assert sweep(bars, {"latent": [2, 3]}, command=stand_in, watcher=Edit()).completed


@pytest.mark.parametrize("before", [False, True], ids=["in training", "before there is a run"])
def test_a_failure_stops_no_other_and_is_told(
    bars: Path, tmp_path: Path, before: bool, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = StandIn(tmp_path / "log", fails=[3], before=before)
    monkeypatch.setitem(sweep.__kwdefaults__, "command", stand_in)
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", str(bars), "latent=2,3,4"])
    out = capsys.readouterr().out
    assert stopped.value.code == 1
    cause = "data 'bars': there is none" if before else "the loss is not finite at step 7"
    assert f"1 of 3 runs failed: {cause}\n" in out
    assert "2 of 3 runs completed" in out
    (path,) = tmp_path.glob("runs/sweeps/bars/2*")
    assert f"  latent=3 seed=0  {path}/trials/001/output.txt\n" in out
    assert states(read_sweep(path)) == ["completed", "failed", "completed"]
    assert f"to go on: genlab resume {path}" in out
    assert stand_in.started() == ["000", "001", "002"]

    stand_in.fails = []  # its cause was mended
    again = resume_sweep(path, command=stand_in)
    assert again.completed
    assert stand_in.started() == ["000", "001", "002", "001"]


def test_what_no_run_explains_is_explained(bars: Path) -> None:
    def killed(*_: object) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", "import os; os.kill(os.getpid(), 9)"]

    def idle(*_: object) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", ""]

    (first,) = sweep(bars, {"latent": [2, 3]}, command=killed).failed[:1]
    assert first.cause == "its process was ended by SIGKILL"
    (first,) = sweep(bars, {"latent": [2, 3]}, command=idle).failed[:1]
    assert first.cause == "its process ended with exit code 0 and left no completed run"


def test_two_processes_share_the_work(bars: Path, tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path / "log", lasts=0.1)
    held: list[Sweep] = []

    class Join(Watcher):
        def on_start(self, sweep: Sweep) -> None:
            path = sweep.path
            self.other = threading.Thread(target=lambda: held.append(resume_sweep(path, command=stand_in)))
            self.other.start()

    watcher = Join()
    done = sweep(bars, {"latent": list(range(2, 12))}, command=stand_in, watcher=watcher)
    watcher.other.join()
    assert done.completed
    assert held[0].completed
    assert sorted(stand_in.started()) == [f"{i:03d}" for i in range(10)]  # each once
    assert stand_in.most_at_once() == 2


def test_an_interrupt_ends_the_runs_first_and_they_go_on_later(bars: Path, tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path / "log", lasts=60)

    class Interrupt(Watcher):
        watches = True

        def on_tick(self, running: Any, done: int, total: int) -> None:
            if stand_in.most_at_once() == 2 and all(each.run is not None for each in running):
                os.kill(os.getpid(), signal.SIGINT)

    began = time.monotonic()
    done = sweep(bars, {"latent": [2, 3, 4]}, jobs=2, command=stand_in, watcher=Interrupt())
    assert time.monotonic() - began < 30
    assert done.signal == signal.SIGINT
    assert states(done) == ["interrupted", "interrupted", "waiting"]
    stand_in.lasts = 0
    again = resume_sweep(done.path, command=stand_in)
    assert again.completed
    assert [outcome.run for outcome in again.outcomes[:2]] == [outcome.run for outcome in done.outcomes[:2]]


def test_the_command_goes_on_with_the_newest_unfinished_sweep_of_the_same(bars: Path, tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path / "log", fails=[3])
    space = {"latent": [2, 3]}
    first = sweep(bars, space, command=stand_in)
    assert not first.completed
    stand_in.fails = []
    other = sweep(bars, {"latent": [2, 4]}, resume="auto", command=stand_in)
    assert other.path != first.path
    again = sweep(bars, space, resume="auto", command=stand_in)
    assert again.path == first.path
    assert again.completed
    assert sweep(bars, space, resume="auto", command=stand_in).path != first.path  # that one is completed
    sweep(bars, {"latent": [5, 6]}, command=StandIn(tmp_path / "log", fails=[6]))
    bars.write_text(bars.read_text().replace("hidden: [16]", "hidden: [8]"))
    changed = sweep(bars, {"latent": [5, 6]}, resume="auto", command=stand_in)
    assert len(list(changed.path.parent.glob("2*"))) == 5


# -- searches by results ---------------------------------------------------------------------------------------


class Upwards(Search):
    """Asks for the latent after the best so far; for what it asked before, if it is told nothing new."""

    told: list[tuple[Json, float | None]]

    def __init__(self, space: Any, folder: Path, seed: int) -> None:
        assert folder.is_dir()
        self.told = TOLD
        self.told.clear()

    def ask(self) -> Mapping[str, Json]:
        tried = [latent for latent, _ in self.told if isinstance(latent, int)]
        return {"latent": max(tried, default=1) + 1}

    def tell(self, values: Mapping[str, Json], loss: float | None) -> None:
        self.told.append((values["latent"], loss))


TOLD: list[tuple[Json, float | None]] = []


@pytest.fixture
def upwards(monkeypatch: pytest.MonkeyPatch) -> str:
    registry = installed().registry
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    registry.register("upwards", Upwards, "tests")
    return "upwards"


def test_a_search_is_told_the_mean_over_seeds(bars: Path, stand_in: StandIn, upwards: str) -> None:
    space = {"latent": Range(2, 20, integer=True)}
    done = sweep(bars, space, search=upwards, trials=3, seeds=2, command=stand_in)
    assert [pytest.approx(2 + 1 + 0.05), pytest.approx(3 + 1 + 0.05)] == [loss for _, loss in TOLD[:2]]
    assert [outcome.trial.values["latent"] for outcome in done.outcomes] == [2, 2, 3, 3, 4, 4]
    assert done.completed


def test_a_search_that_went_on_is_told_again_and_tries_nothing_twice(
    bars: Path, tmp_path: Path, upwards: str
) -> None:
    stand_in, space = StandIn(tmp_path / "log", fails=[3]), {"latent": Range(2, 20, integer=True)}
    first = sweep(bars, space, search=upwards, trials=3, command=stand_in)
    assert TOLD == [(2, 3.0), (3, None), (4, 5.0)]
    shutil.rmtree(first.path / "trials" / "002")  # as if killed before that was asked for
    stand_in.fails = []
    again = resume_sweep(first.path, command=stand_in)
    assert again.completed
    assert TOLD == [(2, 3.0), (3, 4.0), (4, 5.0)]
    assert stand_in.started() == ["000", "001", "002", "001", "002"]


def test_a_search_with_nothing_new_ends(bars: Path, stand_in: StandIn, monkeypatch: Any, upwards: str) -> None:
    monkeypatch.setattr(Upwards, "ask", lambda self: {"latent": 2})
    done = sweep(bars, {"latent": Range(2, 20, integer=True)}, search=upwards, trials=3, command=stand_in)
    assert stand_in.started() == ["000"]
    assert TOLD[0] == (2, 3.0)
    assert states(done) == ["completed"]


def test_a_search_by_results_checks_each_choice_and_both_ends(bars: Path, stand_in: StandIn, upwards: str) -> None:
    with pytest.raises(RecipeError, match="override latent=0: latent: 0 given"):
        sweep(bars, {"latent": Range(0, 8, integer=True)}, search=upwards, trials=3, command=stand_in)
    with pytest.raises(RecipeError, match="search 'upwards': how many combinations\\? for example --trials 50"):
        sweep(bars, {"latent": Range(1, 8, integer=True)}, search=upwards, command=stand_in)


def test_a_search_by_results_goes_on_with_the_same_recipe_only(
    bars: Path, stand_in: StandIn, upwards: str
) -> None:
    done = sweep(bars, {"latent": Range(2, 9, integer=True)}, search=upwards, trials=1, command=stand_in)
    bars.write_text(bars.read_text().replace("hidden: [16]", "hidden: [8]"))
    with pytest.raises(RecipeError, match="changed since the sweep"):
        resume_sweep(done.path, command=stand_in)


# -- what comes out --------------------------------------------------------------------------------------------


def test_the_summary_is_the_mean_and_deviation_over_seeds(bars: Path, tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path / "log", fails=[9])
    done = sweep(bars, {"latent": [8, 2, 9], "objective.beta": [0.5, 4]}, seeds=3, jobs=4, command=stand_in)
    rows = json.loads((done.path / "summary.json").read_text())["rows"]
    assert [(row["values"]["latent"], row["values"]["objective.beta"]) for row in rows[:4]] == [
        (2, 0.5), (2, 4), (8, 0.5), (8, 4),
    ]  # fmt: skip
    losses = [2 + 0.5 + seed / 10 for seed in (0, 1, 2)]
    assert rows[0]["metrics"]["val/loss"]["mean"] == pytest.approx(sum(losses) / 3)
    assert rows[0]["metrics"]["val/loss"]["std"] == pytest.approx(0.1)  # of 2.5, 2.6, 2.7, by n - 1
    assert rows[0]["metrics"]["val/nll"]["std"] == pytest.approx(statistics.stdev(2 * loss for loss in losses))
    assert rows[0]["seeds"] == [0, 1, 2]
    assert [(row["values"]["latent"], row["seeds"], row["failed"]) for row in rows[4:]] == [(9, [], 3)] * 2

    with (done.path / "summary.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert len(table) == len(rows)
    for line, row in zip(table, rows, strict=True):
        assert json.loads(line["latent"]) == row["values"]["latent"]
        assert line["seeds"] == " ".join(map(str, row["seeds"]))
        for name, spread in row["metrics"].items():
            assert float(line[f"{name} mean"]) == spread["mean"]
            assert float(line[f"{name} std"]) == spread["std"]
    assert table[-1]["val/loss mean"] == ""


def test_another_metric_may_decide(bars: Path, stand_in: StandIn) -> None:
    done = sweep(bars, {"latent": [2, 3]}, metric="val/nll", command=stand_in)
    assert done.rows[0].metrics["val/nll"].mean == 6.0


def test_metric_device_and_parts_are_checked_before_anything_starts(
    bars: Path, stand_in: StandIn, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="metric 'val/nil': unknown; did you mean 'val/nll'"):
        sweep(bars, {"latent": [2, 3]}, metric="val/nil", command=stand_in)
    with pytest.raises(DeviceError, match="device 'nope'"):
        sweep(bars, {"latent": [2, 3]}, device="nope", command=stand_in)
    assert not (tmp_path / "runs").exists()


def test_a_search_of_more_than_there_is_ends_when_all_is_tried(
    bars: Path, stand_in: StandIn, upwards: str
) -> None:
    done = sweep(bars, {"latent": [2, 3]}, search=upwards, trials=5, command=stand_in)
    assert len(done.outcomes) == 2
    assert done.completed


def test_there_is_a_plot_of_each_key(bars: Path, stand_in: StandIn) -> None:
    space = {"latent": [2, 8, 32], "objective.beta": [0.5, 4], "encoder.hidden": [[8], [16, 8]]}
    done = sweep(bars, space, jobs=4, command=stand_in)
    assert sorted(path.name for path in (done.path / "plots").iterdir()) == [
        "encoder.hidden.png", "latent.png", "objective.beta.png",
    ]  # fmt: skip
    ranged = sweep(bars, {"objective.beta": Range(0.1, 10, log=True)}, trials=3, command=stand_in)
    assert [path.name for path in (ranged.path / "plots").iterdir()] == ["objective.beta.png"]


def test_a_sweep_can_be_looked_at(bars: Path, stand_in: StandIn, capsys: Captured) -> None:
    done = sweep(bars, {"latent": [2, 3], "objective.beta": [1, 2]}, seeds=2, command=stand_in)
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", str(done.path)])
    out = capsys.readouterr().out
    assert stopped.value.code in (0, None)
    assert re.search(r"2 +1 +2 +3\.050 ± 0\.071 +6\.100 ± 0\.141 ", out)
    assert "4 of 4" not in out
    assert "8 of 8 runs completed" in out
    assert f"best run {done.outcomes[0].run}" in out
    assert "val/loss may not be compared among all of these runs" in out
    assert "objective.beta: " in out
    with pytest.raises(SystemExit):
        main(["sweep", str(done.path), "--json"])
    assert json.loads(capsys.readouterr().out)["rows"][0]["metrics"]["val/loss"]["mean"] == pytest.approx(3.05)
    with pytest.raises(SystemExit):
        main(["sweep", str(done.path), "latent=2,4"])
    assert "a sweep, which stays what it is; to go on with it: genlab resume" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", str(done.path), "--jobs", "1", "--device", "cuda", "--seeds", "3", "--samples", "2", "-q"])
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "only looked at: --seeds, --jobs, --samples, --device, --quiet would do nothing" in err


def test_the_live_table_shows_what_runs_and_what_ended(bars: Path, tmp_path: Path, capsys: Captured) -> None:
    from rich.console import Console

    from genlab.cli.sweep_display import TerminalWatcher

    class Recorded(TerminalWatcher):
        def __init__(self) -> None:
            super().__init__()
            self.console = self.live.console = Console(force_terminal=True, highlight=False, width=100)

    watcher = Recorded()
    with watcher:
        sweep(bars, {"latent": [2, 3]}, command=StandIn(tmp_path / "log", lasts=0.5, fails=[2]), watcher=watcher)
    shown = capsys.readouterr().out
    assert "runs  2 runs: 2 combinations x 1 seed" in shown
    assert "running" in shown
    assert "1 of 2 over, 1 running, 1 failed" in shown


@pytest.mark.parametrize("watches", [False, True])
def test_runs_under_way_are_read_once_a_second_and_only_to_be_shown(
    watches: bool, bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genlab.sweep.work import Work

    reads: list[object] = []
    real = Work._running
    monkeypatch.setattr(Work, "_running", lambda work, child: reads.append(child) or real(work, child))

    class Watching(Watcher):
        pass

    Watching.watches = watches
    sweep(bars, {"latent": [2]}, command=StandIn(tmp_path / "log", lasts=1.5), watcher=Watching())
    assert len(reads) in (range(1, 4) if watches else (0,))


def test_what_a_run_says_cannot_reach_the_terminal_unescaped(bars: Path, capsys: Captured) -> None:
    def rude(*_: object) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", r"print('error: \x1b[2J\x1b]0;title\x07')"]

    done = sweep(bars, {"latent": [2, 3]}, command=rude)
    with pytest.raises(SystemExit):
        main(["sweep", str(done.path)])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"2 of 2 runs failed: '\x1b[2J\x1b]0;title\x07'" in out


COMMANDS = [
    line.split(maxsplit=1)[1]
    for line in (ROOT / "docs" / "sweeps.md").read_text().splitlines()
    if line.startswith("    genlab sweep bars") and "optuna" not in line
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_documents_commands_do_as_they_say(
    command: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sweep.__kwdefaults__, "command", StandIn(tmp_path / "log"))
    monkeypatch.setattr("genlab.sweep.plots.draw_sweep", lambda sweep: [])
    with pytest.raises(SystemExit) as stopped:
        main([*shlex.split(command), "--jobs", "4", "--json"])
    out, err = capsys.readouterr()
    assert stopped.value.code in (0, None), err
    assert json.loads(out)["completed"]


def test_json_wins_over_quiet(
    bars: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            main(list(arguments))
        return capsys.readouterr().out

    monkeypatch.setitem(sweep.__kwdefaults__, "command", StandIn(tmp_path / "log"))
    folder = said("sweep", str(bars), "latent=2,3", "-q").strip()
    assert Path(folder, "sweep.json").is_file()
    assert said("resume", folder, "-q").strip() == folder
    for arguments in (("resume", folder), ("sweep", str(bars), "latent=4,5")):
        assert json.loads(said(*arguments, "--json", "-q"))["completed"]


# -- real runs -------------------------------------------------------------------------------------------------


def started(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "genlab", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)


def until(what: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_six_runs_killed_after_three_and_continued_are_three_more(bars: Path, tmp_path: Path) -> None:
    arguments = ["sweep", str(bars), "latent=2,3,4", "objective.beta=0.5,1", "train.epochs=1", "--device", "cpu"]
    process = started(arguments)
    completed = '"status": "completed"'

    def done() -> list[Path]:
        found = tmp_path.glob("runs/sweeps/bars/*/trials/*/bars/*/status.json")
        return sorted(path.parent for path in found if completed in path.read_text())

    until(lambda: len(done()) >= 3)
    for pid in (process.pid, *children(process.pid)):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for run in done() for file in run.glob("*.*")}
    finished = done()
    assert len(finished) == 3

    (folder,) = tmp_path.glob("runs/sweeps/bars/2*")
    assert states(read_sweep(folder))[:3] == ["completed"] * 3
    assert started([*arguments, "--resume", "auto", "--jobs", "2"]).wait(120) == 0
    assert [folder] == list(tmp_path.glob("runs/sweeps/bars/2*"))  # the same sweep
    assert len(done()) == 6
    assert [len(list(trial.glob("bars/*/status.json"))) for trial in sorted(folder.glob("trials/*"))] == [1] * 6
    assert before == {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in before}

    outcome = read_sweep(folder).outcomes[4]
    assert outcome.run is not None
    alone = genlab.run(bars, {"latent": 4, "objective.beta": 0.5, "train.epochs": 1}, device="cpu", plots=False)
    assert (outcome.run / "resolved.yaml").read_text() == (alone.directory / "resolved.yaml").read_text()
    assert outcome.metrics["val/loss"] == pytest.approx(alone.metrics["val/loss"], rel=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_runs_do_not_outlive_a_sweep_that_is_killed(bars: Path, tmp_path: Path) -> None:
    process = started(["sweep", str(bars), "latent=2,3", "train.epochs=1000000", "--device", "cpu", "--jobs", "2"])
    until(lambda: len(list(tmp_path.glob("runs/sweeps/bars/*/trials/*/bars/*/checkpoints/*"))) >= 2)
    runs = children(process.pid)
    assert len(runs) == 2
    process.kill()
    process.wait()
    until(lambda: not any(map(alive, runs)), 30)
    (folder,) = tmp_path.glob("runs/sweeps/bars/2*")
    assert states(read_sweep(folder)) == ["interrupted", "interrupted"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.jsonl", "5"),
        ("metrics.jsonl", '{"epoch": Infinity}'),
        ("timing.jsonl", "[" * 200_000),
        ("timing.jsonl", '{"seconds": "x"}'),
        ("metrics.jsonl", None),
        ("status.json", None),
    ],
)
def test_a_trials_damaged_files_are_left_out(
    name: str, content: str | None, bars: Path, stand_in: StandIn, capsys: Captured
) -> None:
    done = sweep(bars, {"latent": [2, 3]}, command=stand_in)
    run = done.outcomes[0].run
    assert run is not None
    (run / name).unlink()
    os.mkfifo(run / name) if content is None else (run / name).write_text(content)
    (done.path / "plots" / "x.png").mkdir()
    for command in ("sweep", "report"):
        with pytest.raises(SystemExit) as stopped:
            main([command, str(done.path)])
        assert stopped.value.code in (0, None), capsys.readouterr()
    assert "val/loss" in capsys.readouterr().out


def test_a_trial_of_other_keys_or_a_sweep_of_no_seeds_is_damaged(bars: Path, stand_in: StandIn) -> None:
    done = sweep(bars, {"latent": [2, 3]}, command=stand_in)
    path = done.path / "trials" / "000" / "trial.json"
    trial = json.loads(path.read_text())
    path.write_text(json.dumps(trial | {"values": {"seed": 1}}))
    with pytest.raises(GenlabError, match="damaged: its values are not of latent"):
        resume_sweep(done.path)
    path.write_text(json.dumps(trial))
    spec = json.loads((done.path / "sweep.json").read_text())
    (done.path / "sweep.json").write_text(json.dumps(spec | {"seeds": []}))
    with pytest.raises(GenlabError, match="damaged"):
        read_sweep(done.path)


def test_no_sweep_is_read_where_there_is_damage(bars: Path, stand_in: StandIn) -> None:
    done = sweep(bars, {"latent": [2, 3]}, command=stand_in)
    (done.path / "sweep.json").write_text("{")
    with pytest.raises(GenlabError, match="damaged, or written by another version"):
        read_sweep(done.path)
