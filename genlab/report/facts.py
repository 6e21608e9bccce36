"""Everything that a run's page says, read from its directory; what is missing or damaged is left out.

Runs that failed, that died or that are under way have pages too, so nothing but ``status.json`` is needed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from genlab.errors import GenlabError
from genlab.interpolation import read_written
from genlab.plots import PLOTS
from genlab.runfiles import Environment, Metrics, Status
from genlab.runs import RunDirectory
from genlab.store import CARD, read_metrics
from genlab.summary import Layer, layers, parameter_count
from genlab.tree import Json

PAGE = "report.html"
LOGGED = 40  # lines of the log, at most, on the page of a run that did not end well


@dataclass(frozen=True)
class Evaluation:
    """A row of ``metrics.jsonl``, with its time from ``timing.jsonl``: seconds since the one before."""

    epoch: int
    step: int
    metrics: Mapping[str, float]
    seconds: float | None = None
    images_per_second: float | None = None


@dataclass(frozen=True)
class Picture:
    """A plot: its kind, what it shows, and the PNG."""

    kind: str
    about: str
    png: bytes


@dataclass(frozen=True)
class File:
    """A file of the run, or a folder of which the page shows no more."""

    path: str
    size: int


@dataclass(frozen=True)
class Anatomy:
    """The model's layers and parameters, or why they cannot be listed."""

    layers: tuple[Layer, ...] = ()
    parameters: int | None = None
    obstacle: str = ""


@dataclass(frozen=True)
class RunFacts:
    """A run as its page shows it.

    resolved: the recipe, every default filled in. origins: where each of its keys was written. kept: the
    metrics of the best model. can_resume: a checkpoint is there to go on from.
    """

    path: Path
    status: Status
    environment: Environment | None
    resolved: Mapping[str, Json]
    written: str
    origins: Mapping[str, str]
    evaluations: tuple[Evaluation, ...]
    kept: Metrics | None
    anatomy: Anatomy
    pictures: tuple[Picture, ...]
    files: tuple[File, ...]
    card: str
    log: tuple[str, ...]
    can_resume: bool

    @property
    def best(self) -> Evaluation | None:
        """The evaluation whose model was kept."""
        same = [e for e in self.evaluations if e.metrics == self.status.best]
        return same[-1] if same else None

    @property
    def last(self) -> Evaluation | None:
        """The last evaluation."""
        return self.evaluations[-1] if self.evaluations else None


def read_run(path: Path) -> RunFacts:
    """Read a run directory; raise ``RunError`` if it is none."""
    run = RunDirectory(path.absolute())
    status = run.status()
    environment, kept = None, None
    with suppress(GenlabError):
        environment = run.environment()
    with suppress(GenlabError):
        kept = read_metrics(run.model)
    return RunFacts(
        path=run.path,
        status=status,
        environment=environment,
        resolved=_resolved(run.path / "resolved.yaml"),
        written=_text(run.path / "recipe.yaml"),
        origins=run.origins(),
        evaluations=tuple(_evaluations(run.path)),
        kept=kept,
        anatomy=_anatomy(run),
        pictures=tuple(_pictures(run.plots)),
        files=tuple(_files(run.path)),
        card=_text(run.model / CARD),
        log=tuple(_text(run.path / "log.txt").splitlines()[-LOGGED:]),
        can_resume=any(run.checkpoints.glob("[0-9]*")),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _resolved(path: Path) -> Mapping[str, Json]:
    """Read the resolved recipe as it stands: its plugins need not be installed."""
    with suppress(GenlabError):
        plain = read_written(path).plain()
        if isinstance(plain, dict):
            return plain
    return {}


def _rows(path: Path) -> Iterator[Mapping[str, float]]:
    for line in _text(path).splitlines():
        with suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and isinstance(row.get("step"), int | float):
                yield {str(k): v for k, v in row.items() if isinstance(v, int | float)}


def _evaluations(path: Path) -> Iterator[Evaluation]:
    times = {row["step"]: row for row in _rows(path / "timing.jsonl")}
    for row in _rows(path / "metrics.jsonl"):
        if not math.isfinite(row["step"]) or not math.isfinite(row.get("epoch", 0)):
            continue
        metrics = {name: float(value) for name, value in row.items() if name not in ("epoch", "step")}
        time = times.get(row["step"], {})
        yield Evaluation(
            int(row.get("epoch", 0)), int(row["step"]), metrics,
            time.get("seconds"), time.get("images_per_second"),
        )  # fmt: skip


def _anatomy(run: RunDirectory) -> Anatomy:
    """Build the model of the recipe, untrained, to list its layers."""
    from genlab.build import build_data, build_model
    from genlab.plugins import installed

    try:
        recipe, registry = run.recipe(), installed().registry
        model = build_model(recipe, build_data(recipe, registry).x_shape, registry)
        return Anatomy(tuple(layers(model)), parameter_count(model))
    except Exception as error:  # parts are anybody's code, and the page is worth having without them
        return Anatomy(obstacle=str(error).partition("\n")[0] or type(error).__name__)


def _pictures(folder: Path) -> Iterator[Picture]:
    found = {path.stem: path for path in sorted(folder.glob("*.png")) if path.is_file()}
    for kind in [*(kind for kind in PLOTS if kind in found), *(kind for kind in found if kind not in PLOTS)]:
        with suppress(OSError):
            yield Picture(kind, PLOTS.get(kind, ""), found[kind].read_bytes())


def _files(folder: Path) -> Iterator[File]:
    """List the run's files; a checkpoint is one entry, and the page does not list itself."""
    sizes: dict[str, int] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts) or relative == Path(PAGE):
            continue
        with suppress(OSError):
            if path.is_file():
                parts = relative.parts
                entry = (
                    "/".join(parts[:2]) + "/" if parts[0] == "checkpoints" and len(parts) > 2 else "/".join(parts)
                )
                sizes[entry] = sizes.get(entry, 0) + path.stat().st_size
    # What lies at the top comes first, as a reader would look for it.
    yield from (File(name, sizes[name]) for name in sorted(sizes, key=lambda name: ("/" in name, name)))
