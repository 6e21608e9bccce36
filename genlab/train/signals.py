"""Ctrl-C and SIGTERM ask training to stop at the next step; a second one stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from torch import Tensor


@dataclass
class StopRequest:
    """Whether somebody asked training to stop, and by which signal."""

    signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


class Abandoned(Exception):
    """An evaluation that was given up, because somebody asked training to stop."""


def until(stop: StopRequest, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield batches; raise ``Abandoned`` in their place once a stop is requested."""
    for batch in batches:
        if stop:
            raise Abandoned
        yield batch


@contextmanager
def stop_on_signals(request: StopRequest) -> Iterator[None]:
    """Note the first SIGINT or SIGTERM of a block in ``request``; outside the main thread do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        if request:
            raise KeyboardInterrupt
        request.signal = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
