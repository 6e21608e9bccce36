"""Every test has its own state folder, runs folder and data folder; nothing of the user's is touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genlab import DataSource, Examples
from genlab.interfaces import SplitName
from genlab.plugins import installed

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parent.parent
BARS = """\
name: bars
data: {use: bars, size: 4, examples: 200}
latent: 2
encoder: {use: mlp, hidden: [16]}
decoder: {use: mlp, hidden: [16]}
likelihood: bernoulli
train: {epochs: 2, batch_size: 32}
"""


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("GENLAB_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """A recipe that trains in a moment on data that needs no file."""
    path = tmp_path / "bars.yaml"
    path.write_text(BARS)
    return path


class SmallMNIST(DataSource):
    """The first 500 training and 200 test digits of MNIST."""

    x_shape = (1, 28, 28)

    def __init__(self) -> None:
        pass

    def split(self, name: SplitName) -> Examples:
        key = "train" if name == "train" else "test"
        with np.load(DATA / "mnist_small.npz") as data:
            x, label = torch.from_numpy(data[f"{key}_x"]), torch.from_numpy(data[f"{key}_y"])
        return Examples(x[:, None], label.long())


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a data source of a few hundred real digits."""
    registry = installed().registry
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    registry.register("mnist_small", SmallMNIST, "tests")
    return "mnist_small"
