"""Keeps the best model of a run, and every evaluation, as they come."""

from __future__ import annotations

from genlab.card import model_card
from genlab.prepare import Prepared
from genlab.runs import RunDirectory, record_json
from genlab.store import Metrics, save, write_metrics
from genlab.train.callbacks import Callback, Record

PROTOCOL = (
    "`train/*` are means over the epoch's batches while the weights were moving. `val/*` are exact means over "
    "all {count:,} validation examples, with one sample of z each, the same noise at every evaluation."
)


class Keeper(Callback):
    """Writes each evaluation, and the model whenever it is the best so far."""

    def __init__(self, prepared: Prepared, directory: RunDirectory) -> None:
        self.prepared, self.directory = prepared, directory
        self.history: list[dict[str, float]] = []
        self.best: Record | None = None
        # No path of this machine: cards are made to be handed on.
        self.data = f"{prepared.train.examples:,} training and {prepared.val.examples:,} validation examples"
        x = prepared.data.prepare(prepared.val_examples.x[:1000])
        self.grey = bool(((x > 0) & (x < 1)).any())

    def on_evaluation(self, record: Record) -> None:
        """Write the record, then the model and its metrics."""
        self.history.append(record_json(record))
        self.directory.add_record(record)
        numbers = "  ".join(f"{name} {value:.3f}" for name, value in record.metrics.items())
        self.directory.log(f"epoch {record.epoch}  {numbers}{'  best' if record.best else ''}")
        if record.best:
            self.best = record
            metrics = self.metrics(record)
            card = model_card(self.prepared.model, metrics, data=self.data, grey=self.grey)
            save(self.directory.path / "model", self.prepared.model, metrics, card)
        elif self.best is not None:
            write_metrics(self.directory.model, self.metrics(self.best))

    def metrics(self, best: Record) -> Metrics:
        """The metrics of the kept model, with the history so far."""
        prepared = self.prepared
        return Metrics(
            metrics=dict(best.metrics),
            epoch=best.epoch,
            protocol=PROTOCOL.format(count=len(prepared.val_examples)),
            command=prepared.environment.command,
            seed=prepared.recipe.seed,
            device=prepared.environment.device,
            history=self.history,
        )
