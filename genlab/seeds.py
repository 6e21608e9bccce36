"""Every random stream of a run is derived from its one seed, so that no stream disturbs another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature

import torch

MAX_SEED = 2**63 - 1


def derive(seed: int, *purpose: str | int) -> int:
    """Return a seed for one purpose: a 63-bit function of ``(seed, *purpose)``, independent between purposes.

    Neighbouring seeds give unrelated streams, which ``seed + 1`` would not promise.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Run a block with torch's random state on the CPU and on ``device`` set from ``seed``, then restore it.

    Other devices are left alone. With ``seed=None`` the block draws from the current state, as torch would.
    Raises ``ValueError`` for a seed that torch cannot take.
    """
    if seed is None:
        yield
        return
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed {seed}: from 0 to {MAX_SEED} is allowed")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if device.type == "cpu":
            yield
            return
        module = torch.get_device_module(device)
        # Some kinds of device have one state for all of them, and functions that take no device.
        which = {"device": device} if "device" in signature(module.get_rng_state).parameters else {}
        before = module.get_rng_state(**which)
        module.set_rng_state(torch.Generator(device).manual_seed(seed).get_state(), **which)
        try:
            yield
        finally:
            module.set_rng_state(before, **which)
