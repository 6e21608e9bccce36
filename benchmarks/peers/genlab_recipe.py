"""The reference recipe through genlab's own loop, evaluation included: one JSON line an epoch.

What ``genlab run`` adds around that loop is left out: the display, the run directory, and the checkpoint and
kept model at the end of each epoch.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from genlab.assembly import choose_runner, new_state
from genlab.evaluate import evaluate
from genlab.opening import open_recipe
from genlab.prepare import Prepared, prepare
from genlab.summary import parameter_count
from genlab.train.callbacks import Callback, Plan, Record
from genlab.train.loop import fit
from genlab.train.rate import LearningRate
from genlab.train.signals import StopRequest
from genlab.train.state import TrainState

RECIPE = Path(__file__).parents[2] / "recipes" / "mnist_cvae.yaml"


class Print(Callback):
    """Prints each epoch."""

    def __init__(self, parameters: int) -> None:
        self.parameters = parameters

    def on_start(self, plan: Plan) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_evaluation(self, record: Record, state: TrainState) -> None:
        """Print the epoch that just ended."""
        now, val_loss = time.perf_counter(), record.metrics["val/loss"]
        row = {"seconds": now - self.started, "val_loss": val_loss, "parameters": self.parameters}
        print(json.dumps(row), flush=True)
        self.started = now


def prepared(folder: Path, epochs: int, seed: int) -> Prepared:
    """Prepare the recipe over the raw files of ``folder``; genlab reads them all here."""
    # To the letter of the example, as the peers train it: without our warm-up.
    changes = {"seed": seed, "train.epochs": epochs, "train.early_stopping": None, "schedule": "constant"}
    with tempfile.TemporaryDirectory() as root:
        raw = Path(root, "MNIST", "raw")  # where genlab's data source looks
        raw.parent.mkdir()
        raw.symlink_to(folder.absolute())
        opened = open_recipe(RECIPE, {**changes, "data.root": root})
        return prepare(opened.recipe, "cpu", tree=opened.tree, command="")


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    seed, parts = arguments.seed, prepared(arguments.data, arguments.epochs, arguments.seed)
    options, state = parts.recipe.train, new_state(parts)
    fit(
        state,
        choose_runner(parts, state, options.runner).runner,
        LearningRate(parts.optimizer, parts.schedule, options.steps(state.steps_per_epoch)),
        parts.train,
        lambda: evaluate(parts.model, parts.objective, parts.val, parts.device, seed=seed),
        options,
        seed=seed,
        stop=StopRequest(),
        callbacks=[Print(parameter_count(parts.model))],
    )


main()
