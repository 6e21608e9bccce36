"""The files of a run: what is in them, and how they are read, whatever is missing, damaged or no file at all.

Every command that looks at runs reads them here, so that all read the same. Nothing here needs torch, no file is
read without a bound, and no link is followed out of the run's folder.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from genlab.files import read_regular

State = Literal["running", "completed", "interrupted", "failed", "died", "damaged"]
"""``died`` and ``damaged`` are never written: so a run is found whose process is gone, or whose status is."""

Row = Mapping[str, float]

MAX_JSON = 20_000_000  # bytes of one JSON file
MAX_ROWS = 50_000_000  # bytes of metrics.jsonl: hundreds of thousands of evaluations
MAX_TEXT = 1_000_000  # bytes of a text that people read
MAX_TAIL = 100_000  # bytes of a log's end

ORIGINS = "origins.json"
"""The file of where each value of a recipe came from."""
_ORIGINS = TypeAdapter(dict[str, str])


class Status(BaseModel):
    """The content of ``status.json``. Times are UTC, ISO 8601."""

    status: State
    name: str
    pid: int
    host: str
    started: str
    finished: str | None = None
    message: str = ""
    steps: int = 0
    best_epoch: int | None = None
    best: dict[str, float] = {}
    active_units: int | None = None


class Owner(BaseModel):
    """The distribution that a part came from.

    file: if that was a single-file plugin, where it was. options: those that the part had; None where that was not
    written down.
    """

    kind: str
    use: str
    distribution: str
    version: str
    file: str = ""
    options: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The part's name, without its distribution."""
        return self.use.rpartition(":")[2]

    @property
    def said(self) -> str:
        """``encoder 'conv' of genlab-mnist 0.1.0``."""
        return f"{self.kind} {self.name!r} of {self.distribution} {self.version}"

    @property
    def remedy(self) -> str:
        """What brings it back."""
        if self.file:
            return f"pass --plugin {shlex.quote(self.file)}"
        return f"pip install {self.distribution}"


class Environment(BaseModel):
    """The content of ``env.json``: what a result was obtained with. parts: who brought each of the recipe's."""

    genlab: str
    plugins: dict[str, str]
    parts: list[Owner] = []
    python: str
    platform: str
    device: str
    on: str
    precision: str
    runner: str
    runner_figures: dict[str, str] = {}
    deterministic: bool
    threads: int
    cpus: int
    allocator_tuned: bool
    libraries: dict[str, str]
    command: str

    @property
    def plugin_words(self) -> list[str]:
        """What names the recipe's single-file plugins on a command line: ``--plugin FILE`` for each."""
        files = dict.fromkeys(owner.file for owner in self.parts if owner.file)
        return [word for file in files for word in ("--plugin", file)]

    def differences(self, now: Environment) -> list[str]:
        """Say what differs now in what a result depends on to the last bit."""
        names = ("genlab", "python", "device", "precision", "runner", "threads", "deterministic")
        found = [(name, getattr(self, name), getattr(now, name)) for name in names]
        for group in ("libraries", "plugins"):
            before, after = getattr(self, group), getattr(now, group)
            found += [(name, before.get(name, "absent"), after.get(name, "absent")) for name in before | after]
        return [f"{name} {before} then, {after} now" for name, before, after in found if before != after]


class Metrics(BaseModel):
    """The content of a bundle's ``metrics.json``.

    metrics: of the kept model, nats per example. epoch: after which it was taken. protocol: how the numbers
    were obtained. validation_sha256: of the validation examples; empty where it was not taken. command, seed,
    device: what made it. parameters: of the model, buffers left out. history: the rows of ``metrics.jsonl``, one
    an evaluation, those after the kept one included.
    """

    metrics: dict[str, float]
    epoch: int
    protocol: str
    validation_sha256: str = ""
    command: str
    seed: int
    device: str
    parameters: int | None = None
    history: list[dict[str, float]]


M = TypeVar("M", bound=BaseModel)


def is_run(path: Path) -> bool:
    """Whether a folder is a run directory: it has the files that each has from its beginning.

    One of ``status.json`` and ``env.json`` may be lost. Links are none of its files.
    """
    try:
        regular = {entry.name for entry in os.scandir(path) if entry.is_file(follow_symlinks=False)}
    except (OSError, ValueError):
        return False
    whole = {"recipe.yaml", "resolved.yaml"} <= regular
    return bool(path.name) and whole and bool({"status.json", "env.json"} & regular)


def read_model(model: type[M], path: Path, run: Path, notes: list[str]) -> M | None:
    """Read a JSON file of a run; None if there is none to read, with a note unless it is simply not there."""
    try:
        return model.model_validate_json(read_regular(path, MAX_JSON, within=run))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = "damaged" if isinstance(error, ValidationError | ValueError) else error_said(error)
        notes.append(f"{path.name}: {why}")
        return None


def read_text(path: Path, run: Path, *, tail: bool = False) -> str:
    """Return a text of a run, or the end of a long one; empty if it cannot be read."""
    try:
        return read_regular(path, MAX_TAIL if tail else MAX_TEXT, within=run, tail=tail).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""


def read_origins(folder: Path) -> dict[str, str]:
    """Return where each value of a folder's recipe came from, by dotted key; empty if that is not known."""
    try:
        return _ORIGINS.validate_json(read_regular(folder / ORIGINS, MAX_JSON, within=folder))
    except (OSError, ValueError):
        return {}


def read_rows(path: Path, run: Path, notes: list[str]) -> tuple[Row, ...]:
    """Read an object of numbers a line; a line that is none, as the last of a copy cut short, is left out."""
    try:
        text = read_regular(path, MAX_ROWS, within=run).decode("utf-8", "replace")
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        notes.append(f"{path.name}: {error_said(error)}")
        return ()
    rows: list[Row] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append(_row(json.loads(line)))
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            notes.append(f"{path.name}: line {number} is damaged and left out")
    return tuple(rows)


def _row(found: Any) -> Row:
    row = {key: value + 0.0 for key, value in found.items()}
    if not all(math.isfinite(row.get(name, 0.0)) for name in ("epoch", "step", "seconds", "images_per_second")):
        raise ValueError("a count or a time is not finite")
    return row


def count_numbers(path: Path, run: Path) -> int | None:
    """Count the numbers in a weights file from its header, buffers included; None if there is none to read."""
    try:
        if not path.resolve().is_relative_to(run.resolve()) or not path.is_file():
            return None
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header: dict[str, Any] = json.loads(file.read(min(length, MAX_JSON)))
        shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
        if not all(type(size) is int and 0 <= size < 2**63 for shape in shapes for size in shape):
            return None
        return sum(map(math.prod, shapes))
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError, RecursionError):
        return None


def error_said(error: Exception) -> str:
    """Say in a few words why a file could not be read."""
    return f"cannot be read ({error.strerror})" if isinstance(error, OSError) else "damaged"
