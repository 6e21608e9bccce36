"""What became of a trial, read from its run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from genlab.digest import Digest, digest
from genlab.errors import GenlabError
from genlab.runfiles import State, Status, read_text
from genlab.runs import RunDirectory
from genlab.sweep.store import Trial, TrialFolder

COMMAND = "$ "  # begins the line of a trial's output that says what was started


@dataclass(frozen=True)
class Outcome:
    """What is known of a trial.

    run: its run directory, once there is one. epoch: the last that was evaluated. metrics: of the best epoch.
    seconds: of training and evaluation. cause: why it failed. digest: of its run.
    """

    trial: Trial
    state: State | Literal["waiting"]
    run: Path | None = None
    epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    cause: str = ""
    digest: Digest | None = field(default=None, repr=False)


def read_outcome(folder: TrialFolder, *, recipe: bool = False) -> Outcome:
    """Read what became of a trial: of its completed run, else of its newest; its recipe too if asked for.

    One that ended before it had a run directory has failed if its process left a message.
    """
    trial = folder.trial()
    runs = []
    for path in folder.path.glob("*/*/status.json"):
        with suppress(GenlabError):  # being written, or damaged: as if it were not there
            run = RunDirectory(path.parent)
            runs.append((run.status(), run))
    if not runs:
        cause = _cause(folder)
        return Outcome(trial, "failed" if cause else "waiting", cause=cause)
    status, run = max(runs, key=lambda found: (found[0].status == "completed", found[0].started))
    found = digest(run.path, recipe=recipe)
    return Outcome(
        trial,
        status.status,
        run=run.path,
        epoch=found.epochs,
        metrics=found.best,
        seconds=found.seconds or 0.0,
        cause=_failure(folder, status),
        digest=found,
    )


def _failure(folder: TrialFolder, status: Status) -> str:
    if status.status != "failed":
        return ""
    return status.message or _cause(folder) or "no message"


def _cause(folder: TrialFolder) -> str:
    """Return what the trial's last process said in the end: its error, or else its last line."""
    lines = read_text(folder.output, folder.path, tail=True).splitlines()
    last = max((i for i, line in enumerate(lines) if line.startswith(COMMAND)), default=-1)
    said = [line.strip() for line in lines[last + 1 :] if line.strip()]
    if said and Path(said[-1]).is_relative_to(folder.path):
        return ""  # its run, which ended well: somebody has removed it
    errors = [line for line in said if line.startswith("error: ")]
    return (errors or said or [""])[-1].removeprefix("error: ")
