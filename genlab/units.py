"""Numbers as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Say a time as people do: ``42.0 s``, ``4 min 05 s``, ``2 h 03 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Say a number of bytes as people do: ``812 B``, ``2.1 MB`` (of 1,000,000)."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.5:
            break
    return f"{count:.1f} {unit}" if count < 99.5 else f"{count:.0f} {unit}"
