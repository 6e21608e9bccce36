"""The rounds of a benchmark: every combination once a round, in an order drawn anew, until enough is known."""

from __future__ import annotations

import hashlib
import json
import math
import random
import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from genlab.bench.children import Answer, Caches, caches, measured
from genlab.bench.findings import Findings
from genlab.bench.folders import TRACE
from genlab.bench.plan import ALL, Plan, Wanted, plan
from genlab.bench.result import (
    BenchError,
    Combination,
    Ended,
    Profile,
    Protocol,
    RecipeFacts,
    Result,
    Skipped,
    write_result,
)
from genlab.bench.summary import Gathered
from genlab.bench.tasks import Done, Failed, Profiled, Task
from genlab.errors import Interrupted
from genlab.files import explained
from genlab.folders import runs_root
from genlab.opening import open_recipe
from genlab.overrides import Overrides, overrides_of
from genlab.recipe import Recipe
from genlab.selection import selected

FAILURES = 2  # of a combination, after which it is tried no more
COUNTED = ("train", "sample", "encode", "eval")  # what agrees or not, and does arithmetic


@dataclass(frozen=True)
class Options:
    """How long and how often; ``docs/bench.md`` says why these."""

    processes: int = 7
    most: int = 15
    bound: float = 0.05
    limit: float = 300.0
    windows: int = 10
    window_seconds: float = 0.15
    warm_up_seconds: float = 5.0
    threads: int | None = None
    agreement_steps: int = 100
    quality: float | None = None
    seed: int = 0


class Watcher:
    """Hears how a benchmark goes on; does nothing."""

    def on_start(self, made: Plan, recipe: RecipeFacts, limit: float, output: Path) -> None:
        """Measuring begins."""

    def on_stage(self, combination: Combination, number: int, stage: str) -> None:
        """The process of a combination in a round, counted from 1, is at something else."""

    def on_process(self, gathered: Gathered, number: int, failure: str) -> None:
        """A process of a combination has ended; failure: why it measured nothing."""


def bench(
    ref: str | Path,
    overrides: Overrides | None = None,
    *,
    wanted: Wanted | None = None,
    options: Options | None = None,
    output: Path | None = None,
    command: str = "",
    watcher: Watcher | None = None,
) -> Result:
    """Measure a recipe in every wanted combination; write the result after each process, and return it.

    output: by default a new file under ``runs/bench/<name>/``. Ctrl-C ends it with what was measured, ``ended``
    then being "interrupted"; ``Interrupted`` is raised if nothing was. Raises ``GenlabError`` for every mistake
    in the input, and ``BenchError`` if no combination could be measured.
    """
    chosen = options or Options()
    if chosen.quality is not None and not math.isfinite(chosen.quality):
        raise BenchError(f"--quality {chosen.quality:g}: a finite val/loss is expected, as in 150")

    def planned(recipe: Recipe) -> Plan:
        return plan(recipe, wanted or Wanted(), quality=chosen.quality is not None)

    return _opened(ref, overrides, planned, chosen, output, command, watcher).run()


def profile(
    ref: str | Path,
    overrides: Overrides | None = None,
    *,
    wanted: Wanted | None = None,
    options: Options | None = None,
    output: Path | None = None,
    command: str = "",
    watcher: Watcher | None = None,
) -> Result:
    """Profile a recipe in each wanted combination, once: a trace each beside the result, and its largest costs.

    Where neither precision nor runner is chosen, they are the recipe's own, and ``auto`` is eager. Ends and raises
    as ``bench`` does.
    """

    def planned(recipe: Recipe) -> Plan:
        own, asked = recipe.train, wanted or Wanted()
        if {*asked.precisions, *asked.runners} == {ALL}:
            runner = "eager" if own.runner == "auto" else own.runner
            asked = replace(asked, precisions=(own.precision,), runners=(runner,))
        return plan(recipe, asked)

    return _opened(ref, overrides, planned, options or Options(), output, command, watcher).profile()


def _opened(
    ref: str | Path,
    overrides: Overrides | None,
    planned: Callable[[Recipe], Plan],
    options: Options,
    output: Path | None,
    command: str,
    watcher: Watcher | None,
) -> _Work:
    """Find every mistake in the input before anything is measured."""
    recipe = open_recipe(ref, overrides).recipe
    made = planned(recipe)
    facts = facts_of(recipe, " ".join([str(ref), *map(str, overrides_of(overrides))]))
    return _Work(facts, made, options, _writable(output or new_output(recipe.name)), command, watcher or Watcher())


def _writable(path: Path) -> Path:
    """Refuse now what could not be written once something has been measured."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    if path.exists() and not path.is_file():
        raise BenchError(f"{path}: not a file; choose another name")
    return path


def facts_of(recipe: Recipe, ref: str) -> RecipeFacts:
    """Say which recipe is measured. The hash is the same for recipes that differ in what they are called alone."""
    resolved = recipe.written()
    decisive = {key: value for key, value in resolved.items() if key not in ("name", "description")}
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return RecipeFacts(name=recipe.name, ref=ref, sha256=digest, resolved=resolved)


def new_output(name: str) -> Path:
    """Return where a result goes that nobody named a file for."""
    return runs_root() / "bench" / name / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}.json"


@dataclass
class _Work:
    """A benchmark under way."""

    facts: RecipeFacts
    made: Plan
    options: Options
    path: Path
    command: str
    watcher: Watcher
    order: list[list[str]] = field(default_factory=list)
    durations: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.gathered = [Gathered(combination) for combination in self.made.combinations]
        self.findings = Findings(self.facts, self.made, self.command)

    def run(self) -> Result:
        """Go through the rounds."""
        self._begin()
        with caches() as folders:
            ended = self._rounds(folders)
        if not any(each.processes for each in self.gathered):
            if ended == "interrupted":
                raise Interrupted("interrupted before anything was measured; nothing is kept", signal.SIGINT)
            reasons = "\n".join(f"  {each.combination.label}: {each.failures[0]}" for each in self.gathered)
            raise BenchError(f"no combination could be measured:\n{reasons}")
        return self._write(ended)

    def profile(self) -> Result:
        """Profile each combination once."""
        self._begin()
        found: list[Profile | Skipped] = []
        with caches() as folders:
            ended = self._profiles(folders, found)
        profiles = [each for each in found if isinstance(each, Profile)]
        failures = [each for each in found if isinstance(each, Skipped)]
        if not profiles and ended == "interrupted":
            raise Interrupted("interrupted before anything was profiled; nothing is kept", signal.SIGINT)
        if not profiles:
            raise BenchError("\n".join(f"{each.combination.label}: {each.reason}" for each in failures))
        self.gathered = []
        self.made.skipped += failures
        return self._write(ended, profiles)

    def _profiles(self, folders: Caches, done: list[Profile | Skipped]) -> Ended:
        try:
            for each in self.gathered:
                if done and time.monotonic() - self.began > self.options.limit:
                    return "time limit"
                found = self._one_profile(each, folders)
                done.append(found)
                self.watcher.on_process(each, 1, "" if isinstance(found, Profile) else found.reason)
        except KeyboardInterrupt:
            return "interrupted"
        return "complete"

    def _one_profile(self, each: Gathered, folders: Caches) -> Profile | Skipped:
        wanted = each.combination
        name = f"{self.path.stem}-{wanted.label.replace(' ', '-').replace(':', '')}{TRACE}"
        task = self._task(each, 0).model_copy(update={"trace": str(self.path.parent / name)})
        answer = None
        try:
            answer = self._ask(task, folders)
        finally:
            if not isinstance(answer, Profiled):
                (self.path.parent / name).unlink(missing_ok=True)  # half a trace
        if isinstance(answer, Profiled):
            self.findings.know(answer.about)
            return Profile(combination=wanted, steps=answer.steps, costs=answer.costs, trace=name)
        reason = answer.reason if isinstance(answer, Failed) else "it was not profiled"
        return Skipped(combination=wanted, reason=reason)

    def _write(self, ended: Ended, profiles: Sequence[Profile] = ()) -> Result:
        result = self.findings.result(self.gathered, self._protocol(), ended, profiles)
        write_result(self.path, result)
        return result

    def _protocol(self) -> Protocol:
        options = self.options
        return Protocol(
            seed=options.seed,
            processes=options.processes,
            most_processes=options.most,
            bound=options.bound,
            limit_seconds=options.limit,
            windows=options.windows,
            window_seconds=options.window_seconds,
            warm_up_seconds=options.warm_up_seconds,
            threads=options.threads,
            agreement_steps=options.agreement_steps,
            quality_target=options.quality,
            order=[labels for labels in self.order if labels],
        )

    def _begin(self) -> None:
        self.watcher.on_start(self.made, self.facts, self.options.limit, self.path)

    def _rounds(self, folders: Caches) -> Ended:
        draw = random.Random(self.options.seed)
        number = 0
        try:
            while active := [each for each in self.gathered if self._wants_more(each)]:
                self.order.append([])
                for each in draw.sample(active, len(active)):
                    if number and self._late(each.combination):
                        return "time limit"
                    self._one(each, number, folders)
                number += 1
        except KeyboardInterrupt:
            return "interrupted"
        return "complete"

    def _wants_more(self, each: Gathered) -> bool:
        done = len(each.processes)
        if len(each.failures) >= FAILURES or done >= self.options.most:
            return False
        if done and not each.seconds and done >= FAILURES:
            return False  # no training reaches the quality
        return done < self.options.processes or not each.narrow(self.options.bound)

    def _late(self, combination: Combination) -> bool:
        """Whether another process would end after the limit."""
        passed = time.monotonic() - self.began
        return passed + self.durations.get(combination.label, 0.0) > self.options.limit

    def _one(self, each: Gathered, number: int, folders: Caches) -> None:
        self.order[-1].append(each.combination.label)
        task = self._task(each, number)
        answer = self._ask(task, folders)
        if isinstance(answer, Done):
            each.take(answer)
            self.findings.learn(answer)
            # Less what the first process alone does, once it has measured.
            self.durations[each.combination.label] = answer.process.after.clock - task.spawned
            self.watcher.on_process(each, number + 1, "")
        else:
            reason = answer.reason if isinstance(answer, Failed) else "it measured nothing"
            mended = isinstance(answer, Failed) and answer.mended
            each.failures.extend([reason] * (FAILURES if mended else 1))
            self.watcher.on_process(each, number + 1, reason)
        if any(other.processes for other in self.gathered):
            self._write("interrupted")  # which is what it is if this process is killed

    def _ask(self, task: Task, folders: Caches) -> Answer:
        combination = task.combination
        return measured(
            task,
            folders.variables(combination.label),
            lambda stage: self.watcher.on_stage(combination, task.round + 1, stage),
        )

    def _task(self, each: Gathered, number: int) -> Task:
        wanted, options = each.combination, self.options
        first = not each.processes and wanted.what in COUNTED
        known = [(peak.device, peak.precision) for peak in self.findings.peaks]
        plugins = selected()
        return Task(
            recipe=self.facts.resolved,
            no_plugins=plugins.none,
            plugin_files=plugins.files,
            combination=wanted,
            round=number,
            spawned=time.monotonic(),
            threads=options.threads,
            windows=options.windows,
            window_seconds=options.window_seconds,
            warm_up_seconds=options.warm_up_seconds,
            cache="filled" if each.processes or each.failures else "empty",
            agreement_steps=options.agreement_steps if first else 0,
            roofline=first,
            peaks=first and (wanted.device, wanted.precision) not in known,
            quality_target=options.quality,
            # The first has all of it: which one comes first is drawn.
            seconds_left=max(1.0, options.limit - (time.monotonic() - self.began) * bool(number)),
        )
