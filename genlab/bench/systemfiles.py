"""Reading the files in which Linux tells of itself, of which any may be missing."""

from __future__ import annotations

from pathlib import Path


def content(path: Path) -> str:
    """Return what stands in a file; nothing if it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def word(path: Path) -> str | None:
    """Return what stands in a file, None for nothing."""
    return content(path).strip() or None


def number(path: Path) -> float | None:
    """Return the number in a file; None if there is none."""
    try:
        return float(content(path))
    except ValueError:
        return None
