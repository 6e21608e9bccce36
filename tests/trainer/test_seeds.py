"""A seeded block: its own draws, and no trace of them."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from genlab.seeds import seeded
from tests.test_train import CPU


def drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), torch.rand(()).item()  # noqa: NPY002


@pytest.mark.parametrize("fails", [False, True])
def test_a_seeded_block_draws_from_its_seed_and_leaves_no_trace(fails: bool) -> None:
    def block(seed: int) -> tuple[float, float, float]:
        found = (0.0, 0.0, 0.0)
        try:
            with seeded(seed, CPU.on):
                found = drawn()
                if fails:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            assert fails
        return found

    with seeded(11, CPU.on):
        expected = [drawn(), drawn()]
    with seeded(11, CPU.on):
        first = drawn()
        assert block(5) == block(5)
        assert all(a != b for a, b in zip(block(5), block(6), strict=True))
        assert [first, drawn()] == expected


def test_a_block_without_a_seed_draws_on() -> None:
    with seeded(11, CPU.on):
        expected = [drawn(), drawn()]
    with seeded(11, CPU.on):
        with seeded(None, CPU.on):
            first = drawn()
        assert [first, drawn()] == expected


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_torch_cannot_take_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=f"seed {seed}: from 0 to"), seeded(seed, CPU.on):
        pass
