"""Renew README's tables of speed from the results that are committed in ``results/``: no figure by hand.

    python benchmarks/table.py            # rewrite what stands between the two markers
    python benchmarks/table.py --check    # exit with 1 if it would change; a test does the same

A file ``results/peers-<machine>.json`` is a table of an epoch in genlab and its peers; each result of ``genlab
bench`` in ``results/bench/`` is a table of the ways to run a recipe. Files named ``-local`` are not taken.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- benchmarks: begin, by benchmarks/table.py -->", "<!-- benchmarks: end -->"
NAMES = {
    "genlab": "genlab",
    "keras_tf": "Keras 3 on TensorFlow",
    "keras_jax": "Keras 3 on JAX",
    "pythae": "Pythae",
    "lightning": "Lightning",
    "plain_torch": "a plain torch loop, data in memory",
    "plain_torch_loader": "a plain torch loop, DataLoader",
}

Found = dict[str, Any]


def text(results: Path = RESULTS) -> str:
    """Return what stands between the markers."""
    peers = [path for path in sorted(results.glob("peers-*.json")) if not path.stem.endswith("-local")]
    ways = [path for path in sorted(results.glob("bench/*.json")) if not path.stem.endswith("-local")]
    parts = [epochs(json.loads(path.read_text()), path) for path in peers]
    parts += [combinations(json.loads(path.read_text()), path) for path in ways]
    return "\n\n".join(parts)


def epochs(found: Found, path: Path) -> str:
    """Return the table of an epoch in genlab and in each peer that learns the same."""
    machine, rounds = found["machine"], len(found["rounds"])
    level = found["summary"]["genlab"]["times_genlab"]["level"]
    lines = [
        f"{machine['cores']} cores of {machine['cpu']}, float32, {rounds} rounds (`{path.relative_to(ROOT)}`):",
        "",
        f"| an epoch | seconds | times genlab's, with {100 * level:.0f} % interval |",
        "| --- | ---: | ---: |",
    ]
    rows = sorted(found["summary"].items(), key=lambda item: item[1]["median_seconds"])
    for name, one in rows:
        if not one["learns_the_same"]:
            continue
        low, high = one["times_genlab"]["interval"]
        ratio = "" if name == "genlab" else f"{one['times_genlab']['median']:.2f} ({low:.2f} to {high:.2f})"
        lines.append(f"| {NAMES[name]} | {one['median_seconds']:.1f} | {ratio} |")
    return "\n".join(lines)


def combinations(found: Found, path: Path) -> str:
    """Return the table of the ways to run a recipe, whether each agrees before how fast it is."""
    environment = found["environment"]
    devices = [each["name"] for each in environment["accelerators"]]
    usable, model = len(environment["processor"]["usable"]), environment["processor"]["model"]
    on = " and ".join([f"{usable} cores of {model}", *devices])
    threads = environment["software"]["threads"]
    on += f", {threads} thread{'s' * (threads != 1)}"
    lines = [
        f"Ways to run `{found['recipe']['name']}` on {on} (`{path.relative_to(ROOT)}`):",
        "",
        "| one call | device | precision | runner | batch | agrees | images/s | processes |",
        "| --- | --- | --- | --- | ---: | --- | ---: | ---: |",
    ]
    for cell in found["cells"]:
        speed = cell["images_per_second"]
        if speed is None:
            continue
        own, agreement = cell["combination"], cell["agreement"]
        agrees = (
            ""
            if agreement is None
            else f"no: {', '.join(agreement['disagrees'])}"
            if agreement["disagrees"]
            else "yes"
        )
        sure = f" ± {100 * speed['half_width']:.0f} %" if speed["processes"] > 1 else ""
        cells = (
            own["what"], own["device"], own["precision"] or "", own["runner"] or "", own["batch_size"] or "",
            agrees, f"{speed['median']:,.0f}{sure}", speed["processes"],
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def renewed(readme: str, results: Path = RESULTS) -> str:
    """Return a README with the text between the markers renewed. Raises ``ValueError`` if it has no markers."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README.name} lacks the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text(results)}\n\n{END}{after}"


def main() -> None:
    """Rewrite README, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if it is out of date")
    arguments = parser.parse_args()
    now = README.read_text()
    then = renewed(now)
    if arguments.check:
        sys.exit(0 if now == then else f"{README.name} is out of date: python benchmarks/table.py renews it")
    README.write_text(then)


if __name__ == "__main__":
    main()
