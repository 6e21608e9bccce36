"""What is measured, in which order, until when, and what is left if somebody or something ends it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.amp import GradScaler

from genlab.bench import accelerators, children, running
from genlab.bench import agreement as agreeing
from genlab.bench.agreement import HostNoise, Numbers, compared, numbers, side_of
from genlab.bench.children import Answer, command
from genlab.bench.plan import Wanted, plan
from genlab.bench.result import BenchError, Combination, read_result
from genlab.bench.roofline import counts_of
from genlab.bench.running import Options, bench
from genlab.bench.tasks import About, Done, Failed, Task
from genlab.bench.works import prepared_for
from genlab.cli import main
from genlab.device import Capabilities, Device
from genlab.errors import RunError
from genlab.opening import open_recipe
from genlab.precision import Precision
from genlab.seeds import derive
from tests.made_benchmarks import agreement, conditions, environment, process

Captured = pytest.CaptureFixture[str]
CPU = Wanted(devices=("cpu",), precisions=("fp32", "bf16"), runners=("eager",))
ABOUT = About(
    parameters=10, software=environment(2, conditions()).software, accelerator=None, plugins={"genlab": "0.1.0"}
)


def said(arguments: list[str], capsys: Captured) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


# -- what is planned ------------------------------------------------------------------------------------------


def test_everything_that_the_machine_can_do_is_planned_and_the_rest_has_a_reason(bars: Path) -> None:
    made = plan(open_recipe(bars).recipe, Wanted(devices=("cpu", "mps")))
    ways = {(one.precision, one.runner) for one in made.combinations if one.device == "cpu"}
    assert ways == {(p, r) for p in ("fp32", "bf16", "fp16") for r in ("eager", "compile")}
    assert {one.batch_size for one in made.combinations} == {32}  # the recipe's
    reasons = [skipped.reason for skipped in made.skipped]
    assert "precision tf32 is not available on cpu: fp32, bf16, fp16" in reasons
    assert "runner graph is not available on cpu: eager, compile" in reasons
    if not torch.backends.mps.is_available():
        assert "device 'mps' is not available here" in reasons[-1]


def test_what_makes_no_difference_is_measured_once(bars: Path) -> None:
    wanted = Wanted(("cpu",), ("fp32", "bf16"), ("eager", "compile"), (8, 16), ("sample", "load", "start"))
    made = plan(open_recipe(bars).recipe, wanted)
    counts = {what: sum(one.what == what for one in made.combinations) for what in ("sample", "load", "start")}
    assert counts == {"sample": 4, "load": 1, "start": 8}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--precision", "fp33"],
            "--precision fp33: did you mean 'fp32'? there are fp32, tf32, bf16, fp16, and all",
        ),
        (["--runner", "lazy"], "--runner lazy: there are eager, compile, graph, and all"),
        (["--what", "dream"], "--what dream: "),
        (["--batch-size", "8,x"], "--batch-size 8,x: whole numbers from 1"),
        (["--limit", "soon"], "--limit soon: a time is expected"),
        (["--device", "tpu"], "nothing of this can be measured here:"),
        (["-o", "x.txt"], "x.txt: output is JSON"),
        (["--quality", "nan"], "--quality nan: a finite val/loss is expected"),
        (["--quality", "inf"], "--quality inf: a finite val/loss is expected"),
    ],
)
def test_mistakes_are_one_message_and_code_2(
    options: list[str], message: str, bars: Path, capsys: Captured
) -> None:
    code, out, err = said(["bench", str(bars), *options], capsys)
    assert (code, out) == (2, "")
    assert message in err


# -- the rounds, with processes that are made up --------------------------------------------------------------


class Fake:
    """Answers tasks without a process; remembers them."""

    def __init__(self, seconds: Callable[[Task], float] = lambda task: 0.01) -> None:
        self.seconds = seconds
        self.tasks: list[Task] = []
        self.failing: dict[str, Failed] = {}
        self.interrupt_at: int | None = None

    def __call__(self, task: Task, variables: dict[str, str], told: Callable[[str], None]) -> Answer:
        self.tasks.append(task)
        told("measuring")
        if self.interrupt_at == len(self.tasks):
            raise KeyboardInterrupt
        label = task.combination.label
        if label in self.failing:
            return self.failing[label]
        first = agreement(precision=task.combination.precision or "fp32") if task.agreement_steps else None
        return Done(
            about=ABOUT, process=process(task.round, self.seconds(task)), examples_per_call=32, agreement=first
        )

    @property
    def rounds(self) -> list[list[str]]:
        """The labels of each round, in order."""
        found: dict[int, list[str]] = {}
        for task in self.tasks:
            found.setdefault(task.round, []).append(task.combination.label)
        return list(found.values())


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setattr(running, "measured", made)
    return made


def test_combinations_take_turns_in_an_order_drawn_anew(fake: Fake, bars: Path, tmp_path: Path) -> None:
    wanted = Wanted(("cpu",), ("fp32", "bf16", "fp16"), ("eager", "compile"))
    result = bench(bars, wanted=wanted, options=Options(processes=4), output=tmp_path / "r.json")
    assert [sorted(order) for order in fake.rounds] == [sorted(fake.rounds[0])] * 4
    assert len({tuple(order) for order in fake.rounds}) > 1
    assert result.protocol.order == fake.rounds
    assert (result.ended, [len(cell.processes) for cell in result.cells]) == ("complete", [4] * 6)
    assert read_result(tmp_path / "r.json") == result


def test_what_is_done_once_is_done_by_the_first_process(fake: Fake, bars: Path) -> None:
    bench(bars, wanted=CPU, options=Options(processes=3))
    for task in fake.tasks:
        assert (task.agreement_steps > 0) == (task.round == 0)
        assert task.cache == ("empty" if task.round == 0 else "filled")


def test_more_processes_until_the_interval_is_narrow_or_there_are_enough(
    fake: Fake, bars: Path, capsys: Captured
) -> None:
    fake.seconds = lambda task: 0.01 if task.combination.precision == "fp32" else 0.01 * (1 + task.round % 3)
    result = bench(bars, wanted=CPU, options=Options(processes=3, most=6))
    quiet, noisy = result.cells
    assert len(quiet.processes) == 3
    assert len(noisy.processes) == 6
    assert quiet.seconds is not None
    assert noisy.seconds is not None
    assert (quiet.seconds.narrow, noisy.seconds.narrow) == (True, False)
    assert any("the interval is ±" in warning for warning in noisy.warnings)


def test_the_time_limit_ends_it_after_the_first_round_and_says_so(
    fake: Fake, bars: Path, capsys: Captured
) -> None:
    code, out, _ = said(["bench", str(bars), "--device", "cpu", "--limit", "0.001s"], capsys)
    assert code == 0
    assert len(fake.rounds) == 1
    assert "ended by the time limit" in out
    assert "6 combinations: one process only: no interval" in out


def test_ctrl_c_leaves_what_was_measured_and_exits_130(
    fake: Fake, bars: Path, tmp_path: Path, capsys: Captured
) -> None:
    fake.interrupt_at = 4
    path = tmp_path / "r.json"
    options = ["--device", "cpu", "--precision", "fp32,bf16", "--runner", "eager", "-o", str(path)]
    code, out, _ = said(["bench", str(bars), *options], capsys)
    assert code == 130
    assert "interrupted; what was measured until then is kept" in out
    result = read_result(path)
    assert result.ended == "interrupted"
    assert sum(len(cell.processes) for cell in result.cells) == 3


def test_ctrl_c_before_anything_was_measured_leaves_nothing(
    fake: Fake, bars: Path, tmp_path: Path, capsys: Captured
) -> None:
    fake.interrupt_at = 1
    code, _, err = said(["bench", str(bars), "--device", "cpu", "-o", str(tmp_path / "r.json")], capsys)
    assert (code, err) == (130, "interrupted before anything was measured; nothing is kept\n")
    assert not (tmp_path / "r.json").exists()


def test_sigterm_ends_it_as_ctrl_c_does_and_exits_143(
    fake: Fake, bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    folders = tmp_path / "temporary"
    folders.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folders))
    path = tmp_path / "r.json"
    fake.seconds = lambda task: 0.01 if len(fake.tasks) < 3 else signal.raise_signal(signal.SIGTERM) or 0.01
    code, out, _ = said(["bench", str(bars), "--device", "cpu", "-o", str(path)], capsys)
    assert code == 143
    assert "interrupted; what was measured until then is kept" in out
    assert read_result(path).ended == "interrupted"
    assert list(folders.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_cannot_be_measured_is_listed_with_its_reason(fake: Fake, bars: Path) -> None:
    slow = "train cpu bf16 eager 32"
    fake.failing = {slow: Failed(reason="this model cannot be compiled", mended=True)}
    result = bench(bars, wanted=CPU, options=Options(processes=3))
    assert [cell.combination.precision for cell in result.cells] == ["fp32"]
    assert result.skipped[-1].reason == "this model cannot be compiled"
    assert [task.combination.label for task in fake.tasks].count(slow) == 1
    fake.failing["train cpu fp32 eager 32"] = Failed(
        reason="the process ended by signal 9: it said nothing", mended=False
    )
    with pytest.raises(BenchError, match=r"no combination could be measured:\n.*ended by signal 9"):
        bench(bars, wanted=CPU)


def test_a_process_that_fails_once_is_a_note_and_not_the_end(
    fake: Fake, bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([Failed(reason="ended by signal 9", mended=False)])

    def once(task: Task, variables: dict[str, str], told: Callable[[str], None]) -> Answer:
        return next(answers, None) or fake(task, variables, told)

    monkeypatch.setattr(running, "measured", once)
    result = bench(bars, wanted=Wanted(("cpu",), ("fp32",), ("eager",)), options=Options(processes=3))
    (cell,) = result.cells
    assert (len(cell.processes), cell.failures) == (3, ["ended by signal 9"])


def test_json_is_the_result_alone(fake: Fake, bars: Path, capsys: Captured) -> None:
    code, out, _ = said(["bench", "run", str(bars), "--device", "cpu", "--json", "--processes", "1"], capsys)
    assert code == 0
    assert json.loads(out)["schema_version"] == 1
    assert json.loads(out)["recipe"]["name"] == "bars"


def test_a_recipe_that_has_a_commands_name_is_given_by_its_path(
    fake: Fake, bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    bars.rename(tmp_path / "compare")
    code, out, _ = said(["bench", "./compare", "--device", "cpu", "--processes", "1", "latent=3"], capsys)
    assert code == 0
    assert "recipe  ./compare latent=3" in out


def test_what_cannot_be_written_is_refused_before_anything_is_measured(
    fake: Fake, bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.json").mkdir()
    with pytest.raises(BenchError, match=r"r\.json: not a file; choose another name"):
        bench(bars, wanted=CPU, output=tmp_path / "r.json")

    def full(**given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(running.tempfile, "TemporaryFile", full)
    with pytest.raises(RunError, match=r"x\.json: cannot be written \(No space left on device\); free some space"):
        bench(bars, wanted=CPU, output=tmp_path / "x.json")
    assert fake.tasks == []


def test_a_profile_is_of_the_recipes_own_way_and_of_the_work_that_is_asked_for(
    fake: Fake, bars: Path, tmp_path: Path
) -> None:
    fake.failing = {"eval cpu bf16 16": Failed(reason="enough", mended=True)}
    wanted = Wanted(devices=("cpu",), batch_sizes=(16,), whats=("eval",))
    with pytest.raises(BenchError, match="eval cpu bf16 16: enough"):
        running.profile(bars, {"train.precision": "bf16"}, wanted=wanted, output=tmp_path / "p.json")
    assert fake.rounds == [["eval cpu bf16 16"]]


# -- does it agree? -------------------------------------------------------------------------------------------


def task_of(bars: Path, **given: str) -> Task:
    combination = Combination(what="train", device="cpu", precision="fp32", runner="eager", batch_size=32)
    return Task(
        recipe=open_recipe(bars).recipe.written(),
        combination=combination.model_copy(update=given),
        round=0,
        spawned=0.0,
        threads=None,
        windows=2,
        window_seconds=0.01,
        warm_up_seconds=0.1,
        cache=None,
    )


def test_the_same_way_agrees_to_the_last_bit_and_bf16_within_its_tolerance(bars: Path) -> None:
    def found(precision: str) -> Numbers:
        return numbers(side_of(prepared_for(task_of(bars, precision=precision))), 20)

    told, again, bf16 = found("fp32"), found("fp32"), found("bf16")
    exact = compared(again, told, agreeing.TOLERANCES["fp32"], 20)
    assert (exact.loss_error, exact.gradient_error, exact.val_loss_error, exact.disagrees) == (0, 0, 0, [])
    close = compared(bf16, told, agreeing.TOLERANCES["bf16"], 20)
    assert close.disagrees == []
    assert close.gradient_error > agreeing.TOLERANCES["fp32"].gradient
    assert "gradient" in compared(bf16, told, agreeing.TOLERANCES["fp32"], 20).disagrees


def test_a_way_that_computes_something_else_disagrees() -> None:
    told = Numbers(100.0, torch.ones(4, dtype=torch.float64), 50.0)
    wrong = [
        (Numbers(101.0, told.gradient, 50.0), ["loss"]),
        (Numbers(100.0, 1.1 * told.gradient, 50.0), ["gradient"]),
        (Numbers(100.0, told.gradient, 60.0), ["val/loss"]),
        (Numbers(float("nan"), told.gradient * float("inf"), 50.0), ["loss", "gradient"]),
    ]
    for numbers_, disagrees in wrong:
        assert compared(numbers_, told, agreeing.TOLERANCES["bf16"], 10).disagrees == disagrees


def test_noise_of_the_host_is_the_same_for_every_side_and_new_at_every_step(bars: Path) -> None:
    prepared = prepared_for(task_of(bars))
    first, second = (HostNoise(prepared.recipe.seed, torch.device("cpu")) for _ in range(2))
    x = next(iter(prepared.train))

    def draws(noise: HostNoise) -> list[torch.Tensor]:
        found = []
        with noise.drawn():
            for _ in range(2):
                found.append(prepared.model.q(x).rsample())
                noise.refill()
        return found

    one, other = draws(first), draws(second)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(*one)
    q = prepared.model.q(x)
    with first.drawn():
        z = torch.stack([(first.refill(), (q.rsample() - q.mean) / q.stddev)[1] for _ in range(200)])
    assert abs(z.mean().item()) < 0.05
    assert abs(z.std().item() - 1) < 0.05
    assert "noise" not in type(q).rsample.__code__.co_names  # what was there before is there again
    assert derive(1, "noise", 0) != derive(1, "noise", 1)


def test_a_side_with_the_hosts_noise_trains_as_another_does(bars: Path) -> None:
    found = []
    for _ in range(2):
        noise = HostNoise(0, torch.device("cpu"))
        with noise.drawn():
            found.append(numbers(side_of(prepared_for(task_of(bars)), noise), 10, noise))
    assert (found[0].loss, found[0].val_loss) == (found[1].loss, found[1].val_loss)
    plain = numbers(side_of(prepared_for(task_of(bars))), 10)
    assert plain.loss != found[0].loss  # it is other noise


def test_operations_are_counted_as_one_does_by_hand() -> None:
    a, b = torch.ones(30, 40), torch.ones(40, 50)
    counts = counts_of(lambda: a @ b)
    assert counts.flops == 2 * 30 * 40 * 50
    assert counts.bytes == 4 * (30 * 40 + 40 * 50 + 30 * 50)
    assert counts_of(lambda: a.t()).bytes == 0


# -- in earnest -----------------------------------------------------------------------------------------------


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
    assert result.environment.software.libraries["torch"] == torch.__version__
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


def test_fp16_is_compared_at_a_scale_that_does_not_overflow(bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflowing(own: Precision) -> GradScaler:
        return GradScaler(own.device_type, init_scale=2.0**24, enabled=own.name == "fp16")

    told = numbers(side_of(prepared_for(task_of(bars))), 5)
    monkeypatch.setattr(Precision, "scaler", overflowing)
    found = numbers(side_of(prepared_for(task_of(bars, precision="fp16"))), 5)
    assert compared(found, told, agreeing.TOLERANCES["fp16"], 5).gradient_error < 1e-2
