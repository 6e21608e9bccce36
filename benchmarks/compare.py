"""Time an epoch of the reference model in genlab and in its peers, in turn, and write what was measured.

    python benchmarks/compare.py --with genlab=.venv/bin/python --with keras_tf=PATH/python ... -o FILE

What has another number of parameters is refused. What learns to another val/loss than genlab, beyond the noise
between seeds, is marked and left out of README's table.

Each round runs every contestant once, as a process of its own, in an order drawn anew: whatever else the machine
does hits all alike. The last epoch of each process counts, so that the first warms up. A ratio is formed within a
round; the median over rounds is quoted with its 95 % interval, for which six rounds are needed.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from measure import load, machine, versions

from genlab.bench.statistics import paired_ratio

PEERS = Path(__file__).parent / "peers"
RESULT = Path(__file__).parent / "results" / "peers-local.json"
SCRIPTS = {
    "genlab": ["genlab_recipe.py"],
    "keras_tf": ["keras_tf.py"],
    "keras_jax": ["keras_jax.py"],
    "pythae": ["pythae_vae.py"],
    "lightning": ["lightning_vae.py"],
    "plain_torch": ["plain_torch.py"],
    "plain_torch_loader": ["plain_torch.py", "--loader"],
}


Run = dict[str, Any]  # a process's last epoch, all its epochs, and the load that it met
Round = dict[str, Run]  # contestant -> its run, in the order of running


def run(name: str, python: str, data: Path, epochs: int, seed: int) -> Run:
    """Run one contestant in a process of its own; return its epochs, and the load that it met."""
    script, *flags = SCRIPTS[name]
    options = ["--data", str(data), "--epochs", str(epochs), "--seed", str(seed)]
    before = load()
    done = subprocess.run([python, str(PEERS / script), *flags, *options], capture_output=True, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or len(rows) != epochs:
        sys.exit(f"{name} failed ({done.returncode}):\n{done.stderr[-3000:]}")
    return {**rows[-1], "load_before": before, "epochs": rows}


def cached_digits() -> Path:
    """Return the folder in which genlab keeps the raw digits, fetched if need be."""
    from genlab_mnist import MNIST

    digits = MNIST()
    digits.fetch()
    return digits.root / digits.published.title / "raw"


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the four raw IDX files; by default genlab's own")
    parser.add_argument("--rounds", type=int, default=6, help="fewer than six make no 95 %% interval")
    parser.add_argument("--epochs", type=int, default=2, help="of each process")
    parser.add_argument("--seed", type=int, default=0, help="of the order; round i trains from seed + i")
    parser.add_argument("--with", dest="contestants", action="append", required=True, metavar="NAME=PYTHON")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    arguments.contestants = dict(pair.split("=", 1) for pair in arguments.contestants)
    if unknown := arguments.contestants.keys() - SCRIPTS.keys():
        parser.error(f"unknown contestant {min(unknown)!r}; known: {', '.join(SCRIPTS)}")
    if "genlab" not in arguments.contestants:
        parser.error("genlab must be among the contestants: the others are compared with it")
    if not arguments.output.parent.is_dir():
        parser.error(f"{arguments.output}: there is no folder {arguments.output.parent}")
    return arguments


def rounds_of(arguments: argparse.Namespace) -> Iterator[Round]:
    """Run every contestant once a round; yield each round's runs, in the order in which they ran."""
    contestants, data = arguments.contestants, arguments.data or cached_digits()
    draw, counts = random.Random(arguments.seed), {}
    for number in range(arguments.rounds):
        row = {}
        for name in draw.sample(list(contestants), len(contestants)):
            row[name] = run(name, contestants[name], data, arguments.epochs, arguments.seed + number)
            counts[name] = row[name]["parameters"]
            if len(set(counts.values())) > 1:
                sys.exit(f"the models differ, so their times cannot be compared; parameters: {counts}")
        times = "  ".join(f"{name} {row[name]['seconds']:.1f} s" for name in contestants)
        print(f"round {number + 1}: {times}", flush=True)
        yield row


def summary(name: str, rounds: list[Round]) -> dict[str, object]:
    """Return what is quoted of one contestant."""
    seconds, ours = ([row[each]["seconds"] for row in rounds] for each in (name, "genlab"))
    ratio, low, high, level = paired_ratio(ours, seconds)
    losses = [row[name]["val_loss"] for row in rounds]
    return {
        "parameters": rounds[0][name]["parameters"],
        "median_seconds": median(seconds),
        "median_val_loss": median(losses),
        "learns_the_same": learns_the_same(losses, [row["genlab"]["val_loss"] for row in rounds]),
        "times_genlab": {"median": ratio, "interval": [low, high], "level": level},
    }


def learns_the_same(losses: list[float], ours: list[float]) -> bool:
    """Whether a contestant's val/loss is genlab's, within what seeds differ by: 3 % or genlab's own spread."""
    noise = max(max(ours) - min(ours), 0.03 * median(ours))
    return abs(median(losses) - median(ours)) <= noise


def main() -> None:
    """Measure and write, after each round what is known so far."""
    arguments = parsed()
    result = {
        "what": "seconds an epoch of the reference recipe, one evaluation of the 10,000 test digits included",
        "machine": machine(),
        "versions": {name: versions(python) for name, python in arguments.contestants.items()},
        "protocol": {
            "epochs_per_process": arguments.epochs,
            "counted": "the last epoch of each process",
            "seed": arguments.seed,
        },
    }
    rounds: list[Round] = []
    for row in rounds_of(arguments):
        rounds.append(row)
        result["summary"] = {name: summary(name, rounds) for name in arguments.contestants}
        result["rounds"] = rounds
        arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    for name, found in result["summary"].items():
        low, high = found["times_genlab"]["interval"]
        print(
            f"{name:<20} {found['median_seconds']:6.1f} s   {found['times_genlab']['median']:.2f} times genlab's "
            f"({low:.2f} to {high:.2f})   val/loss {found['median_val_loss']:.1f}"
            f"{'' if found['learns_the_same'] else '   LEARNS SOMETHING ELSE'}"
        )
    print(f"written: {arguments.output}")


main()
