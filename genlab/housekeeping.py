"""The disk space of runs: what each takes, and how they are removed.

A run is removed whole or not at all as far as anybody can see: it is renamed to a hidden name, which is no run's,
and then deleted; so is a sweep. Neither is ever removed while a process works in it, and nothing is removed that
is not one of them, nor what a link leads to.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from genlab.digest import Digest, digest, instant
from genlab.errors import RunError
from genlab.files import explained
from genlab.finding import find_sweep, run_called, runs_below
from genlab.folders import runs_root
from genlab.lock import locked
from genlab.runfiles import is_run
from genlab.runs import TRIALS, RunDirectory, forget, is_sweep, known_runs, run_folders, sweep_of
from genlab.wording import printable

REMOVED = "removed"
"""What the hidden names of runs that are being deleted end with."""


@dataclass(frozen=True)
class Listed:
    """A run, its recipe left out, and what it takes on the disk. sweep: the folder of the one it is part of."""

    run: Digest
    bytes: int
    sweep: Path | None

    @property
    def started(self) -> datetime:
        """When it was started; the beginning of time if that is not known."""
        return instant(self.run.started) or datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Pruned:
    """What a pruning did. removed: runs and their sizes. kept: why some could not be removed."""

    removed: tuple[tuple[Path, int], ...]
    kept: tuple[str, ...]


def list_runs(folder: str | None = None) -> list[Listed]:
    """Return every run of this user, trials of sweeps and damaged runs included, newest first.

    folder: only those below it. Raises ``RunError`` if there is no such folder.
    """
    if folder is None:
        found = dict.fromkeys(path for path in run_folders() if is_run(path))
        found |= dict.fromkeys(runs_below(runs_root() / "sweeps"))
    elif Path(folder).is_dir():
        found = dict.fromkeys(runs_below(Path(folder)))
    else:
        raise RunError(f"{printable(folder)}: there is no such folder")
    listed = []
    for path in found:
        try:
            listed.append(Listed(digest(path, recipe=False), size(path), sweep_of(path)))
        except RunError:  # another process has just removed it
            continue
    return sorted(listed, key=lambda one: (one.started, one.run.path), reverse=True)


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder; links count for nothing."""
    total = 0
    for here, _, files in os.walk(folder):
        for name in files:
            try:
                total += (Path(here) / name).lstat().st_size
            except OSError:  # it has just been removed
                continue
    return total


def removable(ref: str) -> Path:
    """Resolve what a user wants removed to a run's or a sweep's directory that may be.

    ref: the directory's path or its own name, never the name of a recipe. Raises ``RunError`` for anything
    else: nothing is guessed.
    """
    path = Path(ref)
    if not path.exists() and not path.is_symlink():
        if found := run_called(ref) or find_sweep(ref):
            path = found
        else:
            several = [str(run.path) for run, _ in known_runs(ref.removeprefix("run:"))]
            which = f"it is the name of {len(several)} runs; say which: {', '.join(several)}" if several else ""
            raise RunError(f"{ref}: {which or 'no such run; `genlab runs list` lists them'}")
    if path.name in ("", ".."):
        raise RunError(f"{printable(ref)}: give the run directory by its own name")
    if path.is_symlink():
        raise RunError(f"{ref}: a link; to remove the run, give the directory that it leads to: {path.resolve()}")
    path = path.parent.resolve() / path.name
    if not is_run(path) and not is_sweep(path):
        few = [str(run) for run in runs_below(path)][:3] if path.is_dir() else []
        there = f"; below it are runs: {', '.join(few)} ..." if few else ""
        raise RunError(f"{ref}: neither a run nor a sweep, so it is not removed{there}")
    for name, inside in {"the current directory": Path.cwd(), "the folder of runs": runs_root()}.items():
        if inside.resolve().is_relative_to(path):
            raise RunError(f"{ref}: {name} is in it; it is not removed")
    _check_idle(path)
    return path


def remove(path: Path) -> int:
    """Remove a run or a sweep with its notes; return how many bytes that freed, 0 if another process was faster.

    Raises ``RunError`` if a process works in it or it cannot be removed.
    """
    freed, runs = size(path), runs_in(path)
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(3)}.{REMOVED}")
    try:
        with locked(path / TRIALS if is_sweep(path) else path):
            _check_idle(path)
            with explained(path):
                path.rename(hidden)
    except RunError:
        if path.exists():
            raise
        return 0
    for run in runs:
        forget(run)
    delete(hidden)
    return freed


def runs_in(path: Path) -> list[Path]:
    """Return the runs of a sweep's folder; of a run's, the run."""
    return list(runs_below(path)) if is_sweep(path) else [path]


def delete(hidden: Path) -> None:
    """Delete what has been given a hidden name; another process may be at it too."""
    while hidden.exists():
        with explained(hidden), suppress(FileNotFoundError):
            shutil.rmtree(hidden)


def prunable(
    runs: Sequence[Listed], *, keep: int | None = None, older_than: timedelta | None = None
) -> list[Listed]:
    """Choose what a pruning removes, among runs newest first; trials of sweeps are never chosen.

    Runs that failed, died or were interrupted and left neither a model nor a checkpoint to go on from. keep:
    also the completed ones but for the newest so many of each name. older_than: only those that ended (or, if
    that is not known, were started) longer ago.
    """
    now, chosen = datetime.now(UTC), []
    completed: dict[str, int] = {}
    for one in runs:
        run = one.run
        if one.sweep is not None:
            continue
        if run.state == "completed":
            completed[run.name] = completed.get(run.name, 0) + 1
            out = keep is not None and completed[run.name] > keep
        else:
            out = run.state in ("failed", "died", "interrupted") and not _worth_keeping(RunDirectory(run.path))
        ended = instant(run.finished) or one.started
        if out and (older_than is None or now - ended > older_than):
            chosen.append(one)
    return chosen


def prune(runs: Iterable[Listed]) -> Pruned:
    """Remove runs; one that cannot be removed does not keep the others."""
    removed, kept = [], []
    for one in runs:
        try:
            if freed := remove(one.run.path):
                removed.append((one.run.path, freed))
        except RunError as error:
            kept.append(str(error))
    return Pruned(tuple(removed), tuple(kept))


def leftovers(folder: str | None = None) -> list[Path]:
    """Return the hidden folders of runs and sweeps whose removal was cut short.

    folder: where they are looked for; by default the folder of runs.
    """
    root = (runs_root() if folder is None else Path(folder)).absolute()
    found = [path for depth in ("*", "sweeps/*") for path in root.glob(f"{depth}/.*.{REMOVED}")]
    return [path for path in found if _is_folder(path)]


def _worth_keeping(run: RunDirectory) -> bool:
    return run.model.is_dir() or any(run.checkpoints.glob("[0-9]*"))


def _check_idle(path: Path) -> None:
    """Raise ``RunError`` if a run says that it is under way, or if one of a sweep does or is about to begin."""
    if is_sweep(path):
        for trial in (path / TRIALS).glob("[0-9]*"):
            with locked(trial):
                continue
        for run in runs_below(path):
            _check_idle(run)
        return
    try:
        status = RunDirectory(path).status()
    except RunError:
        return  # damaged: the lock alone tells
    if status.status == "running":
        who = f"process {status.pid} on {printable(status.host)}"
        raise RunError(
            f"{path}: running ({who}), so it is not removed; end that process first, or, if it is gone or another "
            "program's, remove the folder by hand"
        )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
