"""What the training loop tells those who watch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genlab.interfaces import Terms
    from genlab.train.state import TrainState


@dataclass(frozen=True)
class Plan:
    """What is about to be done: at most ``steps`` steps, ``steps_per_epoch`` of them an epoch, from ``start``.

    by_epochs: evaluations come at the ends of epochs.
    """

    epochs: int
    steps: int
    steps_per_epoch: int
    start: int = 0
    by_epochs: bool = True


@dataclass(frozen=True)
class Record:
    """One evaluation: where training stood, how long it took, and every metric.

    epoch: the one that was under way, or had just ended. seconds: wall time since the last evaluation, this
    one included. images_per_second: of the training steps alone.
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

    def on_evaluation(self, record: Record, state: TrainState) -> None:
        """The model was evaluated; it stands as it was evaluated, averaged weights included."""
