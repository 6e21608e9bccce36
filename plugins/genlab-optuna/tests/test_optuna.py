"""Optuna as a search: what it proposes, what it remembers, who shares it."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import optuna
import pytest

from genlab import Choices, Range
from genlab.cli import main
from genlab.sweep import Sweep, Watcher, read_sweep, resume_sweep, sweep
from genlab.sweep.outcome import Outcome
from genlab.sweep.store import TrialFolder
from genlab_optuna import Optuna

SPACE = {
    "latent": Range(2, 64, integer=True),
    "optimizer.lr": Range(1e-4, 1e-1, log=True),
    "encoder.hidden": Choices(([8], [16, 8])),
    "train.clip_norm": Choices((None, 1.0)),
}

# In place of `genlab run`, which takes seconds to start: a run whose loss is (latent - 20)^2.
RUN = """
import json, os, re, sys, time
from pathlib import Path
latent = int(re.search(r"^latent: (\\d+)", Path(sys.argv[1], "recipe.yaml").read_text(), re.M)[1])
run = Path(sys.argv[1], "bars", "run")
run.mkdir(parents=True)
run.joinpath("status.json").write_text(json.dumps({
    "status": "completed", "name": "bars", "pid": os.getpid(), "host": os.uname().nodename,
    "started": f"2026-01-01T00:00:{time.time_ns()}", "best": {"val/loss": (latent - 20) ** 2},
}))
"""


def quick(folder: TrialFolder, outcome: Outcome, device: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", RUN, str(folder.path)]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("GENLAB_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "bars.yaml"
    path.write_text("name: bars\ndata: bars\nlatent: 2\nencoder: mlp\ndecoder: mlp\nlikelihood: bernoulli\n")
    return path


def study(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="sweep", storage=f"sqlite:///{folder / 'optuna.db'}")


def states(folder: Path) -> list[str]:
    return [trial.state.name for trial in study(folder).trials]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_it_proposes_what_the_space_has(tmp_path: Path, sampler: Any) -> None:
    search = Optuna(SPACE, tmp_path, 0, sampler=sampler, startup=5)
    found = []
    for _ in range(15):
        values = search.ask()
        assert list(values) == list(SPACE)
        latent, rate, hidden, norm = values.values()
        assert isinstance(latent, int)
        assert 2 <= latent <= 64
        assert isinstance(rate, float)
        assert 1e-4 <= rate <= 1e-1
        assert hidden in ([8], [16, 8])
        assert norm in (None, 1.0)
        search.tell(values, float(latent))
        found.append(values)
    assert {json.dumps(values["encoder.hidden"]) for values in found} == {"[8]", "[16, 8]"}
    assert states(tmp_path) == ["COMPLETE"] * 15


def test_it_is_a_function_of_its_seed_and_of_what_it_was_told(tmp_path: Path) -> None:
    def asked(name: str, seed: int, losses: list[float]) -> list[Any]:
        (tmp_path / name).mkdir()
        search, found = Optuna(SPACE, tmp_path / name, seed, startup=3), []
        for loss in losses:
            found.append(dict(search.ask()))
            search.tell(found[-1], loss)
        return found

    losses = [5.0, 1.0, 4.0, 2.0, 3.0, 0.0]
    first = asked("first", 1, losses)
    assert asked("again", 1, losses) == first
    assert asked("seed", 2, losses)[0] != first[0]
    other = asked("losses", 1, [1.0, 5.0, 4.0, 2.0, 3.0, 0.0])
    assert other[:3] == first[:3]
    assert other[3:] != first[3:]


def test_what_was_told_is_remembered_once(tmp_path: Path) -> None:
    search = Optuna(SPACE, tmp_path, 0)
    first, second = search.ask(), search.ask()
    search.tell(first, 1.0)
    search.tell(first, 1.0)
    later = Optuna(SPACE, tmp_path, 0)  # another process, or the same one killed and started again
    later.tell(first, 1.0)
    later.tell(second, None)
    assert states(tmp_path) == ["COMPLETE", "FAIL"]
    later.tell(second, 2.0)  # its cause was mended
    assert states(tmp_path) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study(tmp_path).best_value == 1.0
    (tmp_path / "optuna.db").unlink()
    anew = Optuna(SPACE, tmp_path, 0)
    anew.tell(first, 1.0)
    assert study(tmp_path).best_value == 1.0


def test_going_on_does_not_propose_the_same_again(tmp_path: Path) -> None:
    first = Optuna(SPACE, tmp_path, 0).ask()
    assert Optuna(SPACE, tmp_path, 0).ask() != first


def test_a_sweep_learns_from_its_runs(recipe: Path) -> None:
    space = {"latent": Range(2, 1000, integer=True)}
    done = sweep(recipe, space, search="optuna", trials=30, command=quick)
    assert done.completed
    tried = [outcome.trial.values["latent"] for outcome in done.outcomes]
    assert len(set(map(str, tried))) == 30
    first, last = tried[:10], tried[-10:]
    assert sum(abs(int(str(v)) - 20) for v in last) < 0.5 * sum(abs(int(str(v)) - 20) for v in first)
    assert done.rows[0].metrics["val/loss"].mean == study(done.path).best_value


def test_an_unfinished_sweep_goes_on_with_its_study(recipe: Path, tmp_path: Path) -> None:
    space = {"latent": Range(2, 1000, integer=True)}
    done = sweep(recipe, space, search="optuna", trials=4, seeds=2, command=quick)
    shutil.rmtree(done.path / "trials" / "005" / "bars")  # as if killed while the last of three were trained
    for number in ("004", "006", "007"):
        shutil.rmtree(done.path / "trials" / number)
    (done.path / "trials" / "005").rename(done.path / "trials" / "004")
    trial = json.loads((done.path / "trials" / "004" / "trial.json").read_text())
    (done.path / "trials" / "004" / "trial.json").write_text(json.dumps(trial | {"number": 4, "seed": 0}))
    again = resume_sweep(done.path, command=quick)
    assert again.completed
    assert again.outcomes[4].trial.values == again.outcomes[5].trial.values == trial["values"]
    assert states(done.path).count("COMPLETE") == 5  # three of them again, one new, and one whose runs were lost


def test_processes_share_a_study(recipe: Path) -> None:
    class Join(Watcher):
        def on_start(self, sweep: Sweep) -> None:
            self.other = threading.Thread(target=resume_sweep, args=(sweep.path,), kwargs={"command": quick})
            self.other.start()

    watcher = Join()
    space = {"latent": Range(2, 1000, integer=True)}
    done = sweep(recipe, space, search="optuna", trials=12, command=quick, watcher=watcher)
    watcher.other.join()
    values = [str(outcome.trial.values) for outcome in read_sweep(done.path).outcomes]
    assert len(values) == len(set(values)) == 12
    assert done.completed
    assert states(done.path) == ["COMPLETE"] * 12


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("{use: optuna, sampler: cmaes}", "sampler: 'cmaes' given; expected: one of 'tpe', 'random'"),
        ("{use: optuna, startup: 0}", "startup: 0 given; expected: an integer"),
        ("optuna", "how many combinations? for example --trials 50"),
    ],
)
def test_mistakes_are_told(recipe: Path, search: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", str(recipe), "latent=2..8", "--search", search])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
