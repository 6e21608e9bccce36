"""A check, a suite of them, and how they are run.

A check is a function of a subject, a part and what it was asked to be built with. It returns if all is well,
raises ``Failed`` if not and ``Skipped`` if that cannot be told. Whatever else is raised is the part's failure.
Checks build on one another: one is skipped, saying so, if another that it needs did not pass, so that one mistake
is one failure.
"""

from __future__ import annotations

import inspect
import traceback
import unittest
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, ParamSpec, Protocol

import torch

from genlab.distributions import default_validation
from genlab.seeds import seeded
from genlab.testing.report import ConformanceError, Report, Result

P = ParamSpec("P")
OWN = Path(__file__).parent
TORCH = Path(torch.__file__).parent


class Failed(Exception):
    """A part that does not do what is expected. Each of the three completes its sentence."""

    def __init__(self, *, expected: str, came: str, mend: str) -> None:
        super().__init__(f"expected: {expected}\ncame: {came}\nmend: {mend}")


class Skipped(Exception):
    """A check that does not apply, or cannot be made here; the message says why."""


class DoesNotApply(Skipped):
    """A check of what the part has every right to refuse; those that build on it are made all the same."""


class Subject(Protocol):
    """What checks look at: it says what it is."""

    @property
    def title(self) -> str:
        """Kind and class, ``"encoder MyEncoder"``."""


@dataclass(frozen=True)
class Check:
    """One check. needs: names of those that must have passed. doc: what it looks for, and why."""

    name: str
    run: Callable[[Any], None]
    needs: tuple[str, ...]
    doc: str

    def after(self, *needs: str) -> Check:
        """Return the check, needing others too."""
        return replace(self, needs=(*self.needs, *needs))

    @property
    def what(self) -> str:
        """What it looks for, on one line."""
        return " ".join(self.doc.partition("\n\n")[0].split())

    @property
    def why(self) -> str:
        """Why that matters, on one line; empty where it goes without saying."""
        return " ".join(self.doc.partition("\n\n")[2].split())


def check(*needs: str) -> Callable[[Callable[[Any], None]], Check]:
    """Make a check of a function of a subject; its name and docstring are the check's."""
    return lambda run: Check(run.__name__, run, needs, inspect.getdoc(run) or "")


class Session:
    """The checks of one subject, each made once, in an order that their needs allow.

    None depends on what ran before in the process, nor leaves it changed: random states, gradients and whether
    distributions validate are the same at the beginning of each, and put back after it.
    """

    def __init__(self, subject: Subject, checks: Iterable[Check]) -> None:
        self.subject = subject
        self.checks = {each.name: each for each in checks}
        self._results: dict[str, Result] = {}
        self._passed_over: set[str] = set()

    def result(self, name: str) -> Result:
        """Return what a check found; those that it needs are made first."""
        if name not in self._results:
            self._results[name] = self._made(self.checks[name])
        return self._results[name]

    def report(self) -> Report:
        """Make every check."""
        return Report(self.subject.title, tuple(map(self.result, self.checks)))

    def _made(self, made: Check) -> Result:
        for need in made.needs:
            if need not in self.checks:
                continue
            if (found := self.result(need).outcome) != "passed" and need not in self._passed_over:
                came = "failed" if found == "failed" else "was skipped"
                return Result(made.name, "skipped", reason=f"it builds on {need!r}, which {came}")
        try:
            with seeded(0, torch.device("cpu")), torch.enable_grad(), default_validation(True):
                made.run(self.subject)
        except Failed as failed:
            return Result(made.name, "failed", message=str(failed))
        except Skipped as skipped:
            if isinstance(skipped, DoesNotApply):
                self._passed_over.add(made.name)
            return Result(made.name, "skipped", reason=str(skipped))
        except (Exception, SystemExit) as error:  # sys.exit() in a part must not end the tests
            return Result(made.name, "failed", message=str(_raised(made, error)))
        return Result(made.name, "passed")


def _raised(made: Check, error: Exception | SystemExit) -> Failed:
    """Say that a part raised something, and where."""
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    said = traceback.format_exception_only(cause)[-1].strip()
    frames = traceback.extract_tb(cause.__traceback__)
    theirs = [f for f in frames if OWN not in Path(f.filename).parents and TORCH not in Path(f.filename).parents]
    where = f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""
    what = made.what[:1].lower() + made.what[1:].rstrip(".")
    return Failed(
        expected=f"that nothing is raised where it is seen whether {what}",
        came=f"{said}{where}",
        mend="make the part bear what it is given there, or refuse it in its constructor with a ValueError",
    )


@dataclass(frozen=True)
class BoundCheck:
    """One check of one part, to be called: returns if it passes.

    Raises ``ConformanceError`` if it fails and ``unittest.SkipTest``, which pytest knows, if it is skipped.
    """

    name: str
    session: Session

    def __call__(self) -> None:
        """Make the check."""
        result = self.session.result(self.name)
        if result.outcome == "failed":
            raise ConformanceError(f"{self.session.subject.title}: {self.name}\n{result.message}")
        if result.outcome == "skipped":
            raise unittest.SkipTest(result.reason)

    def __str__(self) -> str:
        return self.name


class Suite(Generic[P]):
    """The checks of one kind of part. subject: what makes a subject of a class and its options."""

    def __init__(self, kind: str, subject: Callable[P, Subject], checks: tuple[Check, ...]) -> None:
        self.kind, self.subject, self.checks = kind, subject, checks

    def check(self, *args: P.args, **options: P.kwargs) -> Report:
        """Make every check of a part and return what they found.

        Options are given as a recipe writes them. Before them may stand, for kinds that are built for shapes of x,
        the shapes to try: ``check_encoder(MyEncoder, [(3, 32, 32)], width=64)``.
        """
        return Session(self.subject(*args, **options), self.checks).report()

    def each(self, *args: P.args, **options: P.kwargs) -> tuple[BoundCheck, ...]:
        """Return the checks one by one, for ``pytest.mark.parametrize("check", ..., ids=str)``."""
        session = Session(self.subject(*args, **options), self.checks)
        return tuple(BoundCheck(name, session) for name in session.checks)

    def require(self, *args: P.args, **options: P.kwargs) -> None:
        """Raise ``ConformanceError`` if a check fails, or if most of them were skipped."""
        self.check(*args, **options).raise_if_failed()
