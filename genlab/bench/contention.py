"""What others did on the machine between two moments, from counters that only rise."""

from __future__ import annotations

from genlab.bench.machine import Conditions


def others_cores(before: Conditions, after: Conditions) -> float | None:
    """Return how many cores others used between two moments of one process; None if the system does not tell."""
    busy = rate_of(before.busy_seconds, after.busy_seconds, before, after)
    own = rate_of(before.own_seconds, after.own_seconds, before, after)
    return None if busy is None or own is None else max(0.0, busy - own)


def rate_of(first: float | None, last: float | None, before: Conditions, after: Conditions) -> float | None:
    """Return by how much a counter rose a second between two moments; None if it is not known."""
    passed = after.clock - before.clock
    return None if first is None or last is None or passed <= 0 else (last - first) / passed
