"""What a schedule must do: a factor on the learning rate."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import ClassVar

from genlab.interfaces import Schedule
from genlab.testing import parts
from genlab.testing.checking import Failed, Suite, check
from genlab.testing.modules import refused_by
from genlab.testing.subject import PartSubject

STEPS = 100
History = list[Mapping[str, float]]


class ScheduleSubject(PartSubject):
    """A schedule under test."""

    kind: ClassVar[str] = "schedule"

    def schedule(self) -> Schedule:
        """Build it."""
        schedule: Schedule = self.build()
        return schedule


def history(step: int) -> History:
    """Return evaluations after every tenth of ``STEPS``, a loss that falls and then stays."""
    return [
        {"train/loss": 10.0 / (i + 1), "val/loss": max(3.0, 10.0 / (i + 1)), "val/nll": 2.0, "val/kl": 1.0}
        for i in range(step // 10)
    ]


@check()
def builds(subject: ScheduleSubject) -> None:
    """It can be built."""
    subject.schedule()


def _factor(schedule: Schedule, step: int, steps: int, past: History) -> float:
    try:
        found: object = schedule.factor(step, steps, past)
    except Exception as error:
        found = refused_by(error)
    if not isinstance(found, int | float) or isinstance(found, bool) or not math.isfinite(found) or found < 0:
        raise Failed(
            expected=f"a finite number, 0 or more, for step {step} of {steps} after {len(past)} evaluations",
            came=repr(found) if not isinstance(found, str) else found,
            mend="return a float: 1.0 is the optimizer's own rate; steps - 1 may be 0",
        )
    return float(found)


@check("builds")
def is_a_factor(subject: ScheduleSubject) -> None:
    """At every step of training, before and after evaluations, it is a finite number, 0 or more."""
    for step in range(STEPS):
        _factor(subject.schedule(), step, STEPS, history(step))


@check("is_a_factor")
def bears_short_training(subject: ScheduleSubject) -> None:
    """It has a factor for training of one step, and for a step beyond the last.

    `train.max_steps=1` is a rehearsal; a run that is resumed for longer was told fewer steps before.
    """
    for step, steps in ((0, 1), (0, 2), (1, 2), (STEPS, STEPS), (3 * STEPS, STEPS)):
        _factor(subject.schedule(), step, steps, history(step))


@check("is_a_factor")
def moves_the_rate_at_some_step(subject: ScheduleSubject) -> None:
    """It is above 0 at some step: a model would not learn otherwise."""
    schedule = subject.schedule()
    if not any(_factor(schedule, step, STEPS, history(step)) > 0 for step in range(STEPS)):
        raise Failed(
            expected=f"a factor above 0 somewhere in {STEPS} steps",
            came="0 throughout",
            mend="divide by floats, and count from the step that follows `step` others",
        )


@check("is_a_factor")
def depends_on_its_arguments_alone(subject: ScheduleSubject) -> None:
    """Asked anew, or in another order, it answers the same.

    A resumed run asks a new schedule from the middle on.
    """
    old = subject.schedule()
    for step in range(STEPS):
        _factor(old, step, STEPS, history(step))
    for step in (90, 5, 40, 5):
        wanted = _factor(subject.schedule(), step, STEPS, history(step))
        found = _factor(old, step, STEPS, history(step))
        if found != wanted:
            raise Failed(
                expected=f"{wanted:.6g} at step {step}, as a new schedule says",
                came=f"{found:.6g} from one that was asked about other steps before",
                mend="compute the factor from step, steps and history; keep nothing between calls",
            )


@check("is_a_factor")
def leaves_the_history_alone(subject: ScheduleSubject) -> None:
    """It does not change the metrics that it is shown."""
    past = history(50)
    before = copy.deepcopy(past)
    _factor(subject.schedule(), 50, STEPS, past)
    if past != before:
        raise Failed(
            expected="a history that has not changed",
            came=f"{len(past)} evaluations where there were {len(before)}, or other numbers in them",
            mend="copy before you sort, pop or append",
        )


CHECKS = (
    parts.registers,
    parts.says_what_it_is,
    builds,
    is_a_factor,
    bears_short_training,
    moves_the_rate_at_some_step,
    depends_on_its_arguments_alone,
    leaves_the_history_alone,
    parts.options_survive_a_recipe,
    parts.schema_accepts_its_options,
)
SCHEDULE = Suite("schedule", ScheduleSubject, CHECKS)
