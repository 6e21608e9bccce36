"""Keeps the best model of a run, and every evaluation, as they come."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from genlab.card import model_card
from genlab.interfaces import Tracker
from genlab.prepare import Prepared
from genlab.runfiles import Metrics
from genlab.runs import RunDirectory, record_json
from genlab.store import save, write_metrics
from genlab.summary import parameter_count
from genlab.train.callbacks import Callback, Record
from genlab.train.state import TrainState

PROTOCOL = (
    "`train/*` are means over the batches since the last evaluation, while the weights were moving. `val/*` are "
    "exact means over all {count:,} validation examples, with one sample of z each, the same noise at every "
    "evaluation{averaged}."
)
AVERAGED = ", of the moving average of the weights"


class Keeper(Callback):
    """Writes each evaluation, the model whenever it is the best so far, and tells the trackers."""

    def __init__(self, prepared: Prepared, directory: RunDirectory, trackers: Sequence[Tracker] = ()) -> None:
        self.prepared, self.directory, self.trackers = prepared, directory, trackers
        # No path of this machine: cards are made to be handed on.
        self.data = f"{prepared.train.examples:,} training and {prepared.val.examples:,} validation examples"
        x = prepared.data.prepare(prepared.val_examples.x[:1000])
        self.grey = bool(((x > 0) & (x < 1)).any())
        self.validation_sha256 = _sha256(prepared.val_examples.x, x)

    def restore(self, state: TrainState) -> None:
        """Make the run directory what it was at a restored state: records and model."""
        self.directory.write_records(state.records)
        if state.best is not None:
            self._save(state)

    def on_evaluation(self, record: Record, state: TrainState) -> None:
        """Write the records, then the model or, if an older one is still the best, its metrics."""
        self.directory.write_records(state.records)
        numbers = "  ".join(f"{name} {value:.3f}" for name, value in record.metrics.items())
        self.directory.log(f"epoch {record.epoch}  step {record.step}  {numbers}{'  best' if record.best else ''}")
        if record.best:
            self._save(state)
        else:
            write_metrics(self.directory.model, self.metrics(state))
        for tracker in self.trackers:
            tracker.log(record.step, record.epoch, record.metrics)

    def metrics(self, state: TrainState) -> Metrics:
        """The metrics of the kept model, with the history so far."""
        prepared, best = self.prepared, best_of(state.records)
        averaged = AVERAGED if prepared.recipe.train.ema else ""
        return Metrics(
            metrics=dict(best.metrics),
            epoch=best.epoch,
            protocol=PROTOCOL.format(count=len(prepared.val_examples), averaged=averaged),
            validation_sha256=self.validation_sha256,
            command=prepared.environment.command,
            seed=prepared.recipe.seed,
            device=prepared.environment.device,
            parameters=parameter_count(prepared.model),
            history=[record_json(record) for record in state.records],
        )

    def _save(self, state: TrainState) -> None:
        metrics = self.metrics(state)
        card = model_card(self.prepared.model, metrics, data=self.data, grey=self.grey)
        save(self.directory.path / "model", self.prepared.model, metrics, card, state.best)


def _sha256(*tensors: Tensor) -> str:
    """Hash the values of tensors, with shapes and types: two runs with one hash measured on the same examples."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()


def best_of(records: Sequence[Record]) -> Record:
    """Return the best of some records."""
    return next(record for record in reversed(records) if record.best)
