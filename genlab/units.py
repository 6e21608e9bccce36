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
    unit = "kB" if count < 999_500 else "MB" if count < 999_500_000 else "GB"
    shown = count / {"kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
    return f"{shown:.1f} {unit}" if shown < 99.5 else f"{shown:.0f} {unit}"
