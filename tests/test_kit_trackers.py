"""The checks of trackers, on some that are wrong in one way or another, and on others that are not."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from genlab import Tracker
from genlab.testing import check_tracker

Metrics = Mapping[str, float]


class Lines(Tracker):
    """A line of JSON for each evaluation; what is void is left out."""

    def __init__(self, folder: Path, step: int) -> None:
        self.folder, self.path = folder, folder / "lines.jsonl"
        there = self.path.read_text().splitlines() if self.path.exists() else []
        self.path.write_text("".join(f"{line}\n" for line in there if json.loads(line)["step"] <= step))

    def log(self, step: int, epoch: int, metrics: Metrics) -> None:
        """Add one."""
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")


class Anew(Lines):
    """Begins its file anew."""

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__(folder, 0)


class Twice(Lines):
    """Leaves standing what is void."""

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__(folder, 1_000_000)


class Done(Lines):
    """Takes what it has seen before for known."""

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__(folder, 1_000_000)
        self.resumed = step > 0

    def log(self, step: int, epoch: int, metrics: Metrics) -> None:
        if not self.resumed:
            super().log(step, epoch, metrics)


class Exclusive(Lines):
    """Insists on a folder that is not there yet."""

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__(folder, step)
        (folder / "exclusive").mkdir()


class Seeds(Lines):
    """Seeds Python's random numbers, and numpy's."""

    def log(self, step: int, epoch: int, metrics: Metrics) -> None:
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        super().log(step, epoch, metrics)


class SeedsAtOnce(Lines):
    """Seeds Python's random numbers when it is built."""

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__(folder, step)
        random.seed(0)


class Moves(Lines):
    """Changes the current directory."""

    def log(self, step: int, epoch: int, metrics: Metrics) -> None:
        os.chdir(self.folder.parent)
        super().log(step, epoch, metrics)


class Whole(Lines):
    """Has no place for what is no number."""

    def log(self, step: int, epoch: int, metrics: Metrics) -> None:
        super().log(step, epoch, {name: value + 0 * int(value) for name, value in metrics.items()})


class Intrudes(Lines):
    """Writes where checkpoints are."""

    def log(self, step: int, epoch: int, metrics: Metrics) -> None:
        (self.folder / "checkpoints" / "step").write_text(str(step))


@pytest.mark.parametrize(
    ("cls", "failed", "said"),
    [
        (Anew, "goes_on_with_a_resumed_run", "step 7 is gone"),
        (Twice, "goes_on_with_a_resumed_run", "step 21 twice"),
        (Done, "goes_on_with_a_resumed_run", "and not after"),
        (Exclusive, "goes_on_with_a_resumed_run", "FileExistsError"),
        (Seeds, "leaves_the_process_alone", "numpy's random state"),
        (SeedsAtOnce, "leaves_the_process_alone", "Python's random state"),
        (Moves, "leaves_the_process_alone", "the current directory"),
        (Whole, "takes_metrics", "cannot convert float"),
        (Intrudes, "leaves_the_run_alone", "checkpoints/step"),
    ],
)
def test_a_tracker_that_is_no_mere_onlooker_is_found(cls: type, failed: str, said: str) -> None:
    here = Path.cwd()
    (found,) = check_tracker(cls).outcome("failed")
    assert found.name == failed
    assert said in found.message
    assert Path.cwd() == here


class Sessions(Lines):
    """A file for each time that training went on, as TensorBoard has them."""

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / f"after-{step}.jsonl"


class Table(Tracker):
    """A data base."""

    def __init__(self, folder: Path, step: int) -> None:
        self.base = sqlite3.connect(folder / "metrics.sqlite")
        self.base.execute("create table if not exists metrics (step int, name text, value real)")
        self.base.execute("delete from metrics where step > ?", (step,))

    def log(self, step: int, epoch: int, metrics: Metrics) -> None:
        """Add rows."""
        self.base.executemany("insert into metrics values (?, ?, ?)", [(step, *item) for item in metrics.items()])
        self.base.commit()

    def close(self) -> None:
        """Close it."""
        self.base.close()


class Nowhere(Tracker):
    """Takes metrics to where no file is."""

    def __init__(self, folder: Path, step: int) -> None:
        self.last = step

    def log(self, step: int, epoch: int, metrics: Metrics) -> None:
        """Remember the step."""
        self.last = step


@pytest.mark.parametrize("cls", [Lines, Sessions, Table, Nowhere])
def test_others_pass(cls: type) -> None:
    check_tracker(cls).raise_if_failed()
