"""What is measured, in which order, until when, and what is left if somebody or something ends it."""

from __future__ import annotations

import errno
import json
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from genlab.bench import running
from genlab.bench.children import Answer
from genlab.bench.plan import Wanted, plan
from genlab.bench.result import BenchError, read_result
from genlab.bench.running import Options, bench
from genlab.bench.tasks import About, Done, Failed, Profiled, Task
from genlab.cli import main
from genlab.errors import RunError
from genlab.opening import open_recipe
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
        (["--precision", "fp32,"], "--precision 'fp32,': words separated by commas are expected, as in fp32,bf16"),
        (["--device", ""], "--device '': words separated by commas are expected, as in cpu,cuda"),
        (["--bound", "nan"], "invalid value for '--bound'"),
        (["--limit", "9" * 310 + "s"], "a year at most"),
        (["--profile", "--quality", "150"], "--profile and --quality: "),
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
        self.lasting = 0.0  # seconds of each process, on its own clock

    def __call__(self, task: Task, variables: dict[str, str], told: Callable[[str], None]) -> Answer:
        self.tasks.append(task)
        told("measuring")
        if self.interrupt_at == len(self.tasks):
            raise KeyboardInterrupt
        label = task.combination.label
        if label in self.failing:
            return self.failing[label]
        if task.trace is not None:
            return Profiled(about=ABOUT, steps=20, costs=[])
        first = agreement(precision=task.combination.precision or "fp32") if task.agreement_steps else None
        return Done(
            about=ABOUT,
            process=process(task.round, self.seconds(task), after=conditions(task.spawned + self.lasting)),
            examples_per_call=32,
            agreement=first,
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
    result = bench(bars, wanted=wanted, options=Options(processes=7), output=tmp_path / "r.json")
    assert [sorted(order) for order in fake.rounds] == [sorted(fake.rounds[0])] * 7
    assert len({tuple(order) for order in fake.rounds}) > 1
    assert result.protocol.order == fake.rounds
    assert (result.ended, [len(cell.processes) for cell in result.cells]) == ("complete", [7] * 6)
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
    result = bench(bars, wanted=CPU, options=Options(processes=3, most=9))
    quiet, noisy = result.cells
    assert len(quiet.processes) == 6  # fewer enclose less than 95 %
    assert len(noisy.processes) == 9
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
    result = bench(bars, wanted=Wanted(("cpu",), ("fp32",), ("eager",)), options=Options(processes=7))
    (cell,) = result.cells
    assert (len(cell.processes), cell.failures) == (7, ["ended by signal 9"])


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


def test_ctrl_c_leaves_the_profiles_that_were_done(
    fake: Fake, bars: Path, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "r.json"
    options = ["--profile", "--device", "cpu", "--precision", "fp32,bf16", "--runner", "eager", "-o", str(path)]
    fake.interrupt_at = 2
    assert said(["bench", str(bars), *options], capsys)[0] == 130
    result = read_result(path)
    assert (result.ended, len(result.profiles)) == ("interrupted", 1)
    path.unlink()
    fake.tasks, fake.interrupt_at = [], 1
    code, _, err = said(["bench", str(bars), *options], capsys)
    assert (code, err) == (130, "interrupted before anything was profiled; nothing is kept\n")
    assert not path.exists()


def test_profiling_ends_at_the_time_limit(fake: Fake, bars: Path, tmp_path: Path) -> None:
    found = running.profile(bars, wanted=CPU, options=Options(limit=0.0), output=tmp_path / "r.json")
    assert (found.ended, len(found.profiles)) == ("time limit", 1)


def test_a_second_process_is_not_started_if_it_would_end_late(fake: Fake, bars: Path, tmp_path: Path) -> None:
    fake.lasting = 20.0
    found = bench(bars, wanted=CPU, options=Options(limit=15.0), output=tmp_path / "r.json")
    assert (found.ended, fake.rounds) == ("time limit", [fake.rounds[0]])


def test_a_signal_before_the_first_process_has_its_exit_code_too(
    fake: Fake, bars: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(running, "plan", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    code, _, err = said(["bench", str(bars), "--device", "cpu"], capsys)
    assert (code, err) == (143, "interrupted\n")
