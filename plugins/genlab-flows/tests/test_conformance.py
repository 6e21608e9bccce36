"""The kit's checks of both parts, of either kind of flow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genlab.testing import encoder_checks, prior_checks
from genlab_flows.posterior import FlowPosterior
from genlab_flows.prior import FlowPrior

CHECKS = [
    pytest.param(check, id=f"{kind}-{check}")
    for kind in ("nsf", "maf")
    for check in (
        *prior_checks(FlowPrior, transforms=2, kind=kind, hidden=[16]),
        *encoder_checks(FlowPosterior, [(1, 4, 4), (5,)], base="mlp", kind=kind, hidden=[16]),
    )
]


@pytest.mark.parametrize("check", CHECKS)
def test_what_genlab_expects_of_a_part(check: Callable[[], None]) -> None:
    check()
