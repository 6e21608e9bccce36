"""What a tracker must do: take metrics elsewhere, and leave the run alone."""

from __future__ import annotations

import contextlib
import math
import re
import struct
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from genlab.errors import GenlabError
from genlab.interfaces import Tracker
from genlab.testing import parts
from genlab.testing.checking import Failed, Skipped, Suite, check
from genlab.testing.modules import refused_by
from genlab.testing.subject import PartSubject, random_states, seed_all

METRICS = {"train/loss": 12.5, "val/loss": 11.25, "val/nll": 9.0, "val/kl": 2.25}
FIRST, SECOND, VOID, LATER = 6131.5, 6132.5, 6133.5, 6134.5  # losses that can be found again in files
NUMBER = re.compile(rb"(?<![\w.])\d+\.\d+(?:e[+-]?\d+)?(?![\w.])")
SEED = 20_311  # that no tracker sets
FILES = {
    "metrics.jsonl": '{"step": 7}\n', "timing.jsonl": '{"step": 7}\n', "resolved.yaml": "name: x\n",
    "recipe.yaml": "name: x\n", "origins.json": "{}", "env.json": "{}", "status.json": "{}", "log.txt": "1\n",
    "checkpoints/last/state.json": "{}", "model/config.json": "{}", "plots/loss.png": "", "report.html": "<html>",
}  # fmt: skip


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
        with contextlib.chdir(Path.cwd()), tempfile.TemporaryDirectory(prefix="genlab-testing-") as name:
            folder = Path(name)
            for file, text in FILES.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_text(text)
            tracker: Tracker = self.build(folder, step, seed=SEED)
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
    """It takes the metrics of several evaluations, of one with other names, and numbers that are not finite.

    Training ends where the loss is none, but another metric may be infinite, or not a number.
    """
    with subject.ready() as (tracker, _):
        for step in (7, 14):
            tracker.log(step, step // 7, dict(METRICS))
        tracker.log(21, 3, {"test/log_prob": -90.0, "val/kl": math.inf, "val/nll": math.nan})
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
    """The run's own files and folders are as they were.

    What it writes into the run directory lies in a folder, or under a name, of its own.
    """
    with subject.ready() as (tracker, folder):
        tracker.log(7, 1, dict(METRICS))
        tracker.close()
        own = {Path(name).parts[0] for name in FILES}
        there = {name: content for name, content in written(folder).items() if Path(name).parts[0] in own}
    changed = [name for name in FILES | there if name not in FILES or there.get(name) != FILES[name].encode()]
    if changed:
        raise Failed(
            expected="the run's files as they were",
            came=f"changed, added or gone: {', '.join(changed)}",
            mend="write to a folder of your own: folder / 'my_tracker'",
        )


def written(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder's files, by their paths in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@check("takes_metrics")
def leaves_the_process_alone(subject: TrackerSubject) -> None:
    """The random state of torch, numpy and Python is as it was, and so is the current directory.

    Training must not depend on who watches.
    """
    seed_all(SEED)
    before, here = random_states(), Path.cwd()
    with subject.ready() as (tracker, _):  # it is built under that seed
        tracker.log(7, 1, dict(METRICS))
        tracker.close()
        changed = [f"{name}'s random state" for name, now in random_states().items() if now != before[name]]
        changed += ["the current directory"] if Path.cwd() != here else []
    if changed:
        raise Failed(
            expected=f"{changed[0]} as it was",
            came="another one",
            mend="draw names and ids from `secrets` or `uuid`, and open files by their whole paths",
        )


@check("takes_metrics")
def goes_on_with_a_resumed_run(subject: TrackerSubject) -> None:
    """Built again for a run directory that it has been in, it goes on after the step that it is told.

    What it wrote up to there stays. What it wrote later belongs to a run that was then resumed from there: a text
    that it goes on with has it no more. Both are seen in files in the run directory that have the numbers that it
    was given, as text or as floats.
    """
    with subject.ready() as (tracker, folder):
        for step, loss in ((7, FIRST), (14, SECOND), (21, VOID)):
            tracker.log(step, step // 7, {**METRICS, "val/loss": loss})
        tracker.close()
        before = list(written(folder).values())
        try:
            again: Tracker = subject.build(folder, 14)
            again.log(21, 3, {**METRICS, "val/loss": LATER})
            again.close()
            came = _not_gone_on(before, list(written(folder).values()))
        except Exception as error:
            came = refused_by(error)
    if came:
        raise Failed(
            expected="that it goes on after step 14 where it had been at step 21",
            came=came,
            mend="open what is there, and keep it up to `step`; leave out or replace what lies beyond",
        )


def _not_gone_on(before: Sequence[bytes], after: Sequence[bytes]) -> str:
    """Say what is wrong with the files of a resumed tracker; nothing if they are as they should be."""

    def had(loss: float) -> bool:
        return any(_holds(content, loss) for content in before)

    def has(loss: float) -> bool:
        return any(_holds(content, loss) for content in after)

    for step, loss in ((7, FIRST), (14, SECOND)):
        if had(loss) and not has(loss):
            return f"what it had written of step {step} is gone"
    if had(VOID) and not has(LATER):
        return "it wrote step 21 before it was resumed, and not after"
    twice = any(_holds(text, VOID) and _holds(text, LATER) for text in after if b"\0" not in text)
    return "a text has step 21 twice, as it was before and after" if twice else ""


def _holds(content: bytes, loss: float) -> bool:
    """Whether a file has a number in it, as text or as bytes."""
    texts = any(float(number) == loss for number in NUMBER.findall(content))
    return texts or any(struct.pack(form, loss) in content for form in ("<f", "<d", ">d"))


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
    leaves_the_process_alone,
    goes_on_with_a_resumed_run,
    can_be_closed_at_once,
    parts.options_survive_a_recipe,
    parts.schema_accepts_its_options,
)
TRACKER = Suite("tracker", TrackerSubject, CHECKS)
