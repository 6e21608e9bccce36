"""All 70,000 real digits, where they can be had."""

from __future__ import annotations

import pytest
import torch

import genlab
from genlab_mnist.datasets import MNIST


@pytest.fixture
def real() -> MNIST:
    """All 70,000 digits, from where the person who runs the tests keeps them, else fetched."""
    source = MNIST()
    try:
        source.fetch()
    except genlab.DataError as error:
        pytest.skip(f"the digits cannot be had: {error}")
    return source


@pytest.mark.mnist
def test_the_real_digits(real: MNIST) -> None:
    train, test = real.split("train"), real.split("test")
    assert train.x.shape == (60_000, 1, 28, 28)
    assert test.x.shape == (10_000, 1, 28, 28)
    assert train.label is not None
    assert test.label is not None
    # Counts as published with the data; mean and deviation as in torch's and Keras's MNIST examples.
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert train.label.bincount().tolist() == counts
    assert test.label.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    pixel = real.prepare(train.x)
    assert pixel.mean(dtype=torch.float64).item() == pytest.approx(0.1307, abs=5e-5)
    assert pixel.double().std().item() == pytest.approx(0.3081, abs=5e-5)
    held = MNIST(validation=5000, limit=1000)
    assert torch.equal(held.split("val").x, train.x[55_000:])
    assert torch.equal(held.split("train").x, train.x[:1000])
