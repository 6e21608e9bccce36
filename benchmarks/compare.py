"""Time an epoch of the reference model in genlab and in its peers, in turn, and write what was measured.

    python benchmarks/compare.py --data FOLDER --rounds 3 \
        --with genlab=.venv/bin/python --with keras_tf=PATH/python --with plain_torch=.venv/bin/python -o FILE

Each round runs every contestant once, as a process of its own, in an order drawn anew: whatever else the machine
does hits all alike. The last epoch of each process counts, so that the first warms up. Ratios are formed within a
round; their median is quoted with the smallest and the largest.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
SCRIPTS = {
    "genlab": ["genlab_recipe.py"],
    "keras_tf": ["keras_tf.py"],
    "plain_torch": ["plain_torch.py"],
    "plain_torch_loader": ["plain_torch.py", "--loader"],
}


def epoch(name: str, python: str, data: Path, epochs: int, seed: int) -> dict[str, float]:
    """Run one contestant in a process of its own; return its last epoch."""
    script, *flags = SCRIPTS[name]
    options = ["--data", str(data), "--epochs", str(epochs), "--seed", str(seed)]
    done = subprocess.run(
        [python, str(PEERS / script), *flags, *options], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def cpu() -> str:
    """Name the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def versions(python: str) -> dict[str, str]:
    """Return the versions of what a contestant runs on."""
    code = (
        "import json, platform; from importlib import metadata as m\n"
        "names = ['genlab', 'torch', 'keras', 'tensorflow', 'tensorflow-cpu', 'numpy']\n"
        "have = {d.metadata['Name'].lower() for d in m.distributions()}\n"
        "print(json.dumps({'python': platform.python_version()} | {n: m.version(n) for n in names if n in have}))"
    )
    return dict(
        json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--with", dest="contestants", action="append", required=True, metavar="NAME=PYTHON")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    contestants = dict(pair.split("=", 1) for pair in arguments.contestants)
    draw = random.Random(0)
    rounds: list[dict[str, dict[str, float]]] = []
    for number in range(arguments.rounds):
        order = draw.sample(list(contestants), len(contestants))
        row = {n: epoch(n, contestants[n], arguments.data, arguments.epochs, number) for n in order}
        rounds.append(row)
        print(
            f"round {number + 1}: " + "  ".join(f"{n} {row[n]['seconds']:.1f} s" for n in contestants), flush=True
        )
    seconds = {n: statistics.median(row[n]["seconds"] for row in rounds) for n in contestants}
    ratios = {n: sorted(row[n]["seconds"] / row["genlab"]["seconds"] for row in rounds) for n in contestants}
    result = {
        "what": "seconds an epoch of the reference recipe, one evaluation of the 10,000 test digits included",
        "machine": {"cpu": cpu(), "cores": os.cpu_count(), "platform": platform.platform()},
        "versions": {n: versions(python) for n, python in contestants.items()},
        "protocol": {"rounds": arguments.rounds, "epochs_per_process": arguments.epochs, "counted": "the last"},
        "rounds": rounds,
        "median_seconds": seconds,
        "times_genlab": {
            n: {"median": statistics.median(r), "min": r[0], "max": r[-1]} for n, r in ratios.items()
        },
    }
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    for name in contestants:
        low, *_, high = ratios[name]
        ratio = f"{statistics.median(ratios[name]):.2f} times genlab's ({low:.2f} to {high:.2f})"
        print(f"{name:<20} {seconds[name]:6.1f} s   {ratio}")


main()
