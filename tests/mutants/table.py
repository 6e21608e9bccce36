"""Every check of the conformance kit with the mutant that it alone catches, run or written down as a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from genlab.testing import SUITES, Report
from tests.mutants import (
    commands,
    decoders,
    encoders,
    further,
    likelihoods,
    objectives,
    optimizers,
    priors,
    schedules,
    searches,
    sources,
    trackers,
)
from tests.mutants.making import Mutant, general

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
FIRST = {
    "data": "Bars", "encoder": "MLPEncoder", "decoder": "MLPDecoder", "prior": "StandardNormal",
    "likelihood": "BernoulliLikelihood", "objective": "ELBO", "optimizer": "SGD with momentum",
    "schedule": "Cosine", "tracker": "a small tracker (the built-in one needs TensorBoard)", "search": "Random",
    "command": "a command that counts",
}  # fmt: skip
"""The part that each kind's first mutants are made of."""
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
checks that one alone. So it is with every part that is named above a table, each with that mistake or one like it:
`python -m tests.mutants` shows them one by one.
"""


def _proofs() -> Iterator[tuple[str, str, str, Mutant | str]]:
    for kind, mutants in MUTANTS.items():
        for check, mutant in mutants.items():
            yield kind, FIRST[kind], check, mutant
    for kind, part, own, small in further.PARTS:
        for check, mutant in MUTANTS[kind].items():
            found = own.get(check) or general(part).get(check) or (mutant.on(part) if mutant.on else None)
            assert found is not None, f"{part.__name__} has no mutant for {check}"
            yield kind, part.__name__, check, found if isinstance(found, str) else replace(found, options=small)


PROOFS = tuple(_proofs())
"""Kind, part, check, and the mutant of that part that this check alone catches; or why it does not apply."""


def report(kind: str, mutant: Mutant) -> Report:
    """Make every check of a mutant, with an image and a vector where shapes are to be tried."""
    shapes = [[(1, 4, 4), (5,)]] if kind in ("encoder", "decoder", "likelihood") else []
    return SUITES[kind].check(mutant.cls, *shapes, **mutant.options)


def page() -> str:
    """Return the page, as Markdown."""
    lines = [HEAD.rstrip()]
    for kind, suite in SUITES.items():
        parts = list(dict.fromkeys(part for k, part, _, _ in PROOFS if k == kind))
        left = [f"`{c}` does not apply to {p}: {m}." for k, p, c, m in PROOFS if k == kind and isinstance(m, str)]
        lines += [
            "",
            f"## {kind}: {len(suite.checks)} checks",
            "",
            " ".join([f"Mutants of {', '.join(parts)}.", *left]),
            "",
            "| check | what must hold | the mistake |",
            "| --- | --- | --- |",
        ]
        for check in suite.checks:
            said = " ".join(filter(None, (check.what, check.why))).replace("|", r"\|")
            lines.append(f"| `{check.name}` | {said} | {MUTANTS[kind][check.name].mistake} |")
    return "\n".join(lines) + "\n"
