"""What a tracker must do: take metrics elsewhere, and leave the run alone."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch

from genlab.errors import GenlabError
from genlab.interfaces import Tracker
from genlab.testing import parts
from genlab.testing.checking import Failed, Skipped, Suite, check
from genlab.testing.modules import refused_by
from genlab.testing.subject import PartSubject, seed_all

METRICS = {"train/loss": 12.5, "val/loss": 11.25, "val/nll": 9.0, "val/kl": 2.25}
FILES = {"metrics.jsonl": '{"step": 7}\n', "resolved.yaml": "name: x\n"}


class TrackerSubject(PartSubject):
    """A tracker under test. Checks are skipped where it says that something which it needs is not there."""

    kind: ClassVar[str] = "tracker"

    @cached_property
    def absent(self) -> str:
        """What it says is not there; empty if all is."""
        try:
            with self.tracker() as (tracker, _):
                tracker.close()
        except GenlabError as error:
            return str(error) if error.__cause__ is None else ""
        except Exception:
            return ""
        return ""

    @contextmanager
    def tracker(self, step: int = 0) -> Iterator[tuple[Tracker, Path]]:
        """Build it for a run directory that has some files in it, and is removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="genlab-testing-") as name:
            folder = Path(name)
            for file, text in FILES.items():
                (folder / file).write_text(text)
            tracker: Tracker = self.build(folder, step)
            yield tracker, folder

    @contextmanager
    def ready(self, step: int = 0) -> Iterator[tuple[Tracker, Path]]:
        """Do as ``tracker`` does, where all that it needs is there."""
        if self.absent:
            raise Skipped(self.absent)
        with self.tracker(step) as found:
            yield found


@check()
def builds(subject: TrackerSubject) -> None:
    """It can be built for a run directory, or says with a GenlabError what it needs and how to get it."""
    with subject.ready() as (tracker, _), suppress(Exception):
        tracker.close()


@check("builds")
def takes_metrics(subject: TrackerSubject) -> None:
    """It takes the metrics of several evaluations, and of one that has other names."""
    with subject.ready() as (tracker, _):
        for step in (7, 14):
            tracker.log(step, step // 7, dict(METRICS))
        tracker.log(21, 3, {"test/log_prob": -90.0})
        tracker.close()


@check("takes_metrics")
def leaves_metrics_alone(subject: TrackerSubject) -> None:
    """It does not change the metrics that it is given."""
    given = dict(METRICS)
    with subject.ready() as (tracker, _):
        tracker.log(7, 1, given)
        tracker.close()
    if given != METRICS:
        raise Failed(
            expected="metrics that have not changed",
            came=str(given),
            mend="copy them before you pop or rename any",
        )


@check("takes_metrics")
def leaves_the_run_alone(subject: TrackerSubject) -> None:
    """The run's own files are as they were.

    What it writes into the run directory lies in a folder, or under a name, of its own.
    """
    with subject.ready() as (tracker, folder):
        tracker.log(7, 1, dict(METRICS))
        tracker.close()
        changed = [
            n for n, text in FILES.items() if not (folder / n).is_file() or (folder / n).read_text() != text
        ]
    if changed:
        raise Failed(
            expected="the run's files as they were",
            came=f"changed or gone: {', '.join(changed)}",
            mend="write to a folder of your own: folder / 'my_tracker'",
        )


@check("takes_metrics")
def leaves_random_state_alone(subject: TrackerSubject) -> None:
    """It draws nothing from torch's random state: training must not depend on who watches."""
    seed_all(0)
    before = torch.get_rng_state()
    with subject.ready() as (tracker, _):  # it is built under seed 0
        tracker.log(7, 1, dict(METRICS))
        tracker.close()
    if not torch.equal(torch.get_rng_state(), before):
        raise Failed(
            expected="torch's random state as it was",
            came="another one",
            mend="draw names and ids from `secrets` or `uuid`, not from torch",
        )


@check("takes_metrics")
def goes_on_with_a_resumed_run(subject: TrackerSubject) -> None:
    """Built again for a run directory that it has been in, it goes on after the step that it is told.

    What it was given later belongs to a run that was then resumed from there.
    """
    with subject.ready() as (tracker, folder):
        for step in (7, 14, 21):
            tracker.log(step, step // 7, dict(METRICS))
        tracker.close()
        try:
            again: Tracker = subject.build(folder, 14)
            again.log(21, 3, dict(METRICS))
            again.close()
        except Exception as error:
            raise Failed(
                expected="that it goes on after step 14 where it had been at step 21",
                came=refused_by(error),
                mend="open what is there, and pass over or replace what lies after `step`",
            ) from None


@check("builds")
def can_be_closed_at_once(subject: TrackerSubject) -> None:
    """It can be closed before anything was logged, and leaves no thread or file open that would keep the process.

    Training may end before its first evaluation.
    """
    before = set(threading.enumerate())
    with subject.ready() as (tracker, _):
        try:
            tracker.close()
        except Exception as error:
            raise Failed(
                expected="close() without any log() before it",
                came=refused_by(error),
                mend="ask what is open first",
            ) from None
    left = [t.name for t in threading.enumerate() if t not in before and not t.daemon and t.is_alive()]
    if left:
        raise Failed(
            expected="no thread that outlives close()",
            came=", ".join(left),
            mend="join threads in close(), or make them daemons",
        )


CHECKS = (
    parts.registers,
    parts.says_what_it_is,
    builds,
    takes_metrics,
    leaves_metrics_alone,
    leaves_the_run_alone,
    leaves_random_state_alone,
    goes_on_with_a_resumed_run,
    can_be_closed_at_once,
    parts.options_survive_a_recipe,
    parts.schema_accepts_its_options,
)
TRACKER = Suite("tracker", TrackerSubject, CHECKS)
