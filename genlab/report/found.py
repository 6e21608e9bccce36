"""Which run a report is asked of."""

from __future__ import annotations

from pathlib import Path

from genlab.errors import RunError
from genlab.runs import known_runs
from genlab.wording import shown, suggest


def find_run(ref: str) -> Path:
    """Return the run directory of a path, or the newest run of a name, whatever became of it.

    Raises ``RunError`` if there is none; it says what there is.
    """
    name = ref.removeprefix("run:")
    path = Path(name)
    if _is_file(path / "status.json"):
        return path
    runs = known_runs()
    for run, status in runs:
        if status.name == name:
            return run.path
    if _is_file(path / "config.json"):
        raise RunError(f"{ref}: a model bundle, not a run; what is known of it is in {path / 'README.md'}")
    names = sorted({status.name for _, status in runs})
    raise RunError(
        f"no run {shown(ref)}: no run directory at that path, and no run of that name; {suggest(name, names)}"
        f"runs: {', '.join(names) or 'none'}"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # not to be entered, or no name that a file could have
        return False
