"""One process that measures one combination once: ``python -m genlab.bench.worker``, told a task as its input.

It answers in lines of JSON on standard output (``tasks.MESSAGE``); whatever libraries print there goes to standard
error. When its standard input closes, the process that asked is gone, and so it ends too.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from genlab.bench.failures import is_full, reason_of
from genlab.bench.tasks import Done, Failed, Profiled, Stage, Task
from genlab.errors import GenlabError

Answer = Callable[[Stage | Done | Profiled | Failed], None]


def main() -> None:
    """Read a task, measure, answer."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)

        def answer(message: Stage | Done | Profiled | Failed) -> None:
            with suppress(BrokenPipeError):
                answers.write(message.model_dump_json() + "\n")
                answers.flush()

        _answered(answer)


def _answered(answer: Answer) -> None:
    task = Task.model_validate_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer(_measured(task, answer))
    except GenlabError as error:
        answer(Failed(reason=str(error), mended=True))
    except Exception as error:
        answer(Failed(reason=reason_of(error), mended=is_full(error)))
        if not is_full(error):
            raise


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _measured(task: Task, answer: Answer) -> Done | Profiled:
    answer(Stage(name="importing"))
    import torch

    if task.threads is not None:
        torch.set_num_threads(task.threads)
    from genlab.bench.attempt import attempt
    from genlab.selection import select

    select(none=task.no_plugins, files=task.plugin_files)

    imports = time.monotonic() - task.spawned
    answer(Stage(name="preparing"))
    return attempt(task, imports, lambda name: answer(Stage(name=name)))


if __name__ == "__main__":
    main()
