"""Measuring processes, one at a time: started, listened to, and never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from genlab.bench.tasks import MESSAGE, Done, Failed, Profiled, Stage, Task
from genlab.errors import RunError

Answer = Done | Profiled | Failed
GRACE = 5.0  # seconds that a process has to end once it has answered
TOLD = 600  # characters of a failed process's last words


def command() -> list[str]:
    """Return how a measuring process is started; its task says with which plugins.

    ``-P``: as a console script does, so that no ``genlab`` that lies in the current folder is measured instead.
    """
    return [sys.executable, "-P", "-m", "genlab.bench.worker"]


@dataclass(frozen=True)
class Caches:
    """Folders for the compiler's cache, one a combination, so that the first process of each finds it empty."""

    root: Path

    def variables(self, label: str) -> dict[str, str]:
        """Return the environment in which a process finds its cache."""
        folder = self.root / label.replace(" ", "-").replace(":", "")
        return {"TORCHINDUCTOR_CACHE_DIR": str(folder), "TRITON_CACHE_DIR": str(folder / "triton")}


@contextlib.contextmanager
def caches() -> Iterator[Caches]:
    """Make folders for compilers' caches that vanish at the end of a block."""
    with tempfile.TemporaryDirectory(prefix="genlab-bench-", ignore_cleanup_errors=True) as folder:
        yield Caches(Path(folder))


def measured(task: Task, variables: dict[str, str], told: Callable[[str], None]) -> Answer:
    """Have a process do a task; return its answer, or why there was none. told: hears what it is at.

    Whatever interrupts this, the process is ended. Raises ``RunError`` if none can be started.
    """
    with tempfile.TemporaryFile() as errors:
        process = _started(variables, errors)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(task.model_dump_json().encode() + b"\n")
                process.stdin.flush()
            answer = _listen(process.stdout, told)
            with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
                process.stdin.close()
                process.wait(GRACE)
        finally:
            _end(process)
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    if pipe is not None:
                        pipe.close()
        return answer or Failed(reason=_last_words(process.returncode, errors), mended=False)


def _started(variables: dict[str, str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **variables, "PYTHONUNBUFFERED": "1"}
    arguments = command()
    try:
        # In a session of its own, so that Ctrl-C in a terminal reaches this process alone.
        return subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise RunError(f"{arguments[0]}: cannot be started ({error.strerror})") from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that has not ended, and what it has started: compilers above all."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _listen(lines: IO[bytes], told: Callable[[str], None]) -> Answer | None:
    for line in lines:
        try:
            message = MESSAGE.validate_json(line)
        except ValidationError:
            return Failed(reason=f"it said what is no message: {line[:200]!r}", mended=False)
        if isinstance(message, Stage):
            told(message.name)
        else:
            return message
    return None


def _last_words(code: int, errors: IO[bytes]) -> str:
    errors.seek(0)
    said = errors.read().decode(errors="replace").strip()
    how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    last = said.splitlines()[-1] if said else "it said nothing"
    return f"the process {how}: {last[:TOLD]}"
