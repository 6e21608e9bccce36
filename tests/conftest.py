"""Every test has folders of its own for state and runs; nothing of the user's is touched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import genlab
from genlab import DataSource, Examples
from genlab.interfaces import SplitName
from genlab.plugins import installed
from genlab.selection import select
from tests.sites import Site, forget

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


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Real runs of the bars recipe, to be looked at and copied, never changed."""
    folder = tmp_path_factory.mktemp("trained")
    recipe = folder / "bars.yaml"
    recipe.write_text(BARS)
    changes: dict[str, dict[str, object]] = {
        "plain": {},
        "beta": {"objective.beta": 4},
        "latent": {"latent": 3, "seed": 1},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENLAB_STATE", str(folder / "state"))
        return {
            name: genlab.run(recipe, change, runs=folder / "runs", plots=False, device="cpu").directory
            for name, change in changes.items()
        }


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


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A place to install made-up plugins in; they are gone after the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    forget()
    yield Site(folder)
    select()
    forget()
    for name in [
        name for name, m in sys.modules.items() if str(getattr(m, "__file__", "")).startswith(str(folder))
    ]:
        del sys.modules[name]
