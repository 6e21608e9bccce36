"""What became of a trial, read from its run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from genlab.errors import GenlabError
from genlab.runfiles import State, Status
from genlab.runs import RunDirectory
from genlab.sweep.store import Trial, TrialFolder

COMMAND = "$ "  # begins the line of a trial's output that says what was started


@dataclass(frozen=True)
class Outcome:
    """What is known of a trial.

    run: its run directory, once there is one. epoch: the last that was evaluated. metrics: of the best epoch.
    seconds: of training and evaluation. cause: why it failed.
    """

    trial: Trial
    state: State | Literal["waiting"]
    run: Path | None = None
    epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    cause: str = ""


def read_outcome(folder: TrialFolder) -> Outcome:
    """Read what became of a trial: of its completed run, else of its newest.

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
    rows = _rows(run.path / "metrics.jsonl")
    return Outcome(
        trial,
        status.status,
        run=run.path,
        epoch=int(rows[-1].get("epoch", 0)) if rows else 0,
        metrics=status.best,
        seconds=sum(row.get("seconds", 0.0) for row in _rows(run.path / "timing.jsonl")),
        cause=_failure(folder, status),
    )


def _failure(folder: TrialFolder, status: Status) -> str:
    if status.status != "failed":
        return ""
    return status.message or _cause(folder) or "no message"


def _cause(folder: TrialFolder) -> str:
    """Return what the trial's last process said in the end: its error, or else its last line."""
    try:
        lines = folder.output.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    last = max((i for i, line in enumerate(lines) if line.startswith(COMMAND)), default=-1)
    said = [line.strip() for line in lines[last + 1 :] if line.strip()]
    errors = [line for line in said if line.startswith("error: ")]
    return (errors or said or [""])[-1].removeprefix("error: ")


def _rows(path: Path) -> list[dict[str, float]]:
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError):
        return []
