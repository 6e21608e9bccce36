"""The run directory: what a run leaves behind, and how runs are found again.

``runs/<name>/<YYYYMMDD-HHMMSS>-<id>/`` holds ``recipe.yaml`` (as written), ``resolved.yaml`` (every default
filled in), ``origins.json`` (where each value came from), ``env.json``, ``status.json``, ``metrics.jsonl`` (one
object per evaluation) and ``timing.jsonl`` (how long each took), ``log.txt``, ``model/`` (the best model so far, a
bundle), ``checkpoints/``, ``plots/`` and ``report.html``. Each file is whole at any moment.

Every run is also noted in the user's state folder, so that ``genlab.load("name")`` finds it from any
directory. ``GENLAB_RUNS`` moves the runs, ``GENLAB_STATE`` the notes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from genlab.errors import RunError
from genlab.files import explained, previous, read_regular, write_json, write_text
from genlab.folders import runs_root, state_root
from genlab.runfiles import MAX_JSON, ORIGINS, Environment, State, Status, read_origins

if TYPE_CHECKING:  # they bring torch, which looking at runs does not need
    from genlab.opening import Opened
    from genlab.recipe import Recipe
    from genlab.train.callbacks import Record

SPEC = "sweep.json"
"""What a sweep's folder has, and no other."""
TRIALS = "trials"
"""The folder in it that its runs are in."""


@dataclass
class RunDirectory:
    """One run's folder."""

    path: Path

    @classmethod
    def create(cls, root: Path, opened: Opened, environment: Environment) -> RunDirectory:
        """Make a new folder under ``root/<name>/`` and write what is known before training.

        Raises ``RunError`` if the folder cannot be written.
        """
        now = datetime.now(UTC)
        name = opened.recipe.name
        path = root.absolute() / name / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        with explained(path):
            path.mkdir(parents=True)
            (path / "plots").mkdir()
        run = cls(path)
        write_text(path / "recipe.yaml", opened.text)
        run.write_recipe(opened.recipe, opened.origins())
        run.write_environment(environment)
        run.write_status(
            Status(status="running", name=name, pid=os.getpid(), host=platform.node(), started=_iso(now))
        )
        _note(path)
        return run

    @property
    def model(self) -> Path:
        """The folder of the best model so far."""
        model = self.path / "model"
        return previous(model) if not model.exists() and previous(model).exists() else model

    @property
    def plots(self) -> Path:
        """The folder of plots."""
        return self.path / "plots"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    def recipe(self) -> Recipe:
        """Read the resolved recipe.

        Raises ``PluginError`` with the remedy if one of its parts is not there, ``RecipeError`` if one does not
        allow any more what it says.
        """
        from genlab.owners import read_again
        from genlab.plugins import installed
        from genlab.resolving import read_resolved

        plugins = installed()
        try:
            owners = self.environment().parts
        except RunError:
            owners = []
        written = self.path / "resolved.yaml"
        return read_again(
            owners, plugins, str(self.path), lambda registry: read_resolved(written, registry=registry)
        )[0]

    def write_recipe(self, recipe: Recipe, origins: dict[str, str]) -> None:
        """Write the recipe, every default filled in, and where each value came from."""
        write_text(self.path / "resolved.yaml", recipe.to_yaml())
        write_json(self.path / ORIGINS, origins)

    def origins(self) -> dict[str, str]:
        """Return where each value of the recipe came from, by dotted key; empty if that is not known."""
        return read_origins(self.path)

    def environment(self) -> Environment:
        """Read what the run was, or was last, done with."""
        path = self.path / "env.json"
        try:
            return Environment.model_validate_json(read_regular(path, MAX_JSON, within=self.path))
        except OSError as error:
            raise RunError(f"{path}: cannot be read ({error.strerror})") from None
        except ValidationError:
            raise RunError(f"{path}: damaged, or written by another version of genlab") from None

    def write_environment(self, environment: Environment) -> None:
        """Write what the run is done with."""
        write_json(self.path / "env.json", environment.model_dump())

    def status(self) -> Status:
        """Read the status; raise ``RunError`` if there is none to read."""
        path = self.path / "status.json"
        try:
            status = Status.model_validate_json(read_regular(path, MAX_JSON, within=self.path))
        except OSError as error:
            raise RunError(f"{path}: not a run directory ({error.strerror})") from None
        except ValidationError:
            raise RunError(f"{path}: damaged; the run's other files may still be whole") from None
        except ValueError:
            raise RunError(f"{str(path)!r}: not a path") from None
        if status.status == "running" and status.host == platform.node() and not _alive(status.pid):
            return status.model_copy(update={"status": "died"})
        return status

    def write_status(self, status: Status) -> None:
        """Write the status."""
        write_json(self.path / "status.json", status.model_dump())

    def restart(self) -> None:
        """Write that this process goes on with the run, and clear away what another left half-written."""
        for path in (*self.path.glob(".*.*"), *self.checkpoints.glob(".*")):
            if path.is_dir() and path != previous(self.path / "model"):
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_file():
                path.unlink(missing_ok=True)
        now = {"status": "running", "pid": os.getpid(), "host": platform.node(), "finished": None, "message": ""}
        self.write_status(self.status().model_copy(update=now))

    def finish(self, state: State, message: str) -> None:
        """Write that the run has ended, and how."""
        ended = {"status": state, "message": message, "finished": _iso(datetime.now(UTC))}
        self.write_status(self.status().model_copy(update=ended))

    def write_active_units(self, count: int) -> None:
        """Write how many latents the kept model uses, which is known only once it has been looked at."""
        self.write_status(self.status().model_copy(update={"active_units": count}))

    def write_records(self, records: Sequence[Record]) -> None:
        """Write all evaluations so far to ``metrics.jsonl`` and ``timing.jsonl``, the best to the status."""
        write_text(self.path / "metrics.jsonl", "".join(f"{json.dumps(record_json(r))}\n" for r in records))
        write_text(self.path / "timing.jsonl", "".join(f"{json.dumps(timing_json(r))}\n" for r in records))
        best = next((record for record in reversed(records) if record.best), None)
        now = {
            "steps": records[-1].step if records else 0,
            "best_epoch": best.epoch if best else None,
            "best": dict(best.metrics) if best else {},
        }
        self.write_status(self.status().model_copy(update=now))

    def log(self, line: str) -> None:
        """Append a line to ``log.txt``, with the time in UTC."""
        path = self.path / "log.txt"
        with explained(path), path.open("a", encoding="utf-8") as stream:
            stream.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}  {line}\n")


def record_json(record: Record) -> dict[str, float]:
    """Return an evaluation as ``metrics.jsonl`` has it: nothing in it depends on the clock."""
    return {"epoch": record.epoch, "step": record.step, **record.metrics}


def timing_json(record: Record) -> dict[str, float]:
    """Return how long an evaluation and the training before it took."""
    return {
        "step": record.step,
        "seconds": round(record.seconds, 3),
        "images_per_second": round(record.images_per_second, 1),
    }


def known_runs(name: str | None = None) -> list[tuple[RunDirectory, Status]]:
    """Return the runs of this user that still exist, newest first: of one name, or all.

    Trials of sweeps are left out: they belong to their sweep, and none is *the* newest run of its recipe.
    """
    found: dict[Path, Status] = {}
    for path in run_folders():
        try:
            status = RunDirectory(path).status()
        except RunError:
            continue
        if name in (None, status.name) and sweep_of(path) is None:
            found[path] = status
    newest_first = sorted(found.items(), key=lambda item: (item[1].started, item[0]), reverse=True)
    return [(RunDirectory(path), status) for path, status in newest_first]


def sweep_of(run: Path) -> Path | None:
    """Return the folder of the sweep that a run is a trial of: ``SWEEP/trials/<n>/<name>/<run>``."""
    if len(run.parents) < 4 or run.parents[2].name != TRIALS:
        return None
    return run.parents[3] if is_sweep(run.parents[3]) else None


def is_sweep(path: Path) -> bool:
    """Whether a folder is a sweep's."""
    with suppress(OSError, ValueError):
        return (path / SPEC).is_file()
    return False


def trials_of(sweep: Path) -> int | None:
    """Return how many runs a sweep is to have; None if that cannot be read."""
    try:
        asked = json.loads(read_regular(sweep / SPEC, MAX_JSON, within=sweep))
        return int(asked["trials"]) * len(asked["seeds"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def run_folders() -> Iterator[Path]:
    """Yield every folder that may be a run of this user: those noted, and those in the folder of runs.

    Hidden ones are none: a run that is being deleted has a hidden name.
    """
    for path in dict.fromkeys((*(path for _, path in _noted()), *runs_root().absolute().glob("*/*"))):
        if not path.name.startswith("."):
            yield path


def forget(run: Path) -> None:
    """Remove the notes of a run, by whatever path it was noted."""
    for note, path in list(_noted()):
        if path == run or (path.name == run.name and path.resolve() == run.resolve()):
            with suppress(OSError):  # another process was faster, or the folder is read-only
                note.unlink()


def _note(run: Path) -> None:
    """Remember a run's path; one small file each, so that processes cannot disturb one another."""
    folder = state_root() / "runs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / hashlib.sha256(str(run).encode()).hexdigest()[:24], f"{run}\n")
    except (OSError, RunError):
        return  # a read-only home: the run is still found by its path and from its own directory


def _noted() -> Iterator[tuple[Path, Path]]:
    """Yield each note and the path in it."""
    try:
        notes = sorted((state_root() / "runs").iterdir())
    except OSError:
        return
    for note in notes:
        try:
            yield note, Path(read_regular(note, 10_000).decode().strip())
        except (OSError, UnicodeDecodeError):
            continue


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 only asks
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's process, or a system that cannot tell
    return True


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")  # runs of one second are in order, too
