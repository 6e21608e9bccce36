"""The parts of these tests, as if they were installed."""

from __future__ import annotations

import pytest

from genlab.plugins import installed
from genlab.registry import Registry
from tests.trainer.training import (
    Heard,
    Noiseless,
    PlainSGD,
)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The installed parts, and those above."""
    registry = installed().registry
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    monkeypatch.setattr(Heard, "made", [])
    registry.register("noiseless", Noiseless, "tests")
    registry.register("plain_sgd", PlainSGD, "tests")
    registry.register("heard", Heard, "tests")
    return registry
