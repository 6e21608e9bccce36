"""What a recipe's ``trackers:`` promise."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import genlab
from genlab.errors import GenlabError, RecipeError
from genlab.parts.trackers import TensorBoard
from genlab.registry import Registry
from tests.conftest import ROOT
from tests.trainer.training import (
    Heard,
    Overrides,
    Watch,
    nothing,
    run,
)


def test_a_tracker_is_told_of_every_evaluation_and_then_closed(bars: Path, registry: Registry) -> None:
    done = run(bars, {"trackers": ["heard", {"use": "heard", "fails_at": 99}], "train.epochs": 3})
    assert [heard.fails_at for heard in Heard.made] == [None, 99]
    for heard in Heard.made:
        assert (heard.folder, heard.step) == (done.directory, 0)
        assert heard.logged == [(r.step, r.epoch, dict(r.metrics)) for r in done.records]
        assert [step for step, _, _ in heard.logged] == [7, 14, 21]
        assert heard.closed == 1


def test_a_tracker_of_a_resumed_run_is_told_where_it_goes_on(bars: Path, registry: Registry) -> None:
    done = run(bars, {"trackers": ["heard"]})
    genlab.resume(done.directory, {"train.epochs": 4}, plots=False)
    _, heard = Heard.made
    assert (heard.folder, heard.step, heard.closed) == (done.directory, 14, 1)
    assert [step for step, _, _ in heard.logged] == [21, 28]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"optimizer": {"use": "sgd", "lr": 1e30}}, "not finite"),
        ({"trackers": ["heard", {"use": "heard", "fails_at": 7}]}, "the service is gone"),
    ],
)
def test_trackers_are_closed_when_training_fails(
    bars: Path, more: Overrides, message: str, registry: Registry
) -> None:
    with pytest.raises(GenlabError, match=message):
        run(bars, {"trackers": ["heard", "heard"], **more})
    assert [heard.closed for heard in Heard.made] == [1, 1]


def test_trackers_are_closed_when_another_one_cannot_start(
    bars: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_tensorboard(monkeypatch)
    with pytest.raises(GenlabError):
        run(bars, {"trackers": ["heard", "tensorboard"]})
    (heard,) = Heard.made
    assert heard.closed == 1


def without_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)


def test_without_tensorboard_its_tracker_says_what_to_install_before_the_first_step(
    bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_tensorboard(monkeypatch)
    watch = Watch(nothing)
    with pytest.raises(
        GenlabError, match=r"'tensorboard' needs TensorBoard .*pip install 'genlab\[tensorboard\]'"
    ):
        run(bars, {"trackers": ["tensorboard"]}, watch)
    assert watch.after == []


def test_the_extra_that_is_named_there_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert any(need.startswith("tensorboard") for need in project["optional-dependencies"].get("tensorboard", []))


def test_tensorboard_is_given_each_metric_as_a_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for its writer; events of a void past, after the step that is resumed from, are purged."""
    calls: list[tuple[object, ...]] = []

    class SummaryWriter:
        def __init__(self, folder: Path, *, purge_step: int) -> None:
            calls.append((folder, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            calls.append((name, value, step))

        def flush(self) -> None:
            calls.append(("flush",))

        def close(self) -> None:
            calls.append(("close",))

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=SummaryWriter))
    tracker = TensorBoard(tmp_path, 14, subfolder="curves")
    tracker.log(21, 3, {"train/loss": 2.0, "val/loss": 3.0})
    tracker.close()
    assert calls == [
        (tmp_path / "curves", 15), ("train/loss", 2.0, 21), ("val/loss", 3.0, 21), ("flush",), ("close",),
    ]  # fmt: skip


def test_an_unknown_tracker_is_refused_where_it_stands(bars: Path) -> None:
    bars.write_text(bars.read_text() + "trackers: [tensorbord]\n")
    with pytest.raises(
        RecipeError, match=r"bars\.yaml:8:12: trackers.*unknown tracker 'tensorbord'; did you mean"
    ):
        run(bars)
