"""A process that is not to outlive the one that started it."""

from __future__ import annotations

import os
import signal
import threading
import time

EVERY = 1.0  # seconds


def stop_with(parent: int | None) -> None:
    """Send this process SIGTERM, which saves a checkpoint first, once ``parent`` is not its parent any more.

    By asking, which every system can do; that of a signal at the parent's death is Linux's alone.
    """
    if parent is None:
        return
    watch = threading.Thread(target=_watch, args=(parent,), name="genlab-parent", daemon=True)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
    watch.start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
