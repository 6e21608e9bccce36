"""Which files of a folder are results. Nothing here needs torch."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

TRACE = ".trace.json"  # how the name of a profile's trace ends, which lies beside its result


def is_folder(path: Path) -> bool:
    """Whether there is a folder, of whatever is called a path."""
    with suppress(OSError, ValueError):
        return path.is_dir()
    return False


def result_files(folder: Path) -> list[Path]:
    """Return the JSON files of a folder by name, without traces, which are large and no results."""
    return sorted(path for path in folder.glob("*.json") if not path.name.endswith(TRACE))
