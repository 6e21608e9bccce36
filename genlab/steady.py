"""A block that must leave this process as it found it: what a plugin changes while it is loaded is put back."""

from __future__ import annotations

import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from genlab.errors import PluginError
from genlab.folders import VARIABLES
from genlab.importing import importable


@dataclass(frozen=True)
class _Setting:
    """Something that holds for the whole process. read, write: get and put it back. remedy: what to do instead."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    remedy: str


def _set_device(device: torch.device) -> None:
    # None is what nobody chose, which is read as the CPU.
    torch.set_default_device(None if device == torch.device("cpu") else device)


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _set_handler(number: signal.Signals, handler: Any) -> None:
    if handler is not None:  # one that is not Python's cannot be put back
        signal.signal(number, handler)


_SETTINGS = (
    _Setting(
        "torch's default dtype", torch.get_default_dtype, torch.set_default_dtype, "give tensors a dtype instead"
    ),
    _Setting("torch's default device", torch.get_default_device, _set_device, "genlab places models"),
    _Setting(
        "whether torch records gradients", torch.is_grad_enabled, torch.set_grad_enabled, "use torch.no_grad()"
    ),
    _Setting(
        "whether torch uses deterministic algorithms alone",
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
        "recipes have train.deterministic",
    ),
    _Setting(
        "whether autograd looks for anomalies",
        torch.is_anomaly_enabled,
        torch.autograd.set_detect_anomaly,
        "use torch.autograd.detect_anomaly() where it is needed",
    ),
    _Setting(
        "torch's precision of float32 products",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
        "recipes have train.precision",
    ),
    _Setting("the working directory", os.getcwd, os.chdir, "begin paths with Path(__file__).parent"),
    _Setting(
        "Python's recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, "raise it where it is needed"
    ),
    *(
        _Setting(
            f"what {number.name} does",
            partial(signal.getsignal, number),
            partial(_set_handler, number),
            "that is how a run is stopped",
        )
        for number in (signal.SIGINT, signal.SIGTERM)
    ),
    *(
        _Setting(
            f"the variable {name}",
            partial(os.environ.get, name),
            partial(_set_variable, name),
            "it is the user's",
        )
        for name in VARIABLES
    ),
)


@contextmanager
def unchanged() -> Iterator[None]:
    """Put back what a block changes for the whole process, random states and the ways to import included.

    Raises ``PluginError`` naming the first setting that was changed. Random states, the number of threads
    and the filters of warnings are put back in silence: who seeds means no harm, and some libraries choose the
    others when they are imported.
    """
    before = [(setting, setting.read()) for setting in _SETTINGS]
    state, drawn, numpy_state = random.getstate(), torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    threads = torch.get_num_threads()
    changed: list[str] = []
    try:
        with warnings.catch_warnings(), importable():
            yield
    finally:
        random.setstate(state)
        torch.set_rng_state(drawn)
        np.random.set_state(numpy_state)  # noqa: NPY002
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        for setting, value in before:
            if (now := setting.read()) != value:
                setting.write(value)
                changed.append(f"it changed {setting.name} to {_said(now)}, for everybody; {setting.remedy}")
    if changed:
        raise PluginError(changed[0])


def _said(value: object) -> object:
    return value.name if isinstance(value, signal.Handlers) else getattr(value, "__name__", value)
