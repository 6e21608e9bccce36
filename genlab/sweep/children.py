"""Trials in processes of their own: each an ordinary ``genlab run``, or ``genlab resume``."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from genlab.errors import RunError
from genlab.files import explained
from genlab.lock import Busy, locked
from genlab.selection import selected
from genlab.sweep.outcome import COMMAND, Outcome
from genlab.sweep.store import TrialFolder

Command = Callable[[TrialFolder, Outcome, str], Sequence[str]]
"""Says how to start, or go on with, a trial on a device: arguments that ``subprocess`` takes."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
GRACE = 5.0  # seconds that a process has to end once it was told to end at once


def genlab_command(folder: TrialFolder, outcome: Outcome, device: str) -> list[str]:
    """Return the ``genlab run`` that trains a trial, or the ``genlab resume`` that goes on with its run."""
    verb = ["resume", str(outcome.run)] if outcome.run is not None else ["run", str(folder.recipe)]
    runs = [] if outcome.run is not None else ["--runs", str(folder.path)]
    watched = ["--parent", str(os.getpid())]  # stop, with a checkpoint, if this process is killed
    options = ["--device", device, "--quiet", *watched, *selected().arguments()]
    # Nothing of the folder that the user is in may be imported for a module (-P), as it is not by `genlab` itself.
    safe = [] if "" in sys.path or str(Path.cwd()) in sys.path else ["-P"]
    return [sys.executable, *safe, "-m", "genlab", *verb, *runs, *options]


@dataclass
class Child:
    """A trial's process. The trial's lock is held until both it and this process are gone."""

    folder: TrialFolder
    process: subprocess.Popen[bytes]
    lock: ExitStack
    started: float = field(default_factory=time.monotonic)

    def ask_to_stop(self) -> None:
        """Have it save a checkpoint and end; at once if it was asked before.

        By SIGTERM, which ends it even while it is starting; SIGINT may be ignored then.
        """
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """See to it that it has ended."""
        if self.process.poll() is None:
            self.ask_to_stop()
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.lock.close()


def claim(folder: TrialFolder) -> tuple[ExitStack, int] | None:
    """Take a trial's lock; None if another process is at it."""
    stack = ExitStack()
    try:
        return stack, stack.enter_context(locked(folder.path))
    except Busy:
        return None


def start(folder: TrialFolder, arguments: Sequence[str], lock: ExitStack, descriptor: int, jobs: int) -> Child:
    """Start a trial's process; what it says goes to its output file.

    It is in a process group of its own, so that Ctrl-C in a terminal reaches this process alone, which passes
    it on. The cores are shared out among ``jobs`` processes unless the environment says how many threads to use.
    """
    environment = dict(os.environ)
    if not any(name in environment for name in THREADS):
        environment["OMP_NUM_THREADS"] = str(max(1, _cores() // jobs))
    environment["PYTHONUNBUFFERED"] = "1"
    with explained(folder.output), folder.output.open("ab") as output:
        output.write(f"{COMMAND}{shlex.join(arguments)}\n".encode())
        output.flush()
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
                pass_fds=() if os.name == "nt" else (descriptor,),
            )
        except OSError as error:
            raise RunError(f"{arguments[0]}: cannot be started ({error.strerror}); try fewer --jobs") from None
    return Child(folder, process, lock)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1
