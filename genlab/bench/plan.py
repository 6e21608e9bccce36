"""What is to be measured: every combination that the machine can do, and of the others the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import cast, get_args

from genlab.bench.result import BenchError, Combination, Skipped, What
from genlab.device import Device, RunnerName, available, resolve
from genlab.errors import DeviceError
from genlab.precision import NAMES
from genlab.recipe import Recipe
from genlab.wording import suggest

RUNNERS: tuple[str, ...] = get_args(RunnerName)
WHATS: tuple[str, ...] = tuple(what for what in get_args(What) if what != "quality")
ALL = "all"
TRAINING = ("train", "start", "quality")  # what has a runner


@dataclass(frozen=True)
class Wanted:
    """What the user asks for; ``all`` is every one that there is, and no batch size the recipe's own."""

    devices: Sequence[str] = (ALL,)
    precisions: Sequence[str] = (ALL,)
    runners: Sequence[str] = (ALL,)
    batch_sizes: Sequence[int] = ()
    whats: Sequence[str] = ("train",)


@dataclass
class Plan:
    """What will be measured, in the order in which it is shown, and what will not."""

    combinations: list[Combination] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def plan(recipe: Recipe, wanted: Wanted, *, quality: bool = False) -> Plan:
    """Combine what is wanted. Raises ``BenchError`` for a word that is none, or if nothing can be measured."""
    precisions = _known("--precision", wanted.precisions, NAMES)
    runners = _known("--runner", wanted.runners, RUNNERS)
    whats = [cast(What, what) for what in _known("--what", wanted.whats, WHATS)]
    if quality:
        whats.append("quality")
    made = Plan()
    for what in whats:
        for name in _devices(wanted.devices):
            _combine(made, what, name, precisions, runners, _sizes(recipe, what, wanted.batch_sizes))
    if not made.combinations:
        reasons = "\n".join(f"  {each.combination.label}: {each.reason}" for each in made.skipped)
        raise BenchError(f"nothing of this can be measured here:\n{reasons}")
    return made


def _combine(
    made: Plan,
    what: What,
    name: str,
    precisions: Sequence[str],
    runners: Sequence[str],
    sizes: Sequence[int | None],
) -> None:
    try:
        device = resolve(name)
    except DeviceError as error:
        made.skipped.append(Skipped(combination=Combination(what=what, device=name), reason=str(error)))
        return
    with_precision = precisions if what != "load" else (None,)
    with_runner = runners if what in TRAINING else (None,)
    for precision, runner, size in product(with_precision, with_runner, sizes):
        one = Combination(what=what, device=str(device.on), precision=precision, runner=runner, batch_size=size)
        reason = _obstacle(device, one)
        if reason is None:
            if one not in made.combinations:
                made.combinations.append(one)
        elif reason not in [each.reason for each in made.skipped if each.combination.what == what]:
            made.skipped.append(Skipped(combination=one, reason=reason))  # once, not for every combination of it


def _obstacle(device: Device, wanted: Combination) -> str | None:
    kind = device.on.type
    if wanted.precision is not None and wanted.precision not in device.can.precisions:
        return f"precision {wanted.precision} is not available on {kind}: {', '.join(device.can.precisions)}"
    if wanted.runner is not None and wanted.runner not in device.runners:
        return f"runner {wanted.runner} is not available on {kind}: {', '.join(device.runners)}"
    return None


def _devices(names: Sequence[str]) -> list[str]:
    """Return devices by name; ``all``: the CPU, and an accelerator if there is one."""
    if ALL not in names:
        return list(dict.fromkeys(names))
    here = available()
    return list(dict.fromkeys(["cpu", str(here[0].on), *(name for name in names if name != ALL)]))


def _sizes(recipe: Recipe, what: What, given: Sequence[int]) -> Sequence[int | None]:
    if what == "load":
        return (None,)
    own = recipe.train.batch_size if what in TRAINING else recipe.train.eval_batch_size
    return list(dict.fromkeys(given)) or (own,)


def _known(option: str, words: Sequence[str], known: Sequence[str]) -> list[str]:
    for word in words:
        if word != ALL and word not in known:
            raise BenchError(f"{option} {word}: {suggest(word, list(known))}there are {', '.join(known)}, and all")
    return list(known) if ALL in words else list(dict.fromkeys(words))
