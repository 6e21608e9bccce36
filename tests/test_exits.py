"""Parts that call ``sys.exit``: they are named, and nothing of a run is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

import genlab
from genlab.cli import main
from genlab.runs import known_runs
from tests.sites import COMMAND, REGISTER, Site

Captured = pytest.CaptureFixture[str]

MADE = "        super().__init__()\n"
FORWARD = "    def forward(self, x):\n"
LATER = FORWARD + (
    "        self.seen = getattr(self, 'seen', 0) + self.training\n"
    "        if self.seen > 8:\n            import sys; sys.exit({})\n"
)  # fmt: skip


def said(arguments: list[str], capsys: Captured) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_constructor_that_exits_is_a_mistake_that_names_the_part(
    command: str, site: Site, bars: Path, capsys: Captured
) -> None:
    site.add("a-plugin", REGISTER.format(name="fe").replace(MADE, f"{MADE}        raise SystemExit(3)\n"))
    code, out, err = said([command, str(bars), "encoder=fe"], capsys)
    assert code == 2
    assert "encoder 'fe' of a-plugin cannot be built: it called sys.exit(3)" in out + err
    assert known_runs() == []


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_forward_that_exits_before_training_begins_is_one_too(
    command: str, site: Site, bars: Path, capsys: Captured
) -> None:
    site.add("a-plugin", REGISTER.format(name="fe").replace(FORWARD, f"{FORWARD}        raise SystemExit(0)\n"))
    code, out, err = said([command, str(bars), "encoder=fe"], capsys)
    assert code == 2
    assert "encoder 'fe' of a-plugin called sys.exit(0) at " in out + err
    assert "a_plugin.py:" in out + err


@pytest.mark.parametrize("status", ["3", "0", "", "'bye'"])
def test_a_forward_that_exits_in_training_fails_the_run_and_loses_nothing(
    status: str, site: Site, bars: Path, capsys: Captured
) -> None:
    site.add("a-plugin", REGISTER.format(name="fe").replace(FORWARD, LATER.format(status)))
    words = ["encoder=fe", "train.runner=eager", "checkpoint.every_steps=4", "--device", "cpu"]
    code, _, err = said(["run", str(bars), *words], capsys)
    ((run, found),) = known_runs()
    reason = f"encoder 'fe' of a-plugin called sys.exit({status or None}) at {site.folder / 'a_plugin.py'}:"
    assert (code, found.status) == (1, "failed")
    assert f"error: {reason}" in err
    assert f"to go on from the last checkpoint: genlab resume {run.path}" in err
    assert found.message.startswith(reason)
    assert f"failed: {reason}" in (run.path / "log.txt").read_text()


def test_the_exit_of_a_caller_is_the_callers(bars: Path) -> None:
    def leave(*_: object) -> None:
        raise SystemExit(7)

    with pytest.raises(SystemExit) as ended:
        genlab.run(bars, {"train.epochs": 1}, plots=False, device="cpu", announce=leave)
    assert ended.value.code == 7
    ((_, status),) = known_runs()
    assert (status.status, status.message) == ("failed", "sys.exit(7)")


def test_a_plugins_command_may_exit(site: Site, capsys: Captured) -> None:
    site.add("a-plugin", COMMAND.format(name="hello") + "        raise SystemExit(5)\n")
    assert said(["hello"], capsys) == (5, "hello you\n", "")
