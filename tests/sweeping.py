"""Stand-ins for runs of a sweep: processes that leave a run directory at once, and may be told to do worse."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from genlab.sweep.outcome import Outcome
from genlab.sweep.store import TrialFolder

SCRIPT = Path(__file__).parent / "data" / "stand_in_run.py"


class StandIn:
    """Starts a script in place of ``genlab run``, which takes seconds to start.

    Its loss is ``latent + beta + seed / 10``. fails: latents whose run fails; before: it has a run directory.
    lasts: seconds that it takes. Each start adds a line to ``log``.
    """

    def __init__(self, log: Path, *, fails: Sequence[int] = (), before: bool = False, lasts: float = 0.0) -> None:
        self.log, self.fails, self.before, self.lasts = log, fails, before, lasts

    def __call__(self, folder: TrialFolder, outcome: Outcome, device: str) -> list[str]:
        options = [",".join(map(str, self.fails)), str(int(self.before)), str(self.lasts)]
        run = str(outcome.run or "")
        return [sys.executable, "-I", "-S", str(SCRIPT), str(folder.path), run, str(self.log), *options]

    def started(self) -> list[str]:
        """Return the trials that were started, in order."""
        return [line.split()[0] for line in self._lines() if line.endswith("start")]

    def most_at_once(self) -> int:
        """Return how many ran at once, at most."""
        now = most = 0
        for line in self._lines():
            now += 1 if line.endswith("start") else -1
            most = max(most, now)
        return most

    def _lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []
