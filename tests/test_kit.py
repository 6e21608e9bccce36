"""The conformance kit, proved: for each check there is a part with one mistake that this check alone finds."""

from __future__ import annotations

import pytest

from genlab.testing import SUITES
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

MUTANTS = {
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
KITS = {kind: (SUITES[kind], mutants) for kind, mutants in MUTANTS.items()}
EACH = [(kind, check) for kind, (_, mutants) in KITS.items() for check in mutants]


@pytest.mark.parametrize("kind", KITS)
def test_there_is_a_mutant_for_each_check(kind: str) -> None:
    suite, mutants = KITS[kind]
    assert set(mutants) == {check.name for check in suite.checks}


@pytest.mark.parametrize(("kind", "check"), EACH, ids=lambda word: word)
def test_a_mutant_is_caught_by_its_check_alone(kind: str, check: str) -> None:
    suite, mutants = KITS[kind]
    mutant = mutants[check]
    report = suite.check(mutant.cls, **mutant.options)
    assert [result.name for result in report.outcome("failed")] == [check], report
    assert all(result.reason for result in report.outcome("skipped"))
