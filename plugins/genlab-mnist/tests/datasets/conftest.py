"""A server, and folders, of the small files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from genlab_mnist import idx
from genlab_mnist.datasets import MNIST

from .published import (
    CLASSES,
    NAMES,
    PACKED,
    RAW,
    SHAPES,
    Server,
    md5,
)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own, small published files, no mirror, no npm."""
    data, programs = tmp_path / "data", tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("GENLAB_DATA", str(data))
    monkeypatch.setenv("PATH", str(programs))
    for name in NAMES:
        monkeypatch.setitem(idx.SHAPES, name, SHAPES[name])
        monkeypatch.setitem(MNIST.published.md5, name, md5(RAW[name]))  # type: ignore[arg-type]
    for cls in CLASSES:
        monkeypatch.setattr(cls.published.torchvision, "resources", [(n, md5(PACKED[n])) for n in PACKED])
        monkeypatch.setattr(cls.published.torchvision, "mirrors", [])
    return data


@pytest.fixture
def mirror(root: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    for cls in CLASSES:
        monkeypatch.setattr(cls.published.torchvision, "mirrors", [server.url])
    return server
