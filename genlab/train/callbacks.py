"""What the training loop tells those who watch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from genlab.interfaces import Terms


@dataclass(frozen=True)
class Plan:
    """What is about to be done: at most ``epochs`` passes of ``steps`` steps."""

    epochs: int
    steps: int


@dataclass(frozen=True)
class Record:
    """One evaluation: where training stood, how long it took, and every metric.

    seconds: wall time of the epoch, evaluation included. images_per_second: of its training steps alone.
    metrics: ``train/loss``, ``val/nll`` ..., nats per example.
    """

    epoch: int
    step: int
    seconds: float
    images_per_second: float
    metrics: Mapping[str, float]
    best: bool


class Callback:
    """Does nothing; subclasses do what they need. None may change what is trained."""

    def on_start(self, plan: Plan) -> None:
        """Training begins."""

    def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
        """A step was queued. Reading a value of ``terms`` makes the host wait: do so rarely."""

    def on_evaluation(self, record: Record) -> None:
        """An epoch was trained and evaluated."""
