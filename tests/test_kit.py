"""The conformance kit, proved: for each check there is a part with one mistake that this check alone finds."""

from __future__ import annotations

import pytest

from genlab.testing.decoders import DECODER
from genlab.testing.encoders import ENCODER
from genlab.testing.likelihoods import LIKELIHOOD
from genlab.testing.objectives import OBJECTIVE
from genlab.testing.priors import PRIOR
from tests.mutants import decoders, encoders, likelihoods, objectives, priors

KITS = {
    "encoder": (ENCODER, encoders.MUTANTS),
    "decoder": (DECODER, decoders.MUTANTS),
    "prior": (PRIOR, priors.MUTANTS),
    "likelihood": (LIKELIHOOD, likelihoods.MUTANTS),
    "objective": (OBJECTIVE, objectives.MUTANTS),
}
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
