"""What a run's files say, for tables: read without building anything, whatever is missing or damaged."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from genlab.difference import values_at
from genlab.errors import GenlabError, RunError
from genlab.files import read_regular
from genlab.runfiles import (
    MAX_TEXT,
    Environment,
    Metrics,
    Row,
    Status,
    count_numbers,
    error_said,
    is_run,
    read_model,
    read_rows,
)
from genlab.runs import RunDirectory
from genlab.tree import Json
from genlab.wording import printable

_EXAMPLES = re.compile(r"all ([\d,]+) validation examples")


@dataclass(frozen=True)
class Digest:
    """A run as its files tell it.

    state: of ``Status``. recipe: the resolved values; empty if they cannot be read. made: what it was done with.
    rows: the evaluations; timings: of each. best: that of the kept model, nats per example; best_epoch: after
    which it was taken. seconds: of training and evaluation together. images_per_second: the median over
    evaluations, of training steps alone. kept: what the bundle says of itself; of it protocol: how ``val/*`` were
    measured; examples: on how many; validation_sha256: of the validation examples. parameters: of the model; all
    numbers in the weights file where an older genlab did not note them. Whatever is not
    known is None or empty. notes: what could not be read.
    """

    path: Path
    state: str
    name: str
    message: str = ""
    started: str = ""
    finished: str = ""
    steps: int = 0
    recipe: Mapping[str, Json] = field(default_factory=dict, repr=False)
    made: Environment | None = field(default=None, repr=False)
    rows: tuple[Row, ...] = field(default=(), repr=False)
    timings: tuple[Row, ...] = field(default=(), repr=False)
    kept: Metrics | None = field(default=None, repr=False)
    best: Row = field(default_factory=dict)
    best_epoch: int | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    protocol: str = ""
    validation_sha256: str = ""
    parameters: int | None = None
    active_units: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def examples(self) -> int | None:
        """How many validation examples there were."""
        found = _EXAMPLES.search(self.protocol)
        return int(found[1].replace(",", "")) if found else None

    @property
    def epochs(self) -> int:
        """The last epoch that was evaluated; 0 if none was."""
        return int(self.rows[-1].get("epoch", 0)) if self.rows else 0

    @property
    def planned(self) -> int | None:
        """How many epochs the recipe asks for, at most."""
        train = self.recipe.get("train")
        epochs = train.get("epochs") if isinstance(train, dict) else None
        return epochs if isinstance(epochs, int) else None


def digest(path: Path, *, recipe: bool = True) -> Digest:
    """Read a run directory; only a folder that is none raises ``RunError``.

    recipe: read that too, which takes longer than all the rest.
    """
    notes: list[str] = []
    run = RunDirectory(path)
    if not is_run(path) and not any((path / name).is_file() for name in ("status.json", "metrics.jsonl")):
        raise RunError(f"{path}: not a run directory")
    status = _status(run, notes)
    rows = read_rows(path / "metrics.jsonl", path, notes)
    timings = read_rows(path / "timing.jsonl", path, notes)
    best, best_epoch = (dict(status.best), status.best_epoch) if status else ({}, None)
    if not best and (measured := [row for row in rows if math.isfinite(row.get("val/loss", math.nan))]):
        lowest = min(measured, key=lambda row: row["val/loss"])
        best = {key: value for key, value in lowest.items() if "/" in key}
        best_epoch = int(lowest["epoch"]) if "epoch" in lowest else None
    best = {name: value for name, value in best.items() if printable(name) == name}
    speeds = [row["images_per_second"] for row in timings if row.get("images_per_second")]
    kept = read_model(Metrics, run.model / "metrics.json", path, notes)
    noted = kept.parameters if kept else None
    return Digest(
        path=path,
        state=status.status if status else "damaged",
        name=status.name if status else path.parent.name,
        message=status.message if status else "",
        started=status.started if status else "",
        finished=(status.finished or "") if status else "",
        steps=status.steps if status else 0,
        recipe=_recipe(path / "resolved.yaml", notes) if recipe else {},
        made=read_model(Environment, path / "env.json", path, notes),
        rows=rows,
        timings=timings,
        kept=kept,
        best=best,
        best_epoch=best_epoch,
        seconds=_seconds(timings, status),
        images_per_second=median(speeds) if speeds else None,
        protocol=kept.protocol if kept else "",
        validation_sha256=kept.validation_sha256 if kept else "",
        parameters=count_numbers(run.model / "model.safetensors", path) if noted is None else noted,
        active_units=status.active_units if status else None,
        notes=tuple(notes),
    )


def instant(text: str | None) -> datetime | None:
    """Read a time of ``status.json``; None if it is none."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _status(run: RunDirectory, notes: list[str]) -> Status | None:
    try:
        return run.status()
    except RunError as error:
        notes.append(str(error).removeprefix(f"{run.path}/"))
        return None


def _seconds(timings: tuple[Row, ...], status: Status | None) -> float | None:
    """How long a run took: as measured, pauses before a resume left out, else from start to end."""
    if timings:
        return sum(row.get("seconds", 0.0) for row in timings)
    start, end = (instant(status.started), instant(status.finished)) if status else (None, None)
    return (end - start).total_seconds() if start and end else None


def _recipe(path: Path, notes: list[str]) -> dict[str, Json]:
    try:
        read_regular(path, MAX_TEXT, within=path.parent)
        return values_at(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        notes.append(f"{path.name}: {error_said(error)}")
        return {}
    except GenlabError as error:
        notes.append(str(error).partition("\n")[0].removeprefix(f"{path.parent}/"))
        return {}
