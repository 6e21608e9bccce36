"""Every random stream of a run is derived from its one seed, so that no stream disturbs another."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor

MAX_SEED = 2**63 - 1


def derive(seed: int, *purpose: str | int) -> int:
    """Return a seed for one purpose: a 63-bit function of ``(seed, *purpose)``, independent between purposes.

    Neighbouring seeds give unrelated streams, which ``seed + 1`` would not promise.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class RandomState:
    """The state of every global generator: Python's, numpy's, torch's on the CPU and on one device."""

    python: tuple[Any, ...]
    numpy: dict[str, Any]
    cpu: Tensor
    device: Tensor | None

    @classmethod
    def capture(cls, device: torch.device) -> RandomState:
        """Read it."""
        state = _DeviceState(device).get() if device.type != "cpu" else None
        numpy = np.random.get_state(legacy=False)  # noqa: NPY002  what plugins may draw from
        return cls(random.getstate(), dict(numpy), torch.get_rng_state(), state)

    def restore(self, device: torch.device) -> None:
        """Set it."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002
        torch.set_rng_state(self.cpu)
        if self.device is not None and device.type != "cpu":
            _DeviceState(device).set(self.device)


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Run a block with Python's, numpy's and torch's random state set from ``seed``, then restore it.

    torch's is set on the CPU and on ``device``; other devices are left alone. With ``seed=None`` the block
    draws from the current state, as torch would. Raises ``ValueError`` for a seed that torch cannot take.
    """
    if seed is None:
        yield
        return
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed {seed}: from 0 to {MAX_SEED} is allowed")
    before = RandomState.capture(device)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        _DeviceState(device).set(torch.Generator(device).manual_seed(seed).get_state())
    try:
        yield
    finally:
        before.restore(device)


class _DeviceState:
    """The random state of an accelerator."""

    def __init__(self, device: torch.device) -> None:
        self.module = torch.get_device_module(device)
        # Some kinds of device have one state for all of them, and functions that take no device.
        self.which = {"device": device} if "device" in signature(self.module.get_rng_state).parameters else {}

    def get(self) -> Tensor:
        """Read it."""
        return self.module.get_rng_state(**self.which)

    def set(self, state: Tensor) -> None:
        """Write it."""
        self.module.set_rng_state(state, **self.which)
