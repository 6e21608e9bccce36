"""Evaluations: how one becomes a record, and what follows from those so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from genlab.errors import TrainingError
from genlab.train.callbacks import Record
from genlab.train.options import EarlyStopping

if TYPE_CHECKING:
    from genlab.train.state import TrainState


def record_of(state: TrainState, metrics: Mapping[str, float], trained: float, monitor: str) -> Record:
    """Return the record of an evaluation; the best so far is the one whose ``monitor`` is lowest.

    trained: seconds of training steps since the last one. Raises ``TrainingError`` if the monitored metric is
    not finite.
    """
    if not math.isfinite(metrics[monitor]):
        raise TrainingError(f"{monitor} is not finite after step {state.step}: {metrics[monitor]}")
    return Record(
        epoch=-(-state.step // state.steps_per_epoch),
        step=state.step,
        seconds=state.clock.seconds,
        images_per_second=state.mean.count / trained if trained else 0.0,
        metrics=metrics,
        best=all(metrics[monitor] < earlier.metrics[monitor] for earlier in state.records),
    )


def out_of_patience(records: Sequence[Record], early: EarlyStopping | None) -> bool:
    """Whether the last ``patience`` records were none of them the best."""
    if early is None:
        return False
    last = records[-early.patience :]
    return len(last) == early.patience and not any(record.best for record in last)
