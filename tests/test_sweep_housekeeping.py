"""Sweeps by their own names: shown, listed, and removed whole or not at all; and begun once."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from genlab.cli.sweep_display import show
from genlab.finding import find_sweep
from genlab.housekeeping import leftovers
from genlab.lock import locked
from genlab.sweep import Sweep, read_sweep, sweep
from tests.sweeping import StandIn
from tests.test_diff import called

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def bars(bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENLAB_RUNS", str(tmp_path / "runs"))
    return bars


@pytest.fixture
def done(bars: Path, tmp_path: Path) -> Sweep:
    return sweep(bars, {"latent": [2, 3]}, command=StandIn(tmp_path / "log"))


def test_a_sweep_is_found_by_its_own_name(done: Sweep, tmp_path: Path, capsys: Captured) -> None:
    name = done.path.name
    assert find_sweep(name) == done.path
    assert find_sweep("*") is None
    assert find_sweep(f"bars/{name}") is None
    assert "2 of 2 runs completed" in called(["runs", "show", name], capsys)
    assert "2 of 2 runs completed" in called(["sweep", name], capsys)
    assert json.loads(called(["runs", "show", name, "--json"], capsys))["completed"] is True
    assert called(["report", name], capsys).strip() == str(done.path / "report.html")


def test_the_list_counts_the_trials_that_are_still_to_come(done: Sweep, capsys: Captured) -> None:
    shutil.rmtree(done.path / "trials" / "001")
    assert "1/2 trials" in called(["runs", "list"], capsys)
    (done.path / "sweep.json").write_text('{"trials": "many", "seeds": 3}')
    assert "1/1 trial " in called(["runs", "list"], capsys)


def test_a_sweep_is_removed_whole(done: Sweep, tmp_path: Path, capsys: Captured) -> None:
    out = called(["runs", "rm", done.path.name, "--yes"], capsys)
    assert "a sweep, 2 runs" in out
    assert "removed 2 runs" in out
    assert not done.path.exists()
    assert called(["runs", "list"], capsys) == "no runs\n"
    assert not leftovers()
    assert "no such run" in called(["runs", "rm", done.path.name, "--yes"], capsys, 2)


def test_a_sweep_under_way_is_not_removed(done: Sweep, capsys: Captured) -> None:
    with locked(done.path / "trials" / "001"):
        assert "at work" in called(["runs", "rm", str(done.path), "--yes"], capsys, 2)
    run = done.outcomes[0].run
    assert run is not None
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"status": "running", "pid": os.getpid()}))
    assert "running" in called(["runs", "rm", str(done.path), "--yes"], capsys, 2)
    assert run.is_dir()


def test_what_was_left_of_a_sweep_that_was_being_removed_goes_with_the_next_pruning(
    done: Sweep, capsys: Captured
) -> None:
    hidden = done.path.with_name(f".{done.path.name}.abc.removed")
    done.path.rename(hidden)
    assert "removal was cut short" in called(["runs", "prune", "--yes"], capsys)
    assert not hidden.exists()


def test_a_trial_whose_run_was_removed_waits_and_has_not_failed(done: Sweep, capsys: Captured) -> None:
    run = done.outcomes[1].run
    assert run is not None
    trial = done.path / "trials" / "001"
    (trial / "output.txt").write_text(f"$ genlab run\n{run}\n")
    called(["runs", "rm", str(run), "--yes"], capsys)
    outcome = read_sweep(done.path).outcomes[1]
    assert (outcome.state, outcome.cause) == ("waiting", "")
    (trial / "output.txt").write_text("$ genlab run\nerror: no such luck\n")
    outcome = read_sweep(done.path).outcomes[1]
    assert (outcome.state, outcome.cause) == ("failed", "no such luck")


def test_two_that_ask_for_the_same_at_once_begin_one_sweep(bars: Path, tmp_path: Path) -> None:
    stand_in, found = StandIn(tmp_path / "log", lasts=0.3), []
    begun = threading.Barrier(2)

    def begin() -> None:
        begun.wait()
        found.append(sweep(bars, {"latent": [2, 3, 5]}, resume="auto", command=stand_in).path)

    others = [threading.Thread(target=begin) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert len(found) == 2
    assert len(set(found)) == 1
    assert sorted(stand_in.started()) == ["000", "001", "002"]


@pytest.mark.parametrize(("width", "there", "gone"), [(120, "training", ""), (40, "latent", "val/kl")])
def test_where_it_is_narrow_what_is_swept_goes_last(
    done: Sweep, capsys: Captured, monkeypatch: pytest.MonkeyPatch, width: int, there: str, gone: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    show(done, json=False)
    head = capsys.readouterr().out.splitlines()[1]
    assert there in head
    assert "latent" in head
    assert not gone or gone not in head
