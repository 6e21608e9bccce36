"""What a run's files say, for tables: read without building anything, whatever is missing or damaged."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from genlab.difference import values_at
from genlab.errors import GenlabError, RunError
from genlab.runs import RunDirectory, Status
from genlab.tree import Json
from genlab.wording import printable

Row = Mapping[str, float]

_EXAMPLES = re.compile(r"all ([\d,]+) validation examples")
_MAX_HEADER = 100_000_000  # bytes; what the format itself allows


class _Kept(BaseModel):
    """What is needed of a bundle's ``metrics.json``."""

    protocol: str = ""
    validation_sha256: str = ""


class Made(BaseModel):
    """What is needed of ``env.json``: what a run was done with. Empty where it is not known."""

    genlab: str = ""
    plugins: dict[str, str] = {}
    python: str = ""
    libraries: dict[str, str] = {}
    device: str = ""
    precision: str = ""
    runner: str = ""
    threads: int = 0
    command: str = ""


M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Digest:
    """A run as its files tell it.

    state: of ``Status``, or ``damaged`` if that cannot be read. recipe: the resolved values; empty if they
    cannot be read. rows: the evaluations. best: that of the kept model, nats per example; best_epoch: after
    which it was taken. seconds: of training and evaluation together. images_per_second: the mean over
    evaluations, of training steps alone. protocol: how ``val/*`` were measured; examples: on how many.
    validation_sha256: of the validation examples. parameters: numbers in the weights file. Whatever is not
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
    made: Made = field(default_factory=Made, repr=False)
    rows: tuple[Row, ...] = field(default=(), repr=False)
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
    if not any((path / name).is_file() for name in ("status.json", "resolved.yaml", "metrics.jsonl")):
        raise RunError(f"{path}: not a run directory: no status.json")
    status = _status(run, notes)
    rows = _rows(path / "metrics.jsonl", notes)
    timings = _rows(path / "timing.jsonl", notes)
    best, best_epoch = (dict(status.best), status.best_epoch) if status else ({}, None)
    if not best and (measured := [row for row in rows if "val/loss" in row]):
        lowest = min(measured, key=lambda row: row["val/loss"])
        best = {key: value for key, value in lowest.items() if "/" in key}
        best_epoch = int(lowest["epoch"]) if "epoch" in lowest else None
    best = {name: value for name, value in best.items() if printable(name) == name}
    speeds = [row["images_per_second"] for row in timings if "images_per_second" in row]
    kept = _read(_Kept, run.model / "metrics.json", notes)
    return Digest(
        path=path,
        state=status.status if status else "damaged",
        name=status.name if status else path.parent.name,
        message=status.message if status else "",
        started=status.started if status else "",
        finished=(status.finished or "") if status else "",
        steps=status.steps if status else 0,
        recipe=_recipe(path / "resolved.yaml", notes) if recipe else {},
        made=_read(Made, path / "env.json", notes),
        rows=rows,
        best=best,
        best_epoch=best_epoch,
        seconds=_seconds(timings, status),
        images_per_second=sum(speeds) / len(speeds) if speeds else None,
        protocol=kept.protocol,
        validation_sha256=kept.validation_sha256,
        parameters=_parameters(run.model / "model.safetensors"),
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
        return values_at(path)
    except GenlabError as error:
        notes.append(str(error).partition("\n")[0].removeprefix(f"{path.parent}/"))
        return {}


def _rows(path: Path, notes: list[str]) -> tuple[Row, ...]:
    """Read an object of numbers a line; a line that is none, as the last of a copy cut short, is left out."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows.append({key: value + 0.0 for key, value in row.items()})
        except (ValueError, TypeError, AttributeError, RecursionError):
            notes.append(f"{path.name}: line {number} is damaged and left out")
    return tuple(rows)


def _read(model: type[M], path: Path, notes: list[str]) -> M:
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError:
        return model()
    except ValidationError:
        notes.append(f"{path.name}: damaged")
        return model()


def _parameters(path: Path) -> int | None:
    """Count the numbers in a weights file from its header, buffers included; None if there is none to read."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header: dict[str, Any] = json.loads(file.read(min(length, _MAX_HEADER)))
        return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError):
        return None
