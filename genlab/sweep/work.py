"""The loop that starts trials, so many at once, until there is none left to start."""

from __future__ import annotations

import json
import logging
import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from genlab.errors import RecipeError, RunError
from genlab.interfaces import Search
from genlab.space import Json
from genlab.sweep.children import Child, Command, claim, start
from genlab.sweep.outcome import Outcome, read_outcome
from genlab.sweep.plan import Combination
from genlab.sweep.reading import Sweep
from genlab.sweep.store import Spec, SweepFolder, TrialFolder
from genlab.train.signals import StopRequest
from genlab.wording import suggest

log = logging.getLogger(__name__)

TICK = 0.1  # seconds from one look at the children to the next
LOOK = 1.0  # seconds from one look at trials that other processes are at to the next
ALIKE = 100  # proposals in a row that were tried before, after which a search has nothing new


class Watcher:
    """Hears how a sweep goes on; does nothing.

    watches: it shows the trials under way, whose files are then read once a second.
    """

    watches = False

    def on_start(self, sweep: Sweep) -> None:
        """Work begins on a sweep, which may have been worked on before."""

    def on_finish(self, outcome: Outcome, done: int, total: int) -> None:
        """A trial of this process has ended, one way or another; ``done`` of ``total`` have, whosever."""

    def on_tick(self, running: Sequence[Outcome], done: int, total: int) -> None:
        """If ``watches``, once a second and at each change: which trials of this process are under way."""


@dataclass
class Proposals:
    """Where a search by results gets its next trials from.

    resolve: makes a combination of values. limit: how many combinations there may be.
    """

    search: Search
    resolve: Callable[[Mapping[str, Json]], Combination]
    limit: int


@dataclass
class Work:
    """One process's share of a sweep. Any number of processes may work on one: each trial has a lock.

    jobs: how many trials at once. proposals: None if every trial is there already. stop: ends the work early.
    """

    folder: SweepFolder
    spec: Spec
    jobs: int
    device: str
    command: Command
    watcher: Watcher
    stop: StopRequest
    proposals: Proposals | None = None
    children: dict[int, Child] = field(default_factory=dict)
    over: dict[int, Outcome] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)
    exhausted: bool = False
    began: float = field(default_factory=time.time)
    shown: float = -math.inf
    under_way: tuple[int, ...] = ()

    def run(self) -> dict[int, Outcome]:
        """Work until every trial is completed or has failed once, or until told to stop; return those that are.

        A trial that another process is at is waited for, and taken over if that one dies.
        """
        self._take_up()
        try:
            while True:
                self._reap()
                if self.stop:
                    break
                while len(self.children) < self.jobs and self._start_next():
                    pass
                if not self.children and self._all_over():
                    break
                self._show()
                time.sleep(TICK if self.children else LOOK)
            self._stop_children()
        finally:
            for child in self.children.values():
                child.end()
        return self.over

    def _take_up(self) -> None:
        """Finish what a crash left half-written; tell the search what is known."""
        if self.proposals is None:
            return
        with self.folder.proposing():
            for number, values in self._combinations().items():
                self.folder.write(self.proposals.resolve(values), number)
        for number in self._combinations():
            self._tell(number)

    def _start_next(self) -> bool:
        """Start a trial that waits, or one that the search asks for; return whether there was one."""
        for folder in self.folder.each():
            if folder.number in self.over or folder.number in self.children:
                continue
            claimed = claim(folder)
            if claimed is None:
                continue
            outcome = read_outcome(folder)
            if outcome.state == "completed" or self._tried(folder, outcome):
                claimed[0].close()
                self._settle(outcome)
                continue
            with ExitStack() as undo:
                undo.push(claimed[0])
                folder.write_recipe()
                arguments = self.command(folder, outcome, self.device)
                self.children[folder.number] = start(folder, arguments, *claimed, self.jobs)
                undo.pop_all()
            return True
        return self._propose() and self._start_next()

    def _tried(self, folder: TrialFolder, outcome: Outcome) -> bool:
        """Whether another process has seen a trial fail since this one began: once is enough."""
        return outcome.state == "failed" and folder.output.exists() and folder.output.stat().st_mtime > self.began

    def _propose(self) -> bool:
        """Write the trials of one more combination, if there may be one."""
        if self.proposals is None or self.exhausted:
            return False
        with self.folder.proposing():
            known = self._combinations()
            if len(known) >= self.proposals.limit:
                self.exhausted = True
                return False
            tried = {json.dumps(values, sort_keys=True): number for number, values in known.items()}
            for _ in range(ALIKE):
                values = self.proposals.search.ask()
                if values is None:
                    break
                number = tried.get(json.dumps(dict(values), sort_keys=True))
                if number is not None:
                    self._tell(number, again=True)  # no two trials are the same
                    continue
                try:
                    combination = self.proposals.resolve(values)
                except RecipeError as error:  # values that are right one by one, but not together
                    log.warning("left out: %s", error)
                    self.proposals.search.tell(values, None)
                    continue
                self.folder.write(combination, max(known, default=-1) + 1)
                return True
            self.exhausted = True
        return False

    def _combinations(self) -> dict[int, dict[str, Json]]:
        trials = [folder.trial() for folder in self.folder.each()]
        return {trial.combination: trial.values for trial in trials}

    def _reap(self) -> None:
        for number, child in list(self.children.items()):
            code = child.process.poll()
            if code is None:
                continue
            del self.children[number]
            outcome = read_outcome(child.folder)
            child.lock.close()
            if self.stop and outcome.state != "completed":
                continue  # it stopped because it was told to
            if outcome.state not in ("completed", "failed"):
                outcome = replace(outcome, state="failed", cause=_ended(code))
            self._settle(outcome)
            taken = time.monotonic() - child.started  # not of training alone, as the outcome has it
            self.watcher.on_finish(replace(outcome, seconds=taken), *self._count())

    def _settle(self, outcome: Outcome) -> None:
        self.over[outcome.trial.number] = outcome
        if outcome.state == "completed" and self.spec.metric not in outcome.metrics:
            names = list(outcome.metrics)
            raise RunError(
                f"metric {self.spec.metric!r}: no run has it; {suggest(self.spec.metric, names)}"
                f"there are {', '.join(names)}"
            )
        self._tell(outcome.trial.combination)

    def _tell(self, combination: int, *, again: bool = False) -> None:
        """Tell the search about a combination once all its trials are over; ``again`` if it asks for it again."""
        if self.proposals is None or (combination in self.told and not again):
            return
        count = len(self.spec.seeds)
        numbers = range(combination * count, (combination + 1) * count)
        each = {folder.number: folder for folder in self.folder.each()}
        outcomes = [self.over.get(number) or read_outcome(each[number]) for number in numbers]
        completed = all(outcome.state == "completed" for outcome in outcomes)
        if completed or again or all(number in self.over for number in numbers):
            losses = [outcome.metrics[self.spec.metric] for outcome in outcomes] if completed else None
            self.proposals.search.tell(outcomes[0].trial.values, sum(losses) / count if losses else None)
            self.told.add(combination)

    def _all_over(self) -> bool:
        """Whether no trial waits, here or elsewhere, and none will come."""
        known = self.folder.each()
        return all(folder.number in self.over for folder in known)

    def _count(self) -> tuple[int, int]:
        """Return how many trials are over and how many there are to be."""
        if self.proposals is None or self.exhausted:
            return len(self.over), len(self.folder.each())
        return len(self.over), self.proposals.limit * len(self.spec.seeds)

    def _show(self) -> None:
        """Have a watcher show what is under way: reading it takes longer than all else that a tick does."""
        now = (*self.children, len(self.over))
        if self.watcher.watches and (now != self.under_way or time.monotonic() - self.shown >= LOOK):
            self.watcher.on_tick([self._running(child) for child in self.children.values()], *self._count())
            self.shown, self.under_way = time.monotonic(), now

    def _running(self, child: Child) -> Outcome:
        return replace(read_outcome(child.folder), state="running", seconds=time.monotonic() - child.started)

    def _stop_children(self) -> None:
        for child in self.children.values():
            child.ask_to_stop()
        while self.children:
            self._reap()
            time.sleep(TICK)


def _ended(code: int) -> str:
    """Say how a process ended that left no run with a reason."""
    if code < 0:
        known = {each.value: each.name for each in signal.Signals}
        return f"its process was ended by {known.get(-code, f'signal {-code}')}"
    return f"its process ended with exit code {code} and left no completed run"
