"""Benchmarks in earnest: processes that really measure, and what becomes of those that cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from genlab.bench import accelerators, attempt, children
from genlab.bench.children import command
from genlab.bench.result import read_result
from genlab.bench.roofline import counts_of
from genlab.bench.tasks import Done, Failed
from genlab.device import Capabilities, Device
from genlab.selection import select
from tests.made_benchmarks import task_of
from tests.sites import REGISTER, forget
from tests.test_bench import said

Captured = pytest.CaptureFixture[str]


def test_a_recipe_measured_by_real_processes(bars: Path, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "r.json"
    options = ["--precision", "fp32", "--runner", "eager", "--processes", "1", "--limit", "1s", "-o", str(path)]
    code, out, _ = said(["bench", str(bars), "--device", "cpu,mps", "--what", "train,load", *options], capsys)
    assert code == 0, out
    result = read_result(path)
    train, load = result.cells
    assert train.agreement is not None
    assert (train.agreement.disagrees, train.agreement.gradient_error) == ([], 0)
    assert train.images_per_second is not None
    assert load.seconds is not None
    assert load.images_per_second is None
    (process_,) = train.processes
    assert len(process_.windows) == result.protocol.windows
    assert 0 < process_.cold.first_call < process_.cold.total
    assert process_.peak_host_bytes is not None
    assert train.roofline is not None
    assert 0 < train.roofline.share_of_product < 1
    assert result.environment.software.libraries["torch"] == version("torch")
    assert result.environment.software.torch_config
    assert result.plugins["genlab"]
    assert "yes, exactly" in out


def test_a_profile_names_the_largest_costs(bars: Path, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "r.json"
    code, out, _ = said(["bench", str(bars), "--device", "cpu", "--precision", "fp32", "--runner", "eager",
                         "--profile", "-o", str(path)], capsys)  # fmt: skip
    assert code == 0, out
    (profile,) = read_result(path).profiles
    assert len(profile.costs) == 10
    shares = [cost.share for cost in profile.costs]
    assert shares == sorted(shares, reverse=True)
    assert 0.3 < sum(shares) <= 1
    trace = json.loads((tmp_path / profile.trace).read_text())
    assert any(event.get("name") == profile.costs[0].name for event in trace["traceEvents"])
    assert profile.costs[0].name in out


def test_the_time_to_a_val_loss_is_measured_and_what_never_gets_there_says_so(
    bars: Path, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "r.json"
    common = [str(bars), "--device", "cpu", "--precision", "fp32", "--runner", "eager",
              "--processes", "1", "--limit", "1s", "-o", str(path)]  # fmt: skip
    code, out, _ = said(["bench", *common, "--quality", "1000"], capsys)
    assert code == 0, out
    (cell,) = read_result(path).cells
    assert cell.combination.what == "quality"
    assert cell.processes[0].epochs == 1
    assert cell.processes[0].reached is not None
    assert cell.seconds is not None
    code, out, _ = said(["bench", *common, "--quality", "0.001", "train.epochs=1"], capsys)
    assert code == 0
    assert "1 of 1 trainings did not reach the val/loss" in out


def test_a_measuring_process_does_not_outlive_the_one_that_asked(bars: Path) -> None:
    long = task_of(bars).model_copy(update={"windows": 10**6, "spawned": time.monotonic()})
    process_ = subprocess.Popen(command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process_.stdin is not None
    assert process_.stdout is not None
    process_.stdin.write(long.model_dump_json().encode() + b"\n")
    process_.stdin.flush()
    assert b"importing" in process_.stdout.readline()
    process_.stdin.close()
    assert process_.wait(60) == 1
    process_.stdout.close()


def test_what_libraries_print_is_no_answer_and_a_crash_is_told(
    bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = (
        "import os, sys; from genlab.bench import worker\n"
        "def broken(task, answer):\n"
        "    print('a library says'); os.write(1, b'and its C code'); raise KeyError('lost')\n"
        "worker._measured = broken\nworker.main()"
    )
    monkeypatch.setattr(children, "command", lambda: [sys.executable, "-c", noisy])
    answer = children.measured(task_of(bars), {}, lambda stage: None)
    assert answer == Failed(reason="KeyError: 'lost'", mended=False)
    monkeypatch.setattr(children, "command", lambda: [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    killed = children.measured(task_of(bars), {}, lambda stage: None)
    assert killed == Failed(reason="the process ended by signal 9: it said nothing", mended=False)


NVIDIA_SMI = """#!/bin/sh
case "$*" in
  *mig.mode*,*) echo 'Field "mig.mode.current" is not a valid field to query.'; exit 2 ;;
  *mig.mode*) exit 2 ;;
  *query-gpu=driver_version*) echo '550.54' ;;
  *query-gpu=power.limit*) echo '350.00 W' ;;
  *query-gpu=ecc*) echo '[N/A]' ;;
  *query-gpu=clocks.sm,*) echo '1980 MHz, 2619 MHz, 120.5 W, 41, 98 %, 0x4, Not Active, Not Active, Active' ;;
  *) echo 'on' ;;
esac
"""


def test_an_accelerators_driver_is_asked_for_what_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(NVIDIA_SMI)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(Device, "uuid", "GPU-1234")
    device = Device(torch.device("meta"), Capabilities())
    described = accelerators.describe(device)
    assert described is not None
    assert described.driver == "550.54"
    assert described.settings["power_limit"] == "350.00 W"
    assert not {"mig", "ecc"} & described.settings.keys()
    state = accelerators.state(device)
    assert (state["power"], state["throttled_by_power"]) == ("120.5 W", "Active")
    assert accelerators.describe(Device(torch.device("cpu"), Capabilities(host_memory=True))) is None


def test_operations_are_counted_as_one_does_by_hand() -> None:
    a, b = torch.ones(30, 40), torch.ones(40, 50)
    counts = counts_of(lambda: a @ b)
    assert counts.flops == 2 * 30 * 40 * 50
    assert counts.bytes == 4 * (30 * 40 + 40 * 50 + 30 * 50)
    assert counts_of(lambda: a.t()).bytes == 0


def test_a_plugin_of_one_file_reaches_the_processes_that_measure(
    bars: Path, tmp_path: Path, capsys: Captured
) -> None:
    file, path = tmp_path / "my_encoder.py", tmp_path / "r.json"
    file.write_text(REGISTER.format(name="made"))
    options = ["--device", "cpu", "--precision", "fp32", "--runner", "eager", "--processes", "1", "--limit", "1s"]
    try:
        words = ["bench", str(bars), "encoder=made", *options, "--plugin", str(file), "-o", str(path)]
        code, _, err = said(words, capsys)
    finally:
        select()
        forget()
    assert code == 0, err
    (cell,) = read_result(path).cells
    assert (len(cell.processes), cell.failures) == (1, [])


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        (
            "raise ValueError('lost')",
            "the recipe: encoder Made fails on x of shape (2, 1, 4, 4): ValueError: lost",
        ),
        ("import os; os._exit(7)", "the process ended with exit code 7: it said nothing"),
    ],
)
def test_a_part_that_fails_in_a_process_is_a_reason(
    deed: str, reason: str, bars: Path, tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "failing.py"
    file.write_text(
        REGISTER.format(name="failing").replace("def forward(self, x):", f"def forward(self, x):\n        {deed}")
    )
    try:
        words = [
            "bench",
            str(bars),
            "encoder=failing",
            "--device",
            "cpu",
            "--precision",
            "fp32",
            "--runner",
            "eager",
        ]
        code, out, err = said([*words, "--plugin", str(file), "-o", str(tmp_path / "r.json")], capsys)
    finally:
        select()
        forget()
    assert code == 2
    assert "Traceback" not in out + err
    assert f"no combination could be measured:\n  train cpu fp32 eager 32: {reason}" in err
    assert not (tmp_path / "r.json").exists()


def test_no_genlab_of_the_current_folder_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "genlab").mkdir()
    (tmp_path / "genlab" / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert subprocess.run(command(), input=b"no task\n", capture_output=True).returncode == 1


def test_what_cannot_be_found_out_besides_leaves_the_times(bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(prepared: object) -> None:
        raise MemoryError

    monkeypatch.setattr(attempt, "peaks_of", full)
    task = task_of(bars).model_copy(update={"spawned": time.monotonic(), "peaks": True})
    done = attempt.attempt(task, 1.0, lambda name: None)
    assert isinstance(done, Done)
    assert len(done.process.windows) == task.windows
    assert done.notes == ["peaks: not known: the memory is full"]
