"""``genlab runs``: what is listed and shown, and that nothing is removed but what was meant."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import genlab
from genlab.cli import main
from genlab.errors import RunError
from genlab.finding import find_run
from genlab.housekeeping import list_runs, prunable, removable, remove, size
from genlab.lock import locked
from genlab.runs import known_runs
from tests.children import child
from tests.made_up import alive, made_up
from tests.test_diff import called

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of runs, below the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "runs"


def note(path: Path, tmp_path: Path) -> Path:
    """Note a run as ``genlab run`` does."""
    from genlab.runs import _note

    before = set((tmp_path / "state").rglob("*"))
    _note(path)
    return next(p for p in set((tmp_path / "state").rglob("*")) - before if p.is_file())


def listed(capsys: Captured, *options: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(called(["runs", "list", "--json", *options], capsys))
    return found


# -- list and show ----------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first(runs: Path, capsys: Captured) -> None:
    made_up(runs, "old", started="2025-01-01T00:00:00+00:00", losses=(9.0, 8.25))
    made_up(runs, "new", name="other", state="failed", started="2026-01-01T00:00:00+00:00", losses=(), model=False)
    out = called(["runs", "list"], capsys)
    rows = [line.split() for line in out.splitlines() if line.endswith(("old", "new"))]
    assert [row[-1] for row in rows] == ["new", "old"]
    assert rows[1][:4] == ["made_up", "completed", "8.25", "2"]
    assert rows[0][:2] == ["other", "failed"]
    assert max(map(len, out.splitlines())) <= 80
    assert "2 runs" in out


def test_runs_of_one_second_are_in_order_too(bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = genlab.run(bars, {"train.epochs": 1}, plots=False).directory
    started = json.loads((first / "status.json").read_text())["started"]
    assert datetime.fromisoformat(started).microsecond  # one time in a million it is 0
    earlier = made_up(first.parents[1], "20260101-000000-ffff", name="bars", started=started.replace(".", ".0"))
    assert [run.path for run, _ in known_runs("bars")] == [first, earlier]


def test_runs_can_be_chosen(runs: Path, capsys: Captured) -> None:
    made_up(runs, "a")
    made_up(runs, "b", state="interrupted")
    made_up(runs, "c", name="other", state="running")  # its process is gone
    assert {row["path"] for row in listed(capsys, "--name", "made_up")} == {
        str(runs / "made_up" / name) for name in "ab"
    }
    found = listed(capsys, "--status", "died", "--status", "interrupted")
    assert {row["status"] for row in found} == {"interrupted", "died"}
    assert "no runs" in called(["runs", "list", "--name", "nothing"], capsys)


def test_the_runs_of_one_folder_alone(runs: Path, tmp_path: Path, capsys: Captured) -> None:
    other = tmp_path / "other"
    sweep = other / "sweeps" / "grid" / "20260101-000000-abcd"
    made_up(sweep / "trials" / "000", "trial")
    (sweep / "sweep.json").write_text("{}")
    for root in (runs, other):
        made_up(root, f"{root.name}-good")
        made_up(root, f"{root.name}-failed", state="failed", model=False)
        made_up(root, "half").rename(root / "made_up" / ".half.1234.removed")
    assert {Path(str(row["path"])).name for row in listed(capsys, "--runs", "other")} == {
        "other-good", "other-failed", "trial",
    }  # fmt: skip
    assert {Path(str(row["path"])).name for row in listed(capsys)} == {"runs-good", "runs-failed"}
    called(["runs", "prune", "--runs", "other", "--yes"], capsys)
    assert [path.name for path in (other / "made_up").iterdir()] == ["other-good"]
    assert len(list((runs / "made_up").iterdir())) == 3
    for command in ("list", "prune"):
        assert "nowhere: there is no such folder" in called(["runs", command, "--runs", "nowhere"], capsys, 2)


def test_a_sweep_is_one_line_unless_all_is_asked_for(runs: Path, capsys: Captured) -> None:
    sweep = runs / "sweeps" / "grid" / "20260101-000000-abcd"
    for i, state in enumerate(("completed", "completed", "failed")):
        made_up(sweep / "trials" / f"{i:03d}", f"trial-{i}", state=state, losses=(9.0 - i,))
    (sweep / "sweep.json").write_text("{}")
    made_up(runs, "alone")
    out = called(["runs", "list"], capsys)
    assert "trial-0" not in out
    (line,) = [line for line in out.splitlines() if sweep.name in line]
    assert "2/3 trials" in line
    assert "7.00" in line
    assert "trial-0" in called(["runs", "list", "--all"], capsys)
    assert len(listed(capsys)) == 4


def test_a_sweep_with_a_single_trial_is_shown_as_a_sweep(runs: Path, capsys: Captured) -> None:
    sweep = runs / "sweeps" / "grid" / "20260101-000000-abcd"
    made_up(sweep / "trials" / "000", "the-trial")
    (sweep / "sweep.json").write_text("{}")
    out = called(["runs", "list"], capsys)
    (line,) = [line for line in out.splitlines() if sweep.name in line]
    assert "1/1 trial " in line
    assert "\n1 run, " in out
    assert "the-trial" not in out
    assert "the-trial" in called(["runs", "list", "--all"], capsys)


def test_a_trial_of_a_sweep_is_not_the_newest_run_of_its_recipe(runs: Path, tmp_path: Path) -> None:
    own = made_up(runs, "20260101-000000-aaaa", name="mine")
    trial = made_up(
        runs / "sweeps" / "mine" / "20260102-000000-bbbb" / "trials" / "000", "20260102-000001-cccc", name="mine",
        started="2026-02-01T00:00:00+00:00",
    )  # fmt: skip
    (trial.parents[3] / "sweep.json").write_text("{}")
    note(trial, tmp_path)
    assert [run.path for run, _ in known_runs("mine")] == [own]
    assert find_run("mine") == own
    assert find_run(str(trial)) == trial


def test_a_folder_called_trials_makes_no_sweep(runs: Path, tmp_path: Path) -> None:
    run = made_up(tmp_path / "trials" / "alice", "20260101-000000-aaaa", name="mine")
    note(run, tmp_path)
    assert find_run("mine") == run
    assert [one.sweep for one in list_runs()] == [None]


def test_damaged_and_half_deleted_runs(runs: Path, capsys: Captured) -> None:
    damaged = made_up(runs, "damaged")
    (damaged / "status.json").write_text("{}")
    missing = made_up(runs, "missing")
    (missing / "status.json").unlink()
    half = made_up(runs, "half")
    half.rename(half.with_name(".half.1234.removed"))
    (runs / "made_up" / "notes").mkdir()
    rows = listed(capsys)
    assert {(Path(str(row["path"])).name, row["status"]) for row in rows} == {
        ("damaged", "damaged"),
        ("missing", "damaged"),
    }
    assert rows[0]["best"] != {}
    assert "damaged" in called(["runs", "list"], capsys)
    assert known_runs() == []  # for genlab.load, too, a half-deleted run is none


def test_a_run_of_a_plugin_that_is_not_installed_is_listed_and_shown(runs: Path, capsys: Captured) -> None:
    path = made_up(runs, "a", encoder={"use": "of_some_plugin"})
    assert listed(capsys)[0]["status"] == "completed"
    assert "made_up" in called(["runs", "show", str(path)], capsys)


def test_show_says_everything_about_a_run(trained: dict[str, Path], capsys: Captured) -> None:
    out = called(["runs", "show", str(trained["beta"])], capsys)
    for text in (
        "bars", "completed", str(trained["beta"]), "genlab run", "objective.beta=4", "2 of 2, 14 steps", "torch",
        "parameters  660", "of 2 in use", "val/loss", "metrics.jsonl", "model/ (4 files)", "images/s",
    ):  # fmt: skip
        assert text in out, text
    shown = json.loads(called(["runs", "show", trained["beta"].as_posix(), "--json"], capsys))
    assert shown["recipe"]["objective"]["beta"] == 4.0
    assert shown["best"]["val/loss"] == pytest.approx(
        shown["best"]["val/nll"] + 4 * shown["best"]["val/kl"], rel=1e-5
    )


def test_show_says_how_to_go_on(runs: Path, capsys: Captured) -> None:
    made_up(runs, "a", state="interrupted", checkpoint=True)
    assert "genlab resume runs/made_up/a" in called(["runs", "show", "a"], capsys)
    made_up(runs, "b", state="failed")
    assert "left no checkpoint" in called(["runs", "show", "b"], capsys)
    assert "no run 'c'" in called(["runs", "show", "c"], capsys, 2)


# -- rm ---------------------------------------------------------------------------------------------------


def test_rm_removes_the_run_its_note_and_nothing_else(runs: Path, tmp_path: Path, capsys: Captured) -> None:
    path, other = made_up(runs, "a"), made_up(runs, "b")
    noted, kept = note(path, tmp_path), note(other, tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (path / "link").symlink_to(outside)
    taken = size(path)
    out = called(["runs", "rm", "runs/made_up/a", "--yes"], capsys)
    assert "removed 1 run" in out
    assert taken < 1000 or "kB freed" in out
    assert sorted(p.name for p in (runs / "made_up").iterdir()) == ["b"]
    assert (outside / "precious").exists()
    assert not noted.exists()
    assert kept.exists()


def test_rm_by_the_directorys_own_name(runs: Path, capsys: Captured) -> None:
    path = made_up(runs, "20260101-000000-abcd")
    called(["runs", "rm", path.name, "--yes"], capsys)
    assert not path.exists()


def test_rm_of_a_damaged_run(runs: Path, capsys: Captured) -> None:
    path = made_up(runs, "größe ✓")
    (path / "status.json").write_text("{")
    called(["runs", "rm", str(path), "--yes"], capsys)
    assert not path.exists()


def _link(runs: Path) -> str:
    link = runs.parent / "link"
    link.symlink_to(runs / "made_up" / "a")
    return str(link)


def _folder_with_a_status(runs: Path) -> str:
    folder = runs.parent / "home"
    folder.mkdir()
    (folder / "status.json").write_text("{}")
    (folder / "thesis.tex").write_text("x")
    return str(folder)


def _linked_files(runs: Path) -> str:
    folder = runs.parent / "odd"
    folder.mkdir()
    for name in ("status.json", "recipe.yaml", "resolved.yaml"):
        (folder / name).symlink_to(runs / "made_up" / "a" / name)
    return str(folder)


def _from_inside(runs: Path) -> str:
    import os

    os.chdir(runs / "made_up" / "a")
    return str(runs / "made_up" / "a")


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("/", "by its own name"),
        (".", "by its own name"),
        ("..", "by its own name"),
        ("", "error: '': give the run directory by its own name"),
        ("runs", "below it are runs"),
        ("runs/made_up", "below it are runs"),
        ("runs/made_up/a/model", "neither a run nor a sweep"),
        ("runs/made_up/a/..", "by its own name"),
        ("made_up", "it is the name of 2 runs; say which"),
        ("run:made_up", "it is the name of 2 runs; say which"),
        ("nothing", "no such run"),
        ("a\0b", "no such run"),
        (_link, "a link"),
        (_folder_with_a_status, "neither a run nor a sweep"),
        (_linked_files, "neither a run nor a sweep"),
        (_from_inside, "the current directory is in it"),
    ],
)
def test_rm_removes_nothing_that_is_not_meant(
    ref: str | Callable[[Path], str], said: str, runs: Path, tmp_path: Path, capsys: Captured
) -> None:
    made_up(runs, "a")
    made_up(runs, "b")
    given = ref if isinstance(ref, str) else ref(runs)
    before = sorted(tmp_path.rglob("*"))
    message = called(["runs", "rm", given, "--yes"], capsys, 2)
    assert said in message
    assert "nothing was removed" in message
    assert "Traceback" not in message
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_whose_name_is_known_once_is_not_guessed_either(runs: Path, capsys: Captured) -> None:
    path = made_up(runs, "a")
    assert str(path) in called(["runs", "rm", "made_up", "--yes"], capsys, 2)
    assert path.exists()


def test_one_mistake_and_nothing_is_removed(runs: Path, capsys: Captured) -> None:
    path = made_up(runs, "a")
    called(["runs", "rm", str(path), "nothing", "--yes"], capsys, 2)
    assert path.exists()


def test_a_run_that_is_under_way_is_not_removed(runs: Path, capsys: Captured) -> None:
    path = made_up(runs, "a", **alive())
    assert "running (process" in called(["runs", "rm", str(path), "--yes"], capsys, 2)
    elsewhere = made_up(runs, "b", state="running", host="another-machine")
    assert "on another-machine" in called(["runs", "rm", str(elsewhere), "--yes"], capsys, 2)
    busy = made_up(runs, "c")
    with locked(busy):
        assert "another process" in called(["runs", "rm", str(busy), "--yes"], capsys, 2)
    assert all(run.exists() for run in (path, elsewhere, busy))


def test_without_a_terminal_only_yes_removes(runs: Path, capsys: Captured) -> None:
    path = made_up(runs, "a", state="failed", model=False)
    for command in (["runs", "rm", str(path)], ["runs", "prune"]):
        assert "--yes" in called(command, capsys, 2)
    assert path.exists()


def test_on_a_terminal_it_asks(runs: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made_up(runs, "a")
    asked = []

    def answer(reply: bool) -> Callable[[str], bool]:
        return lambda question: bool(asked.append(question)) or reply

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", answer(False))
    assert "nothing was removed" in called(["runs", "rm", str(path)], capsys)
    assert path.exists()
    monkeypatch.setattr("typer.confirm", answer(True))
    called(["runs", "rm", str(path)], capsys)
    assert not path.exists()
    assert asked[0].startswith("Remove 1 run, ")


def test_a_removal_cut_short_leaves_no_half_run(
    runs: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made_up(runs, "a")

    def cut(folder: Path) -> None:
        (folder / "resolved.yaml").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", cut)
        with pytest.raises(KeyboardInterrupt):
            remove(path)
    assert not path.exists()
    assert known_runs() == []
    assert listed(capsys) == []
    out = called(["runs", "prune", "--yes"], capsys)
    assert "1 run whose removal was cut short" in out
    assert list((runs / "made_up").iterdir()) == []


# -- prune ------------------------------------------------------------------------------------------------


def pruned(capsys: Captured, *options: str) -> set[str]:
    before = {one.run.path for one in list_runs()}
    called(["runs", "prune", "--yes", *options], capsys)
    return {path.name for path in before - {one.run.path for one in list_runs()}}


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")


def test_prune_removes_what_left_nothing(runs: Path, capsys: Captured) -> None:
    for state in ("failed", "interrupted", "running"):  # the last has died
        made_up(runs, f"{state}-nothing", state=state, model=False, losses=())
        made_up(runs, f"{state}-model", state=state)
        made_up(runs, f"{state}-checkpoint", state=state, model=False, checkpoint=True)
    made_up(runs, "completed")
    made_up(runs, "alive", model=False, **alive())
    made_up(runs, "elsewhere", state="running", host="another-machine", model=False)
    damaged = made_up(runs, "damaged", model=False)
    (damaged / "status.json").write_text("{")
    made_up(runs / "sweeps" / "s" / "1" / "trials" / "000", "trial", state="failed", model=False)
    (runs / "sweeps" / "s" / "1" / "sweep.json").write_text("{}")
    assert pruned(capsys) == {"failed-nothing", "interrupted-nothing", "running-nothing"}
    assert pruned(capsys) == set()


def test_prune_keeps_the_newest_of_each_name(runs: Path, capsys: Captured) -> None:
    for name in ("one", "two"):
        for day in (1, 2, 3):
            made_up(runs, f"{name}-{day}", name=name, started=ago(day), finished=ago(day))
    made_up(runs, "one-0", name="one", started=ago(0), state="interrupted")  # does not count
    assert pruned(capsys, "--keep", "2") == {"one-3", "two-3"}


def test_prune_by_age(runs: Path, capsys: Captured) -> None:
    for day in (1, 40):
        made_up(runs, f"failed-{day}", state="failed", model=False, started=ago(day), finished=ago(day))
        made_up(runs, f"done-{day}", started=ago(day), finished=ago(day))
    made_up(runs, "died-40", state="running", model=False, started=ago(40), finished=None)
    assert pruned(capsys, "--older-than", "30d") == {"failed-40", "died-40"}
    assert pruned(capsys, "--older-than", "30d", "--keep", "1") == {"done-40"}
    assert "a time is expected" in called(["runs", "prune", "--older-than", "soon"], capsys, 2)


def test_a_dry_run_lists_and_removes_nothing(runs: Path, capsys: Captured) -> None:
    path = made_up(runs, "a", state="failed", model=False)
    out = called(["runs", "prune", "--dry-run"], capsys)
    assert "would remove 1 run, " in out
    assert path.name in out
    assert path.exists()
    assert called(["runs", "prune", "--dry-run", "--older-than", "9999d"], capsys) == "nothing to remove\n"


def test_one_run_that_cannot_be_removed_does_not_keep_the_others(runs: Path, capsys: Captured) -> None:
    busy, idle = (made_up(runs, name, state="failed", model=False) for name in ("busy", "idle"))
    with locked(busy), pytest.raises(SystemExit):
        main(["runs", "prune", "--yes"])
    out, err = capsys.readouterr()
    assert "removed 1 run" in out
    assert "kept:" in err
    assert busy.exists()
    assert not idle.exists()


def prune_in_child(start: str) -> None:
    while not Path(start).exists():
        pass
    main(["runs", "prune", "--yes"])


def test_two_processes_prune_at_once(runs: Path, tmp_path: Path) -> None:
    for i in range(60):
        made_up(runs, f"{i:02d}", state="failed", model=False)
    kept = made_up(runs, "kept")
    start = tmp_path / "start"
    children = [child(prune_in_child, str(start)) for _ in range(2)]
    start.touch()
    for process in children:
        process.join(60)
        assert process.exitcode == 0
    assert list((runs / "made_up").iterdir()) == [kept]


def test_a_run_that_another_process_has_removed_is_no_error(runs: Path) -> None:
    path = removable(str(made_up(runs, "a")))
    assert remove(path) > 0
    assert remove(path) == 0


def test_a_run_that_went_on_after_it_was_chosen_is_not_removed(runs: Path) -> None:
    path = made_up(runs, "a", state="failed", model=False)
    (one,) = prunable(list_runs())
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps(status | alive() | {"status": "running"}))
    with pytest.raises(RunError, match="running"):
        remove(one.run.path)
    assert path.exists()
