"""Files of runs that are damaged, without end, or no files: no command fails on them or waits for ever."""

from __future__ import annotations

import base64
import json
import os
import resource
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from genlab.cli import main
from genlab.digest import digest
from genlab.housekeeping import list_runs
from genlab.report import write_report
from genlab.runfiles import is_run
from genlab.runs import known_runs
from tests.conftest import BARS
from tests.made_up import made_up
from tests.test_report import Page

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


@pytest.mark.parametrize(
    "name", ["model/README.md", "recipe.yaml", "resolved.yaml", "log.txt", "plots/a.png", "model"]
)
def test_a_report_holds_nothing_that_lies_outside_the_run(run: Path, name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    (run / "plots").mkdir()
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"status": "failed"}))
    if name == "model":
        (run / "model" / "metrics.json").unlink()
        (run / "model").rmdir()
        secret.mkdir()
        (secret / "README.md").write_text("my secret")
    else:
        (run / name).unlink(missing_ok=True)
        secret.write_text("description: my secret")
    (run / name).symlink_to(secret)
    page = write_report(run).read_text("utf-8")
    assert "my secret" not in page
    assert base64.b64encode(b"description: my secret").decode() not in page


def test_a_report_reads_the_end_of_a_long_log_and_builds_no_large_model(run: Path) -> None:
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"status": "failed"}))
    with (run / "log.txt").open("wb") as log:
        log.truncate(2**32)  # a hole, which takes no room until it is read
        log.seek(0, os.SEEK_END)
        log.write(b"\nthe end of it\n")
    (run / "model" / "README.md").write_text("x" * 2_000_000)
    (run / "resolved.yaml").write_text(BARS.replace("latent: 2", "latent: 5000000"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    page = write_report(run).read_text("utf-8")
    assert "the end of it" in page
    assert len(page) < 1_000_000
    assert "too large to be built for a look" in page
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


def test_the_report_and_the_other_commands_agree(run: Path, capsys: Captured) -> None:
    speeds = [{"step": 7 * (i + 1), "seconds": 10.0, "images_per_second": s} for i, s in enumerate((1, 100, 104))]
    (run / "timing.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in speeds))
    metrics = json.loads((run / "model" / "metrics.json").read_text())
    (run / "model" / "metrics.json").write_text(json.dumps(metrics | {"parameters": 54321}))
    page = Page(write_report(run).read_text("utf-8")).text
    shown = json.loads(called(["runs", "show", str(run), "--json"], capsys))
    assert (shown["images_per_second"], shown["seconds"], shown["parameters"]) == (100.0, 30.0, 54321)
    assert "images/s100" in page
    assert "30.0 s" in page
    assert "54,321" in page


def test_what_is_not_a_number_is_never_the_best_and_null_in_json(run: Path, capsys: Captured) -> None:
    other = made_up(run.parents[1], "b")
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"best": {"val/loss": float("nan")}}))

    def refused(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    shown = json.loads(called(["compare", str(run), str(other), "--json"], capsys), parse_constant=refused)
    assert [one["best"] for one in shown["runs"]] == [False, True]
    assert shown["runs"][0]["metrics"]["val/loss"] is None
    for command in (["runs", "list"], ["runs", "show", str(run)]):
        json.loads(called([*command, "--json"], capsys), parse_constant=refused)
