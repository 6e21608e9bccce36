"""Time a training step: genlab's real loop against one written by hand, and its runners against each other.

    python benchmarks/train_step.py [--compile] [--operations] [--blocks 40] [--steps 50] [-o FILE]

One process; the two sides take turns in short blocks, A B A B, on models of their own (the runners share one).
A sample is a block's mean time a step, and two neighbouring blocks are a pair; the first pair warms up and is
left out. Quoted are the median of the pairs' ratios, and the difference of the two medians, each with the
bootstrap 95 % interval over pairs. Both sides run with the allocator as genlab sets it.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from statistics import median

import torch
from loops import REFERENCE, TINY, genlab_loop, loop_by_hand, loss_by_hand, posterior_of, prepared
from measure import interval, load, machine, versions
from operations import operations, table

from genlab.assembly import choose_runner, loss_of, new_state
from genlab.interfaces import Terms
from genlab.prepare import Prepared
from genlab.summary import parameter_count
from genlab.train.callbacks import Callback, Plan

RESULT = Path(__file__).parent / "results" / "train-step-local.json"


class Blocks(Callback):
    """Times the loop in blocks of steps; ``between`` runs after each, while the clock stands still."""

    def __init__(self, steps: int, between: Callable[[], None]) -> None:
        self.steps, self.between, self.seconds = steps, between, []

    def on_start(self, plan: Plan) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
        """End a block if it is one."""
        if step % self.steps == 0:
            self.seconds.append((time.perf_counter() - self.started) / self.steps)
            self.between()
            self.started = time.perf_counter()


def overhead(recipe: str, blocks: int, steps: int, seed: int) -> dict[str, object]:
    """Compare genlab's loop with the one by hand, which trains a copy of the model in the loop's pauses."""
    parts = prepared(recipe, (blocks + 1) * steps, seed)
    encoder, decoder = deepcopy(parts.model.encoder), deepcopy(parts.model.decoder)
    check_same_loss(parts)
    by_hand = loop_by_hand(encoder, decoder, parts.train.x, parts.recipe.train.batch_size)
    seconds = []

    def block_by_hand() -> None:
        started = time.perf_counter()
        for _ in range(steps):
            next(by_hand)
        seconds.append((time.perf_counter() - started) / steps)

    watch, state = Blocks(steps, block_by_hand), new_state(parts)
    genlab_loop(parts, state, choose_runner(parts, state, "eager").runner, watch)
    found = compared("genlab", watch.seconds[1:], "by_hand", seconds[1:])
    return {"steps_per_block": steps, "parameters": parameter_count(parts.model), **found}


def check_same_loss(parts: Prepared) -> None:
    """Make sure that both sides compute the same."""
    x = next(iter(parts.train))
    torch.manual_seed(0)
    ours = loss_of(parts)(x).loss.item()
    torch.manual_seed(0)
    by_hand = loss_by_hand(posterior_of(parts.model.encoder), parts.model.decoder, x)[0].item()
    assert abs(ours - by_hand) < 1e-5 * abs(ours), (ours, by_hand)


def runners(blocks: int, steps: int, seed: int) -> dict[str, object]:
    """Compare the runners eager and compile in genlab's loop, which changes runner after each block."""
    parts = prepared(REFERENCE, 2 * (blocks + 1) * steps, seed)
    state = new_state(parts)
    eager = choose_runner(parts, state, "eager").runner
    started = time.perf_counter()
    compiled = choose_runner(parts, state, "compile").runner
    preparation = time.perf_counter() - started
    turns = [eager, compiled]
    watch = Blocks(steps, turns.reverse)
    genlab_loop(parts, state, lambda group: turns[0](group), watch)
    found = compared("eager", watch.seconds[2::2], "compile", watch.seconds[3::2])
    return {"steps_per_block": steps, "seconds_to_compile": preparation, **found}


def compared(a: str, of_a: list[float], b: str, of_b: list[float]) -> dict[str, object]:
    """Return medians, ratio and difference of two sides' seconds a step, in microseconds."""
    pairs = [(1e6 * x, 1e6 * y) for x, y in zip(of_a, of_b, strict=True)]

    def ratio(some: list[tuple[float, float]]) -> float:
        return median(x / y for x, y in some)

    def difference(some: list[tuple[float, float]]) -> float:
        return median(x for x, _ in some) - median(y for _, y in some)

    return {
        "median_us": {a: median(x for x, _ in pairs), b: median(y for _, y in pairs)},
        f"{a}_over_{b}": {"median": ratio(pairs), "interval_95": interval(pairs, ratio)},
        f"{a}_minus_{b}_us": {"medians": difference(pairs), "interval_95": interval(pairs, difference)},
        "samples_us": {a: [x for x, _ in pairs], b: [y for _, y in pairs]},
    }


def told(what: str, found: dict[str, object]) -> None:
    """Print one comparison."""
    (a, us_a), (b, us_b) = found["median_us"].items()
    ratio, difference = found[f"{a}_over_{b}"], found[f"{a}_minus_{b}_us"]
    print(
        f"{what}: {a} {us_a:.0f} us a step, {b} {us_b:.0f} us\n"
        f"  ratio {ratio['median']:.3f} ({ratio['interval_95'][0]:.3f} to {ratio['interval_95'][1]:.3f}), "
        f"difference {difference['medians']:.1f} us "
        f"({difference['interval_95'][0]:.1f} to {difference['interval_95'][1]:.1f})",
        flush=True,
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=40, help="of each side; one more warms up")
    parser.add_argument("--steps", type=int, default=50, help="in a block; the tiny model's have ten times that")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true", help="compare the runners too")
    parser.add_argument("--operations", action="store_true", help="profile the operations of a step too")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    blocks, steps, seed = arguments.blocks, arguments.steps, arguments.seed
    if not arguments.output.parent.is_dir():
        parser.error(f"{arguments.output}: there is no folder {arguments.output.parent}")
    result = {
        "what": "a training step of genlab; microseconds a step, each sample the mean of a block",
        "machine": {**machine(), "threads": torch.get_num_threads()},
        "versions": versions(sys.executable),
        "seed": seed,
        "reference": overhead(REFERENCE, blocks, steps, seed),
    }
    told("reference recipe", result["reference"])
    result["tiny"] = overhead(TINY, blocks, 10 * steps, seed)
    told("tiny model", result["tiny"])
    if arguments.compile:
        result["runners"] = runners(blocks, steps, seed)
        told("runners on the reference recipe", result["runners"])
    if arguments.operations:
        result["operations"] = operations(seed)
        print(table(result["operations"]))
    result["machine"]["load_after"] = load()
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written: {arguments.output}")


main()
