"""Every check of the conformance kit with the mutant that it alone catches, run or written down as a page."""

from __future__ import annotations

from collections.abc import Iterator

from genlab.testing import SUITES, Report
from genlab.testing.checking import Check
from tests.mutants import (
    commands,
    decoders,
    encoders,
    likelihoods,
    objectives,
    optimizers,
    priors,
    schedules,
    searches,
    sources,
    trackers,
)
from tests.mutants.making import Mutant

MUTANTS: dict[str, dict[str, Mutant]] = {
    "data": sources.MUTANTS,
    "encoder": encoders.MUTANTS,
    "decoder": decoders.MUTANTS,
    "prior": priors.MUTANTS,
    "likelihood": likelihoods.MUTANTS,
    "objective": objectives.MUTANTS,
    "optimizer": optimizers.MUTANTS,
    "schedule": schedules.MUTANTS,
    "tracker": trackers.MUTANTS,
    "search": searches.MUTANTS,
    "command": commands.MUTANTS,
}
HEAD = """\
# The conformance kit, check by check

<!-- Made from the checks' docstrings by `python -m tests.mutants --page`; tests/test_kit.py holds it to that. -->

`genlab.testing` has a function for each kind of part, to be called in a test or in a notebook:

```python
from genlab.testing import assert_encoder, check_encoder

assert_encoder(MyEncoder, width=64)  # raises, saying what was expected, what came and how to mend it
check_encoder(MyEncoder, [(3, 32, 32)])  # a report of every check; tried with these shapes of x
```

Options are given as a recipe writes them. With pytest, check by check:

```python
@pytest.mark.parametrize("check", encoder_checks(MyEncoder), ids=str)
def test_my_encoder(check):
    check()
```

Neither the part nor its package need be installed or registered. A check is skipped, saying why, where it cannot
be made, or where it builds on one that did not pass: one mistake is one failure. A report most of whose checks
were skipped fails.

The last column is the proof: a built-in part with that one mistake in it, which that check catches, and of all
checks that one alone. `python -m tests.mutants` shows it.
"""


def rows() -> Iterator[tuple[str, Check, Mutant]]:
    """Every kind, check and mutant."""
    for kind, suite in SUITES.items():
        for check in suite.checks:
            yield kind, check, MUTANTS[kind][check.name]


def report(kind: str, mutant: Mutant) -> Report:
    """Make every check of a mutant, with an image and a vector where shapes are to be tried."""
    shapes = [[(1, 4, 4), (5,)]] if kind in ("encoder", "decoder", "likelihood") else []
    return SUITES[kind].check(mutant.cls, *shapes, **mutant.options)


def page() -> str:
    """Return the page, as Markdown."""
    lines = [HEAD.rstrip()]
    last = ""
    for kind, check, mutant in rows():
        if kind != last:
            last = kind
            count = len(SUITES[kind].checks)
            lines += [
                "",
                f"## {kind}: {count} checks",
                "",
                "| check | what must hold | the mistake |",
                "| --- | --- | --- |",
            ]
        said = " ".join(filter(None, (check.what, check.why))).replace("|", r"\|")
        lines.append(f"| `{check.name}` | {said} | {mutant.mistake} |")
    return "\n".join(lines) + "\n"
