"""The reference recipe through genlab's own loop: one JSON line an epoch, evaluation included."""

import argparse
import json
from pathlib import Path

from genlab.evaluate import evaluate
from genlab.prepare import prepare
from genlab.summary import parameter_count
from genlab.train.callbacks import Callback, Record
from genlab.train.loop import fit
from genlab.train.signals import StopRequest

RECIPE = Path(__file__).parents[2] / "recipes" / "mnist_cvae.yaml"


class Print(Callback):
    """Prints each epoch."""

    def __init__(self, parameters: int) -> None:
        self.parameters = parameters

    def on_evaluation(self, record: Record) -> None:
        """Print it."""
        row = {"seconds": record.seconds, "val_loss": record.metrics["val/loss"], "parameters": self.parameters}
        print(json.dumps(row), flush=True)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="not used: genlab keeps its own copy of the same files")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    prepared = prepare(RECIPE, {"train.epochs": arguments.epochs, "seed": arguments.seed}, "cpu")
    model, objective, device, seed = prepared.model, prepared.objective, prepared.device, arguments.seed
    fit(
        model,
        objective,
        prepared.optimizer,
        prepared.train,
        lambda: evaluate(model, objective, prepared.val, device, seed=seed),
        prepared.recipe.train,
        device=device,
        seed=seed,
        stop=StopRequest(),
        callbacks=[Print(parameter_count(model))],
    )


main()
