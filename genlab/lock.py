"""One process at a time in a folder: a lock that the system lets go of when its holder dies."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genlab.errors import RunError
from genlab.files import explained

if os.name == "nt":
    import msvcrt

    def _take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


PATIENCE = 60.0  # seconds to wait for another process that has a lock for a moment


class Busy(RunError):
    """A folder that another process is at work in."""


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold a folder's lock for a block. Raises ``Busy`` naming the holder if another process has it.

    Yields the lock's descriptor: a child that inherits it holds the lock too, until both have let go.
    """
    path = folder / ".lock"
    with explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            _take(descriptor)
        except OSError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() if os.name != "nt" else ""
            raise Busy(
                f"{folder}: another process{f' ({holder})' if holder else ''} is at work in this run; "
                "wait for it, or end it"
            ) from None
        with explained(path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"pid {os.getpid()} on {platform.node()}\n".encode())
        yield descriptor
    finally:
        os.close(descriptor)  # which lets go of the lock


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Hold a folder's lock for a short block, one process after the other; raises ``Busy`` after ``PATIENCE``."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with locked(folder):
                yield
            return
        except Busy:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
