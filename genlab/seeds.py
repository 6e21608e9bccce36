"""Every random stream of a run is derived from its one seed, so that no stream disturbs another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """Return a seed for one purpose: a 63-bit function of ``(seed, *purpose)``, independent between purposes.

    Neighbouring seeds give unrelated streams, which ``seed + 1`` would not promise.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Run a block with torch's random state on the CPU and on ``device`` set from ``seed``, then restore it.

    With ``seed=None`` the block draws from the current state, as torch would.
    """
    if seed is None:
        yield
        return
    if device.type == "cpu":
        fork = torch.random.fork_rng(devices=[])
    else:
        fork = torch.random.fork_rng(devices=[device], device_type=device.type)
    with fork:
        torch.manual_seed(seed)
        yield
