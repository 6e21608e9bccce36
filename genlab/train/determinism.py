"""Only operations that repeat to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def only_deterministic(wanted: bool) -> Iterator[None]:
    """If wanted, have torch refuse, in a block, operations that do not repeat; then as it was before."""
    before = torch.are_deterministic_algorithms_enabled()
    if wanted:
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
