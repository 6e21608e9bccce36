"""Everything that a run's page says, read from its directory; what is missing or damaged is left out.

Runs that failed, that died or that are under way have pages too, so nothing but ``status.json`` is needed.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from genlab.digest import Digest, digest
from genlab.errors import RunError
from genlab.files import read_regular
from genlab.plots import PLOTS
from genlab.runfiles import MAX_TEXT, Environment, Metrics, Status, is_run, read_text
from genlab.runs import RunDirectory
from genlab.store import CARD
from genlab.summary import Layer, layers, parameter_count
from genlab.tree import Json

PAGE = "report.html"
MAX_MODEL = 2**28  # bytes of a model's parameters that are built to list its layers
MAX_PICTURE = 20_000_000  # bytes of a plot
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

    digest: what every command says of it. status: as far as it can be read. origins: where each key of the recipe
    was written. can_resume: a checkpoint is there to go on from.
    """

    digest: Digest
    status: Status
    written: str
    origins: Mapping[str, str]
    evaluations: tuple[Evaluation, ...]
    anatomy: Anatomy
    pictures: tuple[Picture, ...]
    files: tuple[File, ...]
    card: str
    log: tuple[str, ...]
    can_resume: bool

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.digest.path

    @property
    def environment(self) -> Environment | None:
        """What it was done with."""
        return self.digest.made

    @property
    def same_files(self) -> str:
        """What names its single-file plugins again, at the end of a command; empty if there are none."""
        words = self.environment.plugin_words if self.environment else []
        return f" {shlex.join(words)}" if words else ""

    @property
    def resolved(self) -> Mapping[str, Json]:
        """The recipe, every default filled in."""
        return self.digest.recipe

    @property
    def kept(self) -> Metrics | None:
        """What the bundle of the best model says of itself."""
        return self.digest.kept

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
    found = digest(run.path)
    return RunFacts(
        digest=found,
        status=_status(run, found),
        written=read_text(run.path / "recipe.yaml", run.path),
        origins=run.origins(),
        evaluations=tuple(_evaluations(found)),
        anatomy=_anatomy(run),
        pictures=tuple(_pictures(run)),
        files=tuple(_files(run.path)),
        card=read_text(run.model / CARD, run.path),
        log=tuple(read_text(run.path / "log.txt", run.path, tail=True).splitlines()[-LOGGED:]),
        can_resume=any(run.checkpoints.glob("[0-9]*")),
    )


def _status(run: RunDirectory, found: Digest) -> Status:
    """Read the status; of a run that has lost its own, what else is known."""
    try:
        return run.status()
    except RunError:
        if not is_run(run.path):
            raise
    kept = {"best": dict(found.best), "best_epoch": found.best_epoch}
    return Status(status="damaged", name=found.name, pid=0, host="", started="").model_copy(update=kept)


def _evaluations(run: Digest) -> Iterator[Evaluation]:
    times = {row["step"]: row for row in run.timings if "step" in row}
    for row in run.rows:
        if "step" not in row:
            continue
        metrics = {name: value for name, value in row.items() if name not in ("epoch", "step")}
        time = times.get(row["step"], {})
        yield Evaluation(
            int(row.get("epoch", 0)), int(row["step"]), metrics,
            time.get("seconds"), time.get("images_per_second"),
        )  # fmt: skip


def _anatomy(run: RunDirectory) -> Anatomy:
    """Build the model of the recipe, untrained, to list its layers, if it fits into this machine's memory."""
    from genlab.build import build_data, build_model
    from genlab.plugins import installed
    from genlab.rehearsal import check_size

    try:
        read_regular(run.path / "resolved.yaml", MAX_TEXT, within=run.path)
        recipe, registry = run.recipe(), installed().registry
        x_shape = build_data(recipe, registry).x_shape
        check_size(recipe, x_shape, registry, most=MAX_MODEL)
        model = build_model(recipe, x_shape, registry)
        return Anatomy(tuple(layers(model)), parameter_count(model))
    except Exception as error:  # parts are anybody's code, and the page is worth having without them
        return Anatomy(obstacle=str(error).partition("\n")[0] or type(error).__name__)


def _pictures(run: RunDirectory) -> Iterator[Picture]:
    found = {path.stem: path for path in sorted(run.plots.glob("*.png"))}
    for kind in [*(kind for kind in PLOTS if kind in found), *(kind for kind in found if kind not in PLOTS)]:
        with suppress(OSError, ValueError):
            yield Picture(kind, PLOTS.get(kind, ""), read_regular(found[kind], MAX_PICTURE, within=run.path))


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
