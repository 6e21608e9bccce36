"""What people call runs and sweeps on the command line -> their directories."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from glob import escape
from pathlib import Path

from genlab.errors import RunError
from genlab.folders import runs_root
from genlab.runfiles import is_run
from genlab.runs import SPEC, is_sweep, known_runs, run_folders
from genlab.wording import printable

MAX_DEPTH = 7  # of a run below a folder of runs: sweeps/<name>/<id>/trials/<n>/<name>/<run>


def find_runs(refs: Sequence[str]) -> list[Path]:
    """Resolve references, each run once, in the order given; those of a folder in the order of their paths.

    A reference is what ``find_run`` takes, or a folder with runs below it, a sweep's for example.
    Raises ``RunError`` for one that leads nowhere.
    """
    found: dict[Path, None] = {}
    for ref in refs:
        below = [] if is_run(Path(ref)) else list(runs_below(Path(ref)))
        found |= dict.fromkeys(below or [find_run(ref)])
    return list(found)


def find_run(ref: str) -> Path:
    """Resolve a reference to one run directory.

    It is the directory's path, its own name (``20261122-103000-1a2b``), or a recipe's name, with or without
    ``run:``, which stands for the newest run of that name. Raises ``RunError`` if there is no such run.
    """
    rest = ref.removeprefix("run:")
    if is_run(Path(rest)):
        return Path(rest).absolute()
    if path := run_called(rest):
        return path
    if newest := known_runs(rest):
        return newest[0][0].path
    names = ", ".join(sorted({printable(status.name) for _, status in known_runs()}))
    raise RunError(
        f"no run {ref!r}: no run directory at that path, and no run that is called so; `genlab runs list` lists "
        f"them; names: {names or 'none'}"
    )


def find_sweep(ref: str) -> Path | None:
    """Resolve a reference to a sweep's folder, by its path or its own name; None if it is neither."""
    if is_sweep(Path(ref)):
        return Path(ref)
    if Path(ref).name != ref:
        return None
    found = [path.parent for path in (runs_root().absolute() / "sweeps").glob(f"*/{escape(ref)}/{SPEC}")]
    return found[0] if len(found) == 1 else None


def run_called(name: str) -> Path | None:
    """Return the one known run whose folder has this name; None if there is none.

    Raises ``RunError`` if there are several.
    """
    found = [path for path in run_folders() if path.name == name and is_run(path)]
    if len(found) > 1:
        raise RunError(f"{name}: {len(found)} runs are called so; give one's path: {', '.join(map(str, found))}")
    return found[0] if found else None


def runs_below(folder: Path) -> Iterator[Path]:
    """Yield the run directories below a folder, at most ``MAX_DEPTH`` levels down; no links are followed."""
    top = folder.absolute()
    for here, folders, files in os.walk(top):
        path = Path(here)
        if path != top and "resolved.yaml" in files and is_run(path):
            yield path
            folders.clear()
        elif len(path.relative_to(top).parts) >= MAX_DEPTH:
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))
