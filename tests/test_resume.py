"""A resumed run repeats an undisturbed one to the last bit, wherever and however it was interrupted."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

import genlab
from genlab import Terms
from genlab.cli import main
from genlab.errors import GenlabError, RecipeError, RunError
from genlab.runs import RunDirectory, known_runs
from genlab.train.callbacks import Callback
from tests.children import OVERRIDES, At, child, command, in_child, raised, run_killed_after

LAST = 28  # steps of OVERRIDES: 4 epochs of 7


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums are the same to the last bit only with the same number of threads as the children have."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def result(directory: Path) -> dict[str, bytes]:
    """What must not depend on how often a run was interrupted."""
    names = ("model/model.safetensors", "model/metrics.json", "metrics.jsonl")
    last = max((directory / "checkpoints").iterdir())
    return {name: (directory / name).read_bytes() for name in names} | {
        "state": (last / "state.safetensors").read_bytes()
    }


def undisturbed(recipe: Path, overrides: dict[str, Any]) -> dict[str, bytes]:
    return result(genlab.run(recipe, overrides, plots=False, device="cpu").directory)


def interrupted(recipe: Path, overrides: dict[str, Any], step: int) -> Path:
    """A run that Ctrl-C ends after one step."""
    stop = At(step, raised(signal.SIGINT))
    try:
        run = genlab.run(recipe, overrides, plots=False, device="cpu", callbacks=[stop])
    except KeyboardInterrupt:
        ((directory, _),) = [found for found in known_runs() if found[1].status == "interrupted"]
        return directory.path
    assert run.status == "interrupted"
    return run.directory


def resumed(directory: Path, **options: Any) -> dict[str, bytes]:
    run = genlab.resume(directory, plots=False, **options)
    assert run.status == "completed"
    return result(run.directory)


FEATURES: dict[str, dict[str, Any]] = {
    "plain": {},
    "ema": {"train.ema": {"decay": 0.9}},
    "accumulate-clip": {"train.accumulate": 3, "train.clip_norm": 0.5, "train.epochs": 10},
    "cosine": {"schedule": {"use": "cosine", "warmup_steps": 5}},
    "plateau": {"schedule": {"use": "plateau", "patience": 1}, "optimizer": {"use": "adam", "lr": 0.3}},
    "warmup-free-bits": {"objective": {"use": "elbo", "warmup_steps": 20, "free_bits": 0.1}},
    "sgd-momentum": {"optimizer": {"use": "sgd", "lr": 0.01, "momentum": 0.9}},
    "adamw": {"optimizer": {"use": "adamw", "weight_decay": 0.1}},
    "bf16": {"train.precision": "bf16"},
    "fp16": {"train.precision": "fp16"},
    "eval-by-steps": {"train.eval_every_steps": 4},
    "stream": {"train.data": "stream"},
    "learned-likelihood": {"likelihood": {"use": "gaussian", "learn_std": True}},
}


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("step", [3, 13])
def test_resume_is_exact_with(feature: str, step: int, bars: Path) -> None:
    overrides = OVERRIDES | FEATURES[feature]
    expected = undisturbed(bars, overrides)
    assert resumed(interrupted(bars, overrides, step)) == expected


@pytest.mark.parametrize(
    ("where", "step"), [("first-step", 1), ("mid-epoch", 10), ("epoch-boundary", 14), ("last-step", LAST)]
)
def test_resume_at(where: str, step: int, bars: Path) -> None:
    expected = undisturbed(bars, OVERRIDES)
    directory = interrupted(bars, OVERRIDES, step)
    assert resumed(directory) == expected
    assert resumed(directory) == expected  # a run that is over stays as it is


def test_resume_after_early_stopping_leaves_the_run_as_it_is(bars: Path) -> None:
    overrides = OVERRIDES | {"train.epochs": 40, "train.early_stopping": {"patience": 1}, "optimizer.lr": 0.5}
    run = genlab.run(bars, overrides, plots=False, device="cpu")
    assert run.ended == "early stopping"
    before = result(run.directory)
    again = genlab.resume(run.directory, plots=False)
    assert (again.ended, again.metrics) == ("early stopping", run.metrics)
    assert result(run.directory) == before


def test_resume_counts_patience_across_the_interruption(bars: Path) -> None:
    overrides = OVERRIDES | {"train.epochs": 40, "train.early_stopping": {"patience": 3}, "optimizer.lr": 0.5}
    run = genlab.run(bars, overrides, plots=False, device="cpu")
    assert run.ended == "early stopping"
    middle = run.records[-1].step - 10  # two evaluations without a new best lie on either side
    assert resumed(interrupted(bars, overrides, middle)) == result(run.directory)


def test_resume_after_two_interruptions(bars: Path) -> None:
    expected = undisturbed(bars, OVERRIDES)
    directory = interrupted(bars, OVERRIDES, 9)
    again = genlab.resume(directory, plots=False, callbacks=[At(17, raised(signal.SIGINT))])
    assert again.status == "interrupted"
    assert resumed(directory) == expected


def test_resume_goes_on_for_longer_if_told_as_a_longer_run_would(bars: Path) -> None:
    expected = undisturbed(bars, OVERRIDES | {"train.epochs": 6})
    run = genlab.run(bars, OVERRIDES, plots=False, device="cpu")
    found = resumed(run.directory, overrides={"train.epochs": 6})
    del found["model/metrics.json"], expected["model/metrics.json"]  # which names the command
    assert found == expected
    assert "epochs: 6" in (run.directory / "resolved.yaml").read_text()


def test_resume_refuses_to_change_what_is_trained(bars: Path) -> None:
    run = genlab.run(bars, OVERRIDES, plots=False, device="cpu")
    with pytest.raises(RecipeError, match=r"override optimizer\.lr: a resumed run can change train\.epochs"):
        genlab.resume(run.directory, {"optimizer.lr": 1.0})


def test_resume_after_a_time_limit_goes_on(bars: Path) -> None:
    run = genlab.run(bars, OVERRIDES | {"train.max_time": 1e-6}, plots=False, device="cpu")
    assert (run.status, run.ended, run.records[-1].step) == ("completed", "time limit", 1)
    done = genlab.resume(run.directory, {"train.max_time": 1000}, plots=False)
    assert (done.ended, done.records[-1].step) == ("all epochs done", LAST)


def test_resume_of_a_run_that_died_before_its_first_checkpoint_starts_it_again(bars: Path) -> None:
    expected = undisturbed(bars, OVERRIDES)
    assert in_child(run_killed_after, bars, OVERRIDES, 2) == -signal.SIGKILL
    ((directory, status),) = [found for found in known_runs() if found[1].status != "completed"]
    assert status.status == "died"
    assert resumed(directory.path) == expected


def test_resume_restores_a_model_and_metrics_that_ran_ahead_of_the_checkpoint(bars: Path) -> None:
    """Killed after an evaluation but before its checkpoint, the run directory knows more than the state."""
    overrides = OVERRIDES | {"checkpoint.every_steps": None, "checkpoint.every_epochs": 3}
    expected = undisturbed(bars, overrides)
    assert in_child(run_killed_after, bars, overrides, 27) == -signal.SIGKILL
    ((directory, status),) = [found for found in known_runs() if found[1].status == "died"]
    assert status.best_epoch is not None
    (directory.path / "metrics.jsonl").write_text("nonsense\n")
    (directory.model / "model.safetensors").unlink()
    assert resumed(directory.path) == expected


def test_resume_warns_where_the_environment_differs(bars: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = interrupted(bars, OVERRIDES, 9)
    path = directory / "env.json"
    environment = json.loads(path.read_text())
    environment["libraries"]["torch"] = "1.0"
    path.write_text(json.dumps(environment | {"threads": 64}))
    with caplog.at_level("WARNING"):
        assert genlab.resume(directory, plots=False).status == "completed"
    assert "threads 64 then, 1 now" in caplog.text
    assert f"torch 1.0 then, {version('torch')} now" in caplog.text
    assert "threads 64 then" in (directory / "log.txt").read_text()


def test_resume_in_the_same_environment_says_nothing(bars: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = interrupted(bars, OVERRIDES, 9)
    with caplog.at_level("WARNING"):
        genlab.resume(directory, plots=False)
    assert caplog.text == ""


@pytest.mark.parametrize("elsewhere", ["device", "cpu"])
def test_resume_on_another_kind_of_device_drops_what_means_nothing_there(elsewhere: str, bars: Path) -> None:
    """A state from an accelerator has its random state, a scaler's, and a tensor of sums; a CPU has none."""
    from genlab.train.checkpoints import Checkpoints

    directory = interrupted(bars, OVERRIDES, 9)
    checkpoints = Checkpoints(directory / "checkpoints")
    state = checkpoints.load()
    if elsewhere == "device":
        state["random"]["device"] = torch.zeros(16, dtype=torch.uint8)
        state["mean"]["sums"] = torch.tensor(state["mean"]["sums"], dtype=torch.float64)
        state["scaler"] = {"scale": 1024.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000,
                           "_growth_tracker": 0}  # fmt: skip
    checkpoints.save((9, 1), state)
    assert genlab.resume(directory, plots=False).records[-1].step == LAST


def test_resume_leaves_the_callers_random_state_alone(bars: Path) -> None:
    directory = interrupted(bars, OVERRIDES, 9)
    before = torch.get_rng_state()
    genlab.resume(directory, plots=False)
    assert torch.equal(before, torch.get_rng_state())


# -- the command line ------------------------------------------------------------------------------------


def code(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


@pytest.mark.parametrize(("name", "number"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("step", [2, 10, 14])
def test_resume_by_command_after_a_signal_and_its_exit_code(name: str, number: int, step: int, bars: Path) -> None:
    expected = undisturbed(bars, OVERRIDES)
    arguments = ["run", str(bars), "train.epochs=4", "checkpoint.every_steps=5", "optimizer={use: adam, lr: 0.01}"]
    assert in_child(command, [*arguments, "--device", "cpu", "-q"], step, getattr(signal, name), 1) == number
    ((directory, _),) = [found for found in known_runs() if found[1].status == "interrupted"]
    assert max(path.name for path in directory.checkpoints.iterdir()).startswith(f"{step:08}-")
    assert code(["resume", str(directory.path), "-q"]) == 0
    assert result(directory.path) == expected


def test_resume_auto_goes_on_with_the_unfinished_run_of_this_recipe_or_starts_one(
    bars: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = interrupted(bars, {"train.epochs": 4}, 9)
    assert code(["run", str(bars), "train.epochs=4", "--resume", "auto", "-q"]) == 0
    assert capsys.readouterr().out == f"{directory}\n"
    assert code(["run", str(bars), "train.epochs=4", "--resume", "auto", "-q"]) == 0  # that one is done
    assert capsys.readouterr().out != f"{directory}\n"
    assert len(known_runs()) == 2


def test_resume_auto_and_nothing_else_is_understood(bars: Path) -> None:
    with pytest.raises(RecipeError, match="'never' or 'auto' is expected"):
        genlab.run(bars, resume="always")


def test_resume_forgets_the_checkpoints_of_a_time_that_it_went_back_from(bars: Path) -> None:
    """The newest is damaged: what is saved next must leave two whole ones, not a whole and a damaged one."""
    directory = interrupted(bars, OVERRIDES, 13)
    older, newer = sorted((directory / "checkpoints").iterdir())
    (newer / "state.json").write_bytes(b"")
    saved: list[list[str]] = []

    class After(Callback):
        def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
            saved.append(sorted(path.name for path in (directory / "checkpoints").iterdir()))

    genlab.resume(directory, {"checkpoint.every_steps": 1}, plots=False, callbacks=[After()])
    assert saved[0] == [older.name, newer.name]
    assert saved[1] == [older.name, "00000011-0001"]


def test_resume_auto_takes_no_run_of_another_recipe(bars: Path) -> None:
    directory = interrupted(bars, {"train.epochs": 4}, 9)
    run = genlab.run(bars, {"train.epochs": 5}, plots=False, resume="auto")
    assert run.directory != directory


@pytest.mark.parametrize("what", ["", "nowhere", "/dev/null", "a\0b"])
def test_resume_of_what_is_no_run(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code(["resume", what]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "Traceback" not in err


@pytest.mark.parametrize("what", ["", "nowhere", "here"])
def test_resume_of_what_is_no_run_says_what_is_expected_and_invents_no_path(
    what: str, bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    genlab.run(bars, {"train.epochs": 1}, plots=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert code(["resume", what]) == 2
    assert capsys.readouterr().err == (
        f"error: no run {what!r}: no run directory at that path, and no run that is called so; `genlab runs list` "
        "lists them; names: bars\n"
    )


@pytest.mark.parametrize("called", ["bars", "run:bars", "its own"])
def test_resume_takes_the_newest_run_of_a_name(
    called: str, bars: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genlab.run(bars, {"train.epochs": 1}, plots=False)
    directory = interrupted(bars, {"train.epochs": 4}, 9)
    assert code(["resume", directory.name if called == "its own" else called, "-q"]) == 0
    assert capsys.readouterr().out == f"{directory}\n"
    assert [status.status for _, status in known_runs()] == ["completed", "completed"]


def test_resume_of_a_run_whose_recipe_was_damaged(bars: Path) -> None:
    directory = interrupted(bars, OVERRIDES, 9)
    (directory / "resolved.yaml").write_text("name: [")
    with pytest.raises(RecipeError, match=r"resolved\.yaml"):
        genlab.resume(directory)


# -- two processes ---------------------------------------------------------------------------------------


class Waiting(Callback):
    """Waits in the first step until it is told to go on."""

    def __init__(self, here: Path, go: Path) -> None:
        self.here, self.go = here, go

    def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
        import time

        if step == 1:
            self.here.touch()
            while not self.go.exists():
                time.sleep(0.01)


def run_waiting(recipe: Path, here: Path, go: Path) -> None:
    genlab.run(recipe, OVERRIDES, plots=False, device="cpu", callbacks=[Waiting(here, go)])


def test_resume_of_a_run_that_another_process_is_at_work_in_is_refused(bars: Path, tmp_path: Path) -> None:
    import time

    expected = undisturbed(bars, OVERRIDES)
    here, go = tmp_path / "here", tmp_path / "go"
    process = child(run_waiting, bars, here, go)
    while not here.exists():
        time.sleep(0.01)
    ((directory, _),) = [found for found in known_runs() if found[1].status == "running"]
    with pytest.raises(RunError, match=rf"another process \(pid {process.pid} on .*\) is at work in this run"):
        genlab.resume(directory.path)
    go.touch()
    process.join(60)
    assert process.exitcode == 0
    assert result(directory.path) == expected


def test_resume_finds_the_lock_free_again_when_its_holder_was_killed(bars: Path) -> None:
    assert in_child(run_killed_after, bars, OVERRIDES, 6) == -signal.SIGKILL
    ((directory, _),) = known_runs()
    assert (directory.path / ".lock").exists()
    assert genlab.resume(directory.path, plots=False).status == "completed"


def test_resume_reads_no_status_of_another_format(bars: Path) -> None:
    run = genlab.run(bars, OVERRIDES, plots=False, device="cpu")
    (run.directory / "status.json").write_text("{}")
    with pytest.raises(GenlabError, match=r"status\.json: damaged"):
        genlab.resume(run.directory)
    assert RunDirectory(run.directory).checkpoints.is_dir()
