"""Files of runs that are damaged, without end, or no files: no command fails on them or waits for ever."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from genlab.cli import main
from genlab.digest import digest
from genlab.housekeeping import list_runs
from genlab.runfiles import is_run
from genlab.runs import known_runs
from tests.made_up import made_up

Captured = pytest.CaptureFixture[str]
HUGE = "9" * 400
DEEP = "[" * 200_000


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made_up(tmp_path / "runs", "a")


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """A pipe that is opened for reading blocks: the alarm ends the test."""
    import signal

    def late(*_: object) -> None:
        raise TimeoutError("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def called(arguments: list[str], capsys: Captured, code: int = 0) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    assert (stopped.value.code or 0) == code, out + err
    return out + err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.jsonl", '{"epoch": NaN, "val/loss": 1.0}'),
        ("metrics.jsonl", '{"epoch": Infinity, "val/loss": 1.0}'),
        ("metrics.jsonl", f'{{"epoch": 1, "val/loss": {HUGE}}}'),
        ("metrics.jsonl", f'{{"epoch": 1, "step": {HUGE}}}'),
        ("metrics.jsonl", "5"),
        ("timing.jsonl", DEEP),
        ("timing.jsonl", '{"seconds": "x"}'),
        ("timing.jsonl", f'{{"step": {HUGE}}}'),
        ("model/metrics.json", DEEP),
        ("env.json", DEEP),
    ],
    ids=lambda text: text[:30],
)
def test_one_damaged_number_is_left_out_and_said(run: Path, name: str, content: str, capsys: Captured) -> None:
    other = made_up(run.parents[1], "b")
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"best": {}, "best_epoch": None}))
    (run / name).write_text(content)
    assert Path(name).name in digest(run).notes[0]
    assert "b" in called(["runs", "list"], capsys)
    called(["runs", "show", str(run)], capsys)
    called(["compare", str(run), str(other)], capsys)
    called(["report", str(run)], capsys)


@pytest.mark.parametrize("header", [DEEP, f'{{"a": {{"shape": [{HUGE}]}}}}', '{"a": {"shape": [1e400]}}'])
def test_a_damaged_header_of_weights_has_no_parameters(run: Path, header: str, capsys: Captured) -> None:
    (run / "model" / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header.encode())
    assert digest(run).parameters is None
    called(["runs", "list"], capsys)


@pytest.mark.parametrize(
    "name",
    [
        "status.json", "env.json", "origins.json", "metrics.jsonl", "timing.jsonl", "log.txt",
        "model/README.md", "model/metrics.json", "model/model.safetensors",
    ],
)  # fmt: skip
def test_nobody_waits_for_a_pipe(run: Path, name: str, capsys: Captured) -> None:
    other = made_up(run.parents[1], "b")
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    called(["runs", "list"], capsys)
    called(["runs", "show", str(run)], capsys)
    called(["report", str(run)], capsys)
    called(["compare", str(run), str(other)], capsys)
    called(["ls"], capsys)
    called(["diff", str(run), str(other)], capsys)
    assert other in [found.path for found, _ in known_runs()]


@pytest.mark.parametrize("lost", ["status.json", "env.json"])
def test_a_run_is_one_to_every_command(run: Path, lost: str, capsys: Captured) -> None:
    other = made_up(run.parents[1], "b")
    (run / lost).unlink()
    assert is_run(run)
    assert {one.run.path for one in list_runs()} == {run, other}
    assert "made_up" in called(["runs", "show", str(run)], capsys)
    assert "val/loss" in called(["compare", str(run), str(other)], capsys)
    called(["diff", str(run), str(other)], capsys)
    called(["report", str(run)], capsys)
    called(["runs", "rm", str(run), "--yes"], capsys)
    assert not run.exists()


@pytest.mark.parametrize("lost", ["recipe.yaml", "resolved.yaml"])
def test_what_is_no_run_is_none_to_every_command(run: Path, lost: str, capsys: Captured) -> None:
    made_up(run.parents[1], "b")
    (run / lost).unlink()
    assert [one.run.path.name for one in list_runs()] == ["b"]
    for command in (["runs", "show"], ["runs", "rm", "--yes"], ["report"]):
        assert "run" in called([*command, str(run)], capsys, 2)
