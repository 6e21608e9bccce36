"""A sweep as it stands, for whoever shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genlab.comparison import compare
from genlab.errors import RunError
from genlab.sweep.outcome import Outcome, read_outcome
from genlab.sweep.store import Spec, SweepFolder
from genlab.sweep.summary import Row, summarise, summary


@dataclass(frozen=True)
class Sweep:
    """A sweep as it stands.

    outcomes: of every trial that there is, in order. signal: the one that ended work on it, if any.
    """

    path: Path
    spec: Spec
    outcomes: Sequence[Outcome]
    signal: int | None = None

    @property
    def rows(self) -> list[Row]:
        """The combinations, the best first."""
        return summarise(self.outcomes, self.spec.metric)

    def summary(self) -> dict[str, object]:
        """Return the content of ``summary.json``."""
        return summary(self.rows, self.spec.metric)

    @property
    def failed(self) -> list[Outcome]:
        """The trials that failed."""
        return [outcome for outcome in self.outcomes if outcome.state == "failed"]

    @property
    def best(self) -> Outcome | None:
        """The completed trial with the lowest metric, if there is one."""
        metric = self.spec.metric
        done = [
            each
            for each in self.outcomes
            if each.state == "completed" and math.isfinite(each.metrics.get(metric, math.nan))
        ]
        return min(done, key=lambda each: each.metrics[metric], default=None)

    @property
    def incomparable(self) -> tuple[str, ...]:
        """Why the metric may not be compared among all completed runs, as ``genlab compare`` says it."""
        runs = [o.digest for o in self.outcomes if o.digest is not None and o.digest.recipe]
        verdicts = compare(runs).verdicts if len(runs) > 1 else ()
        return next((verdict.reasons for verdict in verdicts if verdict.metric == self.spec.metric), ())

    @property
    def total(self) -> int:
        """How many trials there are to be."""
        return max(len(self.outcomes), self.spec.trials * len(self.spec.seeds))

    @property
    def completed(self) -> bool:
        """Whether every trial is."""
        return len(self.outcomes) == self.total and all(each.state == "completed" for each in self.outcomes)


def read_sweep(path: str | Path) -> Sweep:
    """Read a sweep's folder as it stands; raise ``RunError`` if there is no sweep in it."""
    folder = SweepFolder.of(Path(path))
    spec = folder.spec()
    for trial in folder.each():
        if trial.trial().values.keys() != spec.space.keys():
            raise RunError(f"{trial.path / 'trial.json'}: damaged: its values are not of {', '.join(spec.space)}")
    return Sweep(folder.path, spec, [read_outcome(trial, recipe=True) for trial in folder.each()])
