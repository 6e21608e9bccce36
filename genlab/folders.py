"""Where genlab keeps things, the environment variables that move them, and paths as one types them."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path, user_state_path

VARIABLES = {
    "GENLAB_DATA": "folder of data sets",
    "GENLAB_RUNS": "folder of new runs",
    "GENLAB_STATE": "folder where genlab remembers runs",
    "GENLAB_PLUGINS": "the only plugins to load, by distribution or entry point, as in a,b",
    "GENLAB_STRICT_PLUGINS": "1 makes a plugin that cannot be loaded an error",
    "GENLAB_MALLOC": "0 leaves the C library's allocator alone",
}
"""What genlab reads from the environment."""


def runs_root() -> Path:
    """Where new runs go: ``GENLAB_RUNS``, else ``runs`` in the current directory."""
    return Path(os.environ.get("GENLAB_RUNS") or "runs")


def state_root() -> Path:
    """Where runs are remembered: ``GENLAB_STATE``, else the user's state folder."""
    chosen = os.environ.get("GENLAB_STATE")
    return Path(chosen) if chosen else user_state_path("genlab")


def data_root() -> Path:
    """Where data sets lie: ``GENLAB_DATA``, else the user's cache folder."""
    chosen = os.environ.get("GENLAB_DATA")
    return Path(chosen) if chosen else user_cache_path("genlab")


def from_here(path: Path) -> str:
    """Return a path as one would type it here: relative to this folder if it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (OSError, ValueError):  # the folder that we are in may be gone
        return str(path)
