"""Training in processes of their own, which tests may kill, and files that fail when told to."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import genlab
from genlab.train.callbacks import Callback
from genlab.train.checkpoints import Checkpoints

CALLS = ("mkdir", "open", "write", "fsync", "replace", "rename", "unlink", "rmdir")
"""Of the module ``os``: everything by which a save changes the disk."""

OVERRIDES = {"train.epochs": 4, "checkpoint.every_steps": 5, "optimizer": {"use": "adam", "lr": 0.01}}
"""On the bars recipe of the tests: seven steps an epoch, a checkpoint every five and at each epoch's end."""


class At(Callback):
    """Calls something after one step."""

    def __init__(self, step: int, what: Callable[[], None]) -> None:
        self.at, self.what = step, what

    def on_step(self, epoch: int, step: int, terms: genlab.Terms, examples: int) -> None:
        if step == self.at:
            self.what()


def raised(number: int, times: int = 1) -> Callable[[], None]:
    """Return what sends this process a signal."""

    def send() -> None:
        for _ in range(times):
            os.kill(os.getpid(), number)

    return send


def faulty(nth: int, what: Callable[[], None], *, name: str | None = None) -> list[str]:
    """From now on count the calls in CALLS (or of one name); do ``what`` in place of the nth. Return the log."""
    log: list[str] = []

    def watch(call: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*args: Any, **kwargs: Any) -> Any:
            log.append(call)
            if len(log) == nth:
                what()
            return real(*args, **kwargs)

        return instead

    for call in CALLS if name is None else (name,):
        setattr(os, call, watch(call, getattr(os, call)))
    return log


def on_save(number: int, arm: Callable[[], object]) -> None:
    """Call ``arm`` when the checkpoint of that number is about to be written."""
    save, count = Checkpoints.save, 0

    def counted(self: Checkpoints, position: tuple[int, int], state: Any) -> Path:
        nonlocal count
        count += 1
        if count == number:
            arm()
        return save(self, position, state)

    Checkpoints.save = counted  # type: ignore[method-assign]


# -- what children do -------------------------------------------------------------------------------------


def run(recipe: Path, overrides: dict[str, Any], callbacks: list[Callback]) -> None:
    genlab.run(recipe, overrides, plots=False, device="cpu", callbacks=callbacks)


def run_killed_after(recipe: Path, overrides: dict[str, Any], step: int) -> None:
    run(recipe, overrides, [At(step, raised(signal.SIGKILL))])


def run_killed_in_save(recipe: Path, overrides: dict[str, Any], save: int, nth: int) -> None:
    on_save(save, lambda: faulty(nth, raised(signal.SIGKILL)))
    run(recipe, overrides, [])


def command(arguments: list[str], at: int, number: int, times: int) -> None:
    """The command line, which sends itself a signal after one step."""
    import genlab.session as session
    from genlab.cli import main

    fit = session.fit

    def with_signal(*args: Any, callbacks: list[Callback], **kwargs: Any) -> Any:
        return fit(*args, callbacks=[*callbacks, At(at, raised(number, times))], **kwargs)

    session.fit = with_signal
    main(arguments)


def in_child(work: Callable[..., None], *args: Any) -> int:
    """Run ``work`` in a process of its own; return its exit code, -9 if it was killed."""
    process = _CONTEXT.Process(target=_start, args=(_environment(), work, args))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "it did not end"
    return process.exitcode


def child(work: Callable[..., None], *args: Any) -> multiprocessing.process.BaseProcess:
    """Start ``work`` in a process of its own and return it."""
    process = _CONTEXT.Process(target=_start, args=(_environment(), work, args))
    process.start()
    return process


_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.children", "genlab.experiment", "genlab.parts", "genlab.cli.display"])


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key.startswith("GENLAB_")}


def _start(environment: dict[str, str], work: Callable[..., None], args: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    work(*args)
