"""Runs side by side: in what their recipes differ, and which of their numbers may be compared.

Two numbers of one name may be compared where the same thing was measured on the same examples. What that takes
differs from metric to metric:

- ``val/nll``, -log p(x|z): the same examples and likelihood;
- ``val/kl``: the same examples. It is an amount, not a score: less of it is not better;
- ``val/loss``: what ``nll`` takes, and the same objective, ``beta`` included;
- any other term: the same examples, likelihood and objective, all options included.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from genlab.difference import ABSENT, Value, Varied, said, variations
from genlab.digest import Digest
from genlab.tree import Json

ELBO_OPTIONS = ("beta",)
"""The options of the objective ``elbo`` that its value in an evaluation depends on; the rest act in training."""

PLACES = ("root",)
"""Options of data sources that say where files are, not what is in them."""

AVERAGED = ", of the moving average of the weights"
"""What a protocol says of a run with ``train.ema``: its numbers are, as any run's, those of the model it keeps."""

_UNLIKE = {
    "validation examples": "not the same examples",
    "data": "the validation examples may not be the same",
    "likelihood": "one picture has another score under another likelihood",
    "objective": "not the same quantity",
    "protocol": "measured in another way",
    "recipe": "what was measured is not known",
}


@dataclass(frozen=True)
class Verdict:
    """Whether one metric may be compared.

    groups: the runs (as indices) within which it may be; one group if all that have it may be compared.
    best: of each group of two or more, the run with the lowest value; none for ``val/kl``. reasons: why there
    is more than one group.
    """

    metric: str
    groups: tuple[tuple[int, ...], ...]
    best: tuple[int, ...]
    reasons: tuple[str, ...]

    @property
    def comparable(self) -> bool:
        """Whether it may be compared among all runs that have it."""
        return len(self.groups) == 1


@dataclass(frozen=True)
class Comparison:
    """Some runs, what differs in their recipes, a verdict on each metric, and what to bear in mind."""

    runs: tuple[Digest, ...]
    differences: tuple[Varied, ...]
    verdicts: tuple[Verdict, ...]
    remarks: tuple[str, ...]

    @property
    def best(self) -> tuple[int, ...]:
        """The runs with the lowest ``val/loss`` among those that it may be compared with."""
        return next((verdict.best for verdict in self.verdicts if verdict.metric == "val/loss"), ())


def compare(runs: Sequence[Digest]) -> Comparison:
    """Put runs side by side. A run whose recipe cannot be read has every key absent."""
    metrics = dict.fromkeys(name for run in runs for name in run.best if name.startswith("val/"))
    verdicts = [_verdict(name, runs) for name in metrics if sum(name in run.best for run in runs) > 1]
    return Comparison(
        tuple(runs),
        tuple(variations([run.recipe for run in runs])),
        tuple(verdicts),
        tuple(_remarks(runs, verdicts)),
    )


def numbers(which: Sequence[int]) -> str:
    """Name runs by their numbers in the table, which begin at 1: ``1, 2 and 5``; ranges are put as ``1 to 4``."""
    spans: list[list[int]] = []
    for index in which:
        if spans and spans[-1][1] == index:
            spans[-1][1] = index + 1
        else:
            spans.append([index + 1, index + 1])
    words = [
        f"{first}" if first == last else f"{first}, {last}" if last == first + 1 else f"{first} to {last}"
        for first, last in spans
    ]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def by_value(values: Sequence[Value]) -> list[tuple[str, tuple[int, ...]]]:
    """Return each distinct value in words, and which runs have it."""
    found: dict[str, list[int]] = {}
    for index, value in enumerate(values):
        found.setdefault(said(value), []).append(index)
    return [(value, tuple(which)) for value, which in found.items()]


def _verdict(metric: str, runs: Sequence[Digest]) -> Verdict:
    having = [index for index, run in enumerate(runs) if metric in run.best]
    hashed = all(runs[index].validation_sha256 for index in having)
    facts = [_facts(runs[index], metric, hashed) for index in having]
    varied = variations(facts)
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, index in enumerate(having):
        groups.setdefault(tuple(said(one.values[place]) for one in varied), []).append(index)
    return Verdict(
        metric=metric,
        groups=tuple(map(tuple, groups.values())),
        best=tuple(
            min(finite, key=lambda index: runs[index].best[metric])
            for group in groups.values()
            if len(group) > 1
            and metric != "val/kl"
            and (finite := [index for index in group if math.isfinite(runs[index].best[metric])])
        ),
        reasons=tuple(_reasons(varied, having)),
    )


def _facts(run: Digest, metric: str, hashed: bool) -> dict[str, Json]:
    """What a metric's meaning depends on. hashed: the examples are known by their hash, not by their options."""
    if not run.recipe:
        return {"recipe": "cannot be read"}
    objective = _part(run, "objective")
    facts: dict[str, Json] = {"protocol": _method(run)}
    if hashed:
        facts["validation examples"] = run.validation_sha256
    else:
        facts["validation examples"] = run.examples
        facts["data"] = {key: value for key, value in _part(run, "data").items() if key not in PLACES}
    if metric != "val/kl":
        facts["likelihood"] = _part(run, "likelihood")
    if objective.get("use") == "elbo":
        counts = ELBO_OPTIONS if metric == "val/loss" else ()
        objective = {key: value for key, value in objective.items() if key == "use" or key in counts}
    return facts | {"objective": objective}


def _part(run: Digest, kind: str) -> dict[str, Json]:
    part = run.recipe.get(kind)
    return part if isinstance(part, dict) else {"use": part}


def _method(run: Digest) -> str:
    """How ``val/*`` were measured, less on how many examples, and of which weights."""
    method = run.protocol.replace(AVERAGED, "")
    return re.sub(r"all [\d,]+ validation", "all validation", method)


def _reasons(varied: Sequence[Varied], having: Sequence[int]) -> Iterator[str]:
    """Say why a metric may not be compared, one reason for each thing that differs in what it depends on."""
    other_part = {one.key.partition(".")[0] for one in varied if one.key.endswith(".use")}
    for one in varied:
        about = one.key.partition(".")[0]
        if about in other_part and not one.key.endswith(".use"):
            continue  # its options say nothing more
        which = [(value, numbers([having[place] for place in places])) for value, places in by_value(one.values)]
        if about == "protocol" or (about == "validation examples" and isinstance(one.values[0], str)):
            listed = " | ".join(runs for _, runs in which)  # a hash or a paragraph would tell nobody anything
        else:
            listed = ", ".join(f"{value} in {runs}" for value, runs in which)
        yield f"{one.key}: {listed} ({_UNLIKE[about]})"


def _remarks(runs: Sequence[Digest], verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Say what to bear in mind, the weightiest first."""
    compared = {verdict.metric for verdict in verdicts if verdict.comparable}
    if {"val/nll", "val/kl"} <= compared and "val/loss" not in compared:
        yield "val/nll + val/kl, the bound on log p(x) with beta 1, may be compared where val/loss may not"
    if "val/kl" in compared:
        yield "val/kl is an amount, nats that a latent carries: less is not better; read it together with val/nll"
    for state in ("running", "interrupted", "failed", "died", "damaged"):
        which = [index for index, run in enumerate(runs) if run.state == state]
        if which:
            yield f"{numbers(which)} {'is' if len(which) == 1 else 'are'} {_STATES[state]}"
    for key, words in _BEAR_IN_MIND.items():
        values = [_at(run.recipe, key) for run in runs]
        if len(by_value(values)) > 1:
            yield f"{key} differs: {words}"
    for name, made in _MADE.items():
        versions = [made(run) for run in runs if made(run)]
        if len(set(versions)) > 1:
            yield f"{name}: {', '.join(dict.fromkeys(versions))}"
    yield "train/* were measured while the weights moved: compare val/*"
    for index, run in enumerate(runs):
        for note in run.notes:
            yield f"{index + 1}: {note}"


_STATES = {
    "running": "still running: the best so far is shown",
    "interrupted": "interrupted: the best so far is shown",
    "failed": "a failed run: the best before that is shown",
    "died": "a run whose process is gone: the best before that is shown",
    "damaged": "damaged: what could still be read is shown",
}

_BEAR_IN_MIND = {
    "seed": "a difference no larger than that between seeds of one recipe says nothing",
    "train.eval_batch_size": "evaluations draw other noise for z",
    "train.precision": "the networks round otherwise, in evaluations too",
    "train.ema": "the numbers of a run with it are those of its averaged weights, which are the model it keeps",
    "train.early_stopping.monitor": "the kept model is the best by another metric, not by val/loss everywhere",
}


def _versions(run: Digest) -> Mapping[str, str]:
    return {"genlab": run.made.genlab, "torch": run.made.libraries.get("torch", "")} if run.made else {}


_MADE: Mapping[str, Callable[[Digest], str]] = {
    "made with different versions": lambda run: ", ".join(
        f"{name} {version}" for name, version in _versions(run).items() if version
    ),
    "time and images/s are of different devices": lambda run: run.made.device if run.made else "",
}


def _at(recipe: Mapping[str, Json], key: str) -> Value:
    found: Value = dict(recipe)
    for step in key.split("."):
        found = found.get(step, ABSENT) if isinstance(found, dict) else ABSENT
    return found


def labels(comparison: Comparison) -> list[str]:
    """Call each run by what sets its recipe apart, ``conv, latent 2``; by its folder if nothing does.

    Runs that would be called the same are told apart by their numbers.
    """
    varied = [one for one in comparison.differences if one.key != "description"]
    if any(one.key == "name" for one in varied):
        varied = [one for one in varied if one.key == "name"]
    short = [one.key.removesuffix(".use").rpartition(".")[2] for one in varied]
    words = [
        name if short.count(name) == 1 else one.key.removesuffix(".use")
        for name, one in zip(short, varied, strict=True)
    ]
    found = []
    for index, run in enumerate(comparison.runs):
        values = [said(one.values[index]) for one in varied]
        named = [one.key == "name" or one.key.endswith(".use") for one in varied]  # which say what they are
        each = [
            value if alone else f"{word} {value}" for word, value, alone in zip(words, values, named, strict=True)
        ]
        found.append(", ".join(each[:3]) + ", …" * (len(each) > 3) or run.path.name)
    return [label if found.count(label) == 1 else f"{index + 1}: {label}" for index, label in enumerate(found)]
