"""Nothing is lost: whatever dies, fills up, breaks or overflows, a run goes on from whole data or says why not."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import random
import shutil
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import genlab
from genlab import LatentModel, Objective, Terms
from genlab.errors import RunError, TrainingError
from genlab.parts.objectives import ELBO
from genlab.plugins import installed
from genlab.runs import known_runs
from genlab.train.checkpoints import MANIFEST, TENSORS, VALUES, Checkpoints
from tests import children
from tests.children import OVERRIDES, At, faulty, in_child, on_save, raised, run_killed_after, run_killed_in_save
from tests.test_resume import LAST, one_thread, result, resumed, undisturbed

__all__ = ["one_thread"]  # a fixture


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], dict[str, bytes]]:
    """The result of the undisturbed run, computed once."""
    known: dict[str, dict[str, bytes]] = {}

    def of(recipe: Path) -> dict[str, bytes]:
        if "it" not in known:
            known["it"] = {k: v for k, v in undisturbed(recipe, OVERRIDES).items() if k != "model/metrics.json"}
        return known["it"]

    return of


def same(found: dict[str, bytes], wanted: dict[str, bytes]) -> bool:
    """The command that made a run names its recipe's path, which differs from test to test."""
    return {name: data for name, data in found.items() if name != "model/metrics.json"} == wanted


def broken_off() -> Path:
    ((run, _),) = [found for found in known_runs() if found[1].status in ("died", "failed", "interrupted")]
    return run.path


Expected = Callable[[Path], dict[str, bytes]]


# -- kill -9 ----------------------------------------------------------------------------------------------

RANDOM_STEPS = [*random.Random(3).sample(range(1, LAST), 20), 1, 5, 6, 7, 8, 14, 15, 21, 27, 28]


@pytest.mark.parametrize("step", RANDOM_STEPS)
def test_fault_sigkill_after_step(step: int, bars: Path, expected: Expected) -> None:
    wanted = expected(bars)
    assert in_child(run_killed_after, bars, OVERRIDES, step) == -signal.SIGKILL
    assert same(resumed(broken_off()), wanted)


CALLS_OF_A_SAVE = [
    "mkdir of the parent, which is there", "mkdir",
    *["open", "write", "fsync", "replace", "open of the folder", "fsync of the folder"] * 3,
    "open of the folder", "fsync of the folder", "rename", "open of the parent", "fsync of the parent",
]  # fmt: skip
"""Of a checkpoint: its folder; three files, each written beside its place; the folder's own rename."""

REMOVAL = 8
"""Calls that remove an old checkpoint, at most."""


def test_fault_every_call_of_a_save_is_known(bars: Path, real_calls: Callable[[], None]) -> None:
    logs: list[list[str]] = []
    on_save(4, lambda: logs.append(faulty(10**9, lambda: None)))
    on_save(5, real_calls)
    genlab.run(bars, OVERRIDES, plots=False, device="cpu")
    assert logs[0][: len(CALLS_OF_A_SAVE)] == [call.split()[0] for call in CALLS_OF_A_SAVE]
    assert "unlink" in logs[0][len(CALLS_OF_A_SAVE) : len(CALLS_OF_A_SAVE) + REMOVAL]


def each_call(calls: list[str]) -> pytest.MarkDecorator:
    numbered = [(n, f"{n}-{call.replace(' ', '-')}") for n, call in enumerate(calls, start=1)]
    return pytest.mark.parametrize("nth", [n for n, _ in numbered], ids=[name for _, name in numbered])


@each_call([*CALLS_OF_A_SAVE, *["removal"] * REMOVAL])
def test_fault_sigkill_in_a_save_at_call(nth: int, bars: Path, expected: Expected) -> None:
    wanted = expected(bars)
    assert in_child(run_killed_in_save, bars, OVERRIDES, 4, nth) == -signal.SIGKILL
    assert same(resumed(broken_off()), wanted)


CALLS_OF_AN_EVALUATION = 58
"""metrics.jsonl, timing.jsonl, status.json, the log and a bundle of four files with its exchange of folders."""


def run_killed_in_evaluation(recipe: Path, overrides: dict[str, Any], nth: int) -> None:
    from genlab.keeper import Keeper

    whole, count = Keeper.on_evaluation, 0

    def counted(self: Any, record: Any, state: Any) -> None:
        nonlocal count
        count += 1
        log = faulty(nth, raised(signal.SIGKILL)) if count == 2 else []
        whole(self, record, state)
        if count == 2:
            assert len(log) <= CALLS_OF_AN_EVALUATION, len(log)

    Keeper.on_evaluation = counted  # type: ignore[method-assign]
    children.run(recipe, overrides, [])


@pytest.mark.parametrize("nth", range(1, CALLS_OF_AN_EVALUATION + 1))
def test_fault_sigkill_while_an_evaluation_is_written_at_call(nth: int, bars: Path, expected: Expected) -> None:
    """Every file of the run directory: whatever is half done is done again."""
    wanted = expected(bars)
    assert in_child(run_killed_in_evaluation, bars, OVERRIDES, nth) == -signal.SIGKILL
    assert same(resumed(broken_off()), wanted)


# -- full disks and the like ------------------------------------------------------------------------------


@pytest.fixture
def real_calls() -> Iterator[Callable[[], None]]:
    """Puts the functions that ``faulty`` replaces back: when called, and at the end."""
    patch = pytest.MonkeyPatch()
    for call in children.CALLS:
        patch.setattr(os, call, getattr(os, call))
    patch.setattr(Checkpoints, "save", Checkpoints.save)
    yield patch.undo
    patch.undo()


def failing(number: int) -> Callable[[], None]:
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("name", ["ENOSPC", "EIO", "EACCES"])
@each_call(CALLS_OF_A_SAVE)
def test_fault_disk_error_in_a_save(
    name: str, nth: int, bars: Path, expected: Expected, real_calls: Callable[[], None]
) -> None:
    wanted = expected(bars)
    on_save(4, lambda: faulty(nth, failing(getattr(errno, name))))
    if nth == 1:  # the folder of checkpoints is there already
        assert same(undisturbed(bars, OVERRIDES), wanted)
        return
    message = rf"(?s){os.strerror(getattr(errno, name))}.*to go on from the last checkpoint: genlab resume"
    with pytest.raises(RunError, match=message):
        genlab.run(bars, OVERRIDES, plots=False, device="cpu")
    real_calls()
    directory = broken_off()
    names = [path.name for path in (directory / "checkpoints").iterdir()]
    assert len(names) >= 2
    assert not [name for name in names if name.startswith(".")]  # nothing half-written stays
    assert same(resumed(directory), wanted)


# -- damaged checkpoints ----------------------------------------------------------------------------------


@pytest.fixture
def checkpoints(bars: Path) -> Checkpoints:
    run = genlab.run(bars, OVERRIDES, plots=False, device="cpu")
    return Checkpoints(run.directory / "checkpoints")


def newest(checkpoints: Checkpoints) -> Path:
    return max(checkpoints.folder.iterdir())


def falls_back(checkpoints: Checkpoints, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """The one before is taken, loudly; with that one gone too, there is an error that names both."""
    older, newer = sorted(checkpoints.folder.iterdir())
    caplog.clear()
    with caplog.at_level("WARNING"):
        state = checkpoints.load()
    assert state["step"] == int(older.name.split("-")[0])
    assert newer.name in caplog.text
    assert f"the one before, {older.name}, is taken in its place" in caplog.text
    assert reason in caplog.text
    shutil.rmtree(older)
    with pytest.raises(RunError, match="no checkpoint of this run is whole"):
        checkpoints.load()


@pytest.mark.parametrize("name", [TENSORS, VALUES, MANIFEST])
@pytest.mark.parametrize(
    "share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999, "all-but-one-byte", "one-byte-more", "absent", "pipe"]
)
def test_fault_truncated(
    name: str, share: float | str, checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    path = newest(checkpoints) / name
    data = path.read_bytes()
    if share == "absent":
        path.unlink()
    elif share == "pipe":  # whoever opens it to read would wait for ever
        path.unlink()
        os.mkfifo(path)
    elif share == "one-byte-more":
        path.write_bytes(data + b"x")
    else:
        path.write_bytes(data[: len(data) - 1 if isinstance(share, str) else int(share * len(data))])
    falls_back(checkpoints, name, caplog)


@pytest.mark.parametrize("name", [TENSORS, VALUES, MANIFEST])
@pytest.mark.parametrize("place", [0.0, 0.01, 0.3, 0.6, 0.99])
def test_fault_flipped_bit(
    name: str, place: float, checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    path = newest(checkpoints) / name
    data = bytearray(path.read_bytes())
    if name == MANIFEST:
        place_of = data.index(b'"sha256": "') + 11 + int(place * 63)
        data[place_of] = ord("0") if data[place_of] != ord("0") else ord("1")
    else:
        data[int(place * len(data))] ^= 1
    path.write_bytes(bytes(data))
    falls_back(checkpoints, "SHA-256", caplog)


def with_manifest(folder: Path, name: str, data: bytes) -> None:
    """Write a file and make the manifest say that it is what was written."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.abort, ()


def header(content: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + data


OVERLAPPING = header(
    {
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
    },
    b"\0" * 12,
)

HOSTILE_TENSORS = {
    "pickle": pickle.dumps(Evil()),
    "oversized-header": struct.pack("<Q", 2**62) + b"{}",
    "overlapping": OVERLAPPING,
    "empty": b"",
    "out-of-range": header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 4),
    "unknown-dtype": header({"a": {"dtype": "Q7", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8),
}


HOSTILE_VALUES = {
    "not-json": b"\x80\x04K\x01.",
    "null": b"null",
    "list": b"[]",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "unknown-kind": b'{"map": [["step", {"class": "os.system"}]]}',
    "no-such-tensor": b'{"map": [["step", {"tensor": "nowhere"}]]}',
}


HOSTILE = [(TENSORS, name, data) for name, data in HOSTILE_TENSORS.items()]
HOSTILE += [(VALUES, name, data) for name, data in HOSTILE_VALUES.items()]


@pytest.mark.parametrize(
    ("file", "data"), [(f, d) for f, _, d in HOSTILE], ids=[f"{f}-{n}" for f, n, _ in HOSTILE]
)
def test_fault_hostile_content_with_a_manifest_that_fits(
    file: str, data: bytes, checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    with_manifest(newest(checkpoints), file, data)
    falls_back(checkpoints, "does not hold a state", caplog)


def test_fault_a_manifest_of_a_newer_format(checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture) -> None:
    path = newest(checkpoints) / MANIFEST
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    falls_back(checkpoints, "format 2", caplog)


def test_fault_the_newest_checkpoint_is_damaged_and_resume_ends_the_same(bars: Path, expected: Expected) -> None:
    wanted = expected(bars)
    assert in_child(run_killed_after, bars, OVERRIDES, 12) == -signal.SIGKILL
    directory = broken_off()
    (max((directory / "checkpoints").iterdir()) / TENSORS).write_bytes(b"")
    assert same(resumed(directory), wanted)


def test_fault_at_least_two_checkpoints_are_kept_and_no_more_than_asked(bars: Path) -> None:
    for keep in (2, 3):
        run = genlab.run(bars, OVERRIDES | {"checkpoint.keep": keep}, plots=False, device="cpu")
        assert len(list((run.directory / "checkpoints").iterdir())) == keep
    with pytest.raises(genlab.GenlabError, match=r"checkpoint\.keep"):
        genlab.run(bars, {"checkpoint.keep": 1})


# -- a state that lacks something ---------------------------------------------------------------------------

PATHS = [
    "step", "steps_per_epoch", "records", "seconds", "mean", "model", "objective", "best", "optimizer", "scaler",
    "ema", "random", "mean/names", "mean/sums", "mean/count", "model/encoder.net.1.0.weight", "model/prior.mean",
    "objective/weight", "best/encoder.net.1.0.weight", "optimizer/state", "optimizer/param_groups",
    "optimizer/state/0/exp_avg", "optimizer/state/0/exp_avg_sq", "optimizer/state/0/step",
    "optimizer/param_groups/0/lr", "optimizer/param_groups/0/initial_lr", "scaler/scale",
    "ema/averages", "ema/steps",
    "random/python", "random/numpy", "random/cpu", "random/device", "records/0/metrics", "records/0/step",
]  # fmt: skip

EVERYTHING = OVERRIDES | {"train.ema": {"decay": 0.9}, "train.precision": "fp16"}


@pytest.mark.parametrize("path", PATHS)
def test_fault_state_without(path: str, bars: Path) -> None:
    """Each key removed in turn is refused, by name."""
    run = genlab.run(bars, EVERYTHING, plots=False, device="cpu")
    checkpoints = Checkpoints(run.directory / "checkpoints")
    state = checkpoints.load()
    *parents, last = path.split("/")
    place = state
    for key in parents:
        place = place[int(key) if key.isdecimal() else key]
    del place[last]
    checkpoints.save((999, 0), state)
    with pytest.raises(RunError, match=rf"lacks '{last}'"):
        genlab.resume(run.directory)


def test_fault_every_top_level_key_of_the_state_is_in_the_list_above(bars: Path) -> None:
    run = genlab.run(bars, EVERYTHING, plots=False, device="cpu")
    state = Checkpoints(run.directory / "checkpoints").load()
    assert set(state) == {path for path in PATHS if "/" not in path}


def test_fault_state_with_an_unknown_key_or_another_shape(bars: Path) -> None:
    run = genlab.run(bars, OVERRIDES, plots=False, device="cpu")
    checkpoints = Checkpoints(run.directory / "checkpoints")
    state = checkpoints.load()
    checkpoints.save((998, 0), state | {"surprise": 1})
    with pytest.raises(RunError, match="unknown 'surprise'"):
        genlab.resume(run.directory)
    state["model"]["encoder.net.1.0.weight"] = torch.zeros(3)
    checkpoints.save((999, 0), state)
    with pytest.raises(RunError, match=r"encoder\.net\.1\.0\.weight is torch\.float32 of shape \(3,\)"):
        genlab.resume(run.directory)


def test_fault_data_of_another_size(bars: Path) -> None:
    run = genlab.run(bars, OVERRIDES, plots=False, device="cpu")
    path = run.directory / "resolved.yaml"
    path.write_text(path.read_text().replace("examples: 200", "examples: 300"))
    with pytest.raises(RunError, match="counts 7 steps an epoch, this run has 10: the data or the batch size"):
        genlab.resume(run.directory)


# -- signals ------------------------------------------------------------------------------------------------


def run_with_signal(recipe: Path, moment: str, number: int) -> None:
    """The command line, which is sent a signal at one moment of its second epoch."""
    import genlab.train.runners as runners
    from genlab.cli import main
    from genlab.parts.bars import Bars

    arguments = ["run", str(recipe), "train.epochs=4", "checkpoint.every_steps=5", "--device", "cpu", "-q"]
    arguments.append("optimizer={use: adam, lr: 0.01}")
    send = raised(number)
    if moment == "training":
        children.command(arguments, 11, number, 1)
    if moment == "evaluation":
        prepare, evaluations = Bars.prepare, 0

        def prepared(self: Bars, x: Tensor) -> Tensor:
            nonlocal evaluations
            evaluations += len(x) == 40  # the whole validation split
            if evaluations == 3 and len(x) == 40:  # the first was before training
                evaluations += 1
                send()
            return prepare(self, x)

        Bars.prepare = prepared  # type: ignore[method-assign]
    if moment == "saving":
        on_save(3, lambda: faulty(4, send))
    if moment == "compiling":

        def compile(loss: Any, **_: Any) -> Any:
            send()
            return loss

        runners.torch.compile = compile  # type: ignore[attr-defined]
        arguments.append("--runner=compile")
    main(arguments)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("moment", ["training", "evaluation", "saving", "compiling"])
def test_fault_signal_during(moment: str, name: str, code: int, bars: Path, expected: Expected) -> None:
    wanted = expected(bars)
    assert in_child(run_with_signal, bars, moment, getattr(signal, name)) == code
    directory = broken_off()
    if moment == "compiling":  # nothing was trained yet: there is nothing to keep
        assert not (directory / "checkpoints").exists()
        path = directory / "env.json"
        path.write_text(path.read_text().replace('"runner": "compile"', '"runner": "eager"'))
    assert same(resumed(directory), wanted)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_fault_second_signal_ends_at_once_with_the_old_checkpoint_whole(
    name: str, bars: Path, expected: Expected
) -> None:
    wanted = expected(bars)
    arguments = ["run", str(bars), "train.epochs=4", "checkpoint.every_steps=5", "optimizer={use: adam, lr: 0.01}"]
    number = getattr(signal, name)
    assert in_child(children.command, [*arguments, "--device", "cpu", "-q"], 13, number, 2) == 128 + number
    directory = broken_off()
    assert max(path.name for path in (directory / "checkpoints").iterdir()).startswith("00000010")
    assert same(resumed(directory), wanted)


# -- numbers that are none ------------------------------------------------------------------------------------


class BadGradient(torch.autograd.Function):
    """The identity, with a gradient that is not finite."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: float) -> Tensor:  # type: ignore[override]
        ctx.value = value
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return gradient * ctx.value, None


class Bad(Objective):
    """The ELBO, whose data, loss or gradient is not finite from one step on."""

    def __init__(self, *, what: str, value: float, at: int = 12, times: int = 10**9) -> None:
        super().__init__()
        self.elbo, self.what, self.value, self.steps = ELBO(), what, value, range(at, at + times)
        self.now = 0

    def at_step(self, step: int) -> None:
        self.now = step + 1

    def forward(self, model: LatentModel, x: Tensor) -> Terms:
        if not self.training or self.now not in self.steps:
            return self.elbo(model, x)
        if self.what == "data":
            return self.elbo(model, x * self.value)
        terms: Terms = self.elbo(model, x)
        if self.what == "loss":
            return Terms(terms.loss * self.value, terms.logs)
        return Terms(BadGradient.apply(terms.loss, self.value), terms.logs)


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = installed().registry
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))

    class Registered(Bad):
        def __init__(self, *, what: str, value: str, at: int = 12, times: int = 10**9) -> None:
            super().__init__(what=what, value=float(value), at=at, times=times)

    registry.register("bad", Registered, "tests")


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("what", ["data", "loss", "gradient"])
def test_fault_not_finite(what: str, value: str, clip: float | None, bars: Path, bad: None) -> None:
    """The step is named, its update withheld: the parameters are those after the step before."""
    seen: list[list[Tensor]] = []

    model: list[LatentModel] = []

    def announce(prepared: Any, _: Path) -> None:
        model.append(prepared.model)

    keep = At(11, lambda: seen.append([p.detach().clone() for p in model[0].parameters()]))
    settings = OVERRIDES | {"objective": {"use": "bad", "what": what, "value": value}, "train.clip_norm": clip}
    with pytest.raises(TrainingError, match=r"not finite at step 12, whose update was withheld"):
        genlab.run(bars, settings, plots=False, device="cpu", callbacks=[keep], announce=announce)
    assert all(torch.equal(a, b) for a, b in zip(seen[0], model[0].parameters(), strict=True))
    ((run, status),) = known_runs()
    assert status.status == "failed"
    state = Checkpoints(run.checkpoints).load()
    assert state["step"] == 10  # the last one that was due before
    assert all(value.isfinite().all() for value in state["model"].values())


def test_fault_fp16_overflow_skips_the_step_and_halves_the_scale_and_resume_is_exact(
    bars: Path, bad: None
) -> None:
    settings = OVERRIDES | {
        "objective": {"use": "bad", "what": "gradient", "value": "inf", "at": 8, "times": 2},
        "train.precision": "fp16",
    }
    scales: list[float] = []

    def watch(prepared: Any, _: Path) -> None:
        scales.append(prepared.model.precision.scaler().get_scale())

    run = genlab.run(bars, settings, plots=False, device="cpu", announce=watch)
    state = Checkpoints(run.directory / "checkpoints").load()
    assert state["scaler"]["scale"] == scales[0] / 4
    assert state["optimizer"]["state"][0]["step"] == LAST - 2
    stopped = genlab.run(bars, settings, plots=False, device="cpu", callbacks=[At(9, raised(signal.SIGINT))])
    assert resumed(stopped.directory) == result(run.directory)


def test_fault_fp16_gradients_that_overflow_at_every_scale_end_training(bars: Path, bad: None) -> None:
    settings = {"objective": {"use": "bad", "what": "gradient", "value": "nan", "at": 1}, "train.epochs": 20}
    with pytest.raises(TrainingError, match="however small its scale"):
        genlab.run(bars, settings | {"train.precision": "fp16"}, plots=False, device="cpu")


def test_fault_an_early_step_is_named_when_no_checkpoint_was_due(bars: Path, bad: None) -> None:
    settings = {"objective": {"use": "bad", "what": "loss", "value": "nan", "at": 2}}
    with pytest.raises(TrainingError, match=r"step 2.*\n.*nothing was kept") as caught:
        genlab.run(bars, settings, plots=False, device="cpu")
    assert caught.value.exit_code == 1


def test_fault_no_pickle_anywhere_in_a_run(bars: Path) -> None:
    run = genlab.run(bars, OVERRIDES, plots=False, device="cpu")
    for path in run.directory.rglob("*"):
        if path.is_file() and path.suffix != ".png":
            data = path.read_bytes()
            assert not data.startswith((b"\x80", b"PK")), path
