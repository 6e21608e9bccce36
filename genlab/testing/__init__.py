"""The conformance kit: does a part do what its interface promises?

Of each kind there are three functions. ``check_encoder`` returns a ``Report``, for a notebook; ``assert_encoder``
raises if something is wrong, for one line in a test; ``encoder_checks`` returns the checks one by one::

    from genlab.testing import assert_encoder, encoder_checks


    def test_my_encoder() -> None:
        assert_encoder(MyEncoder, width=64)


    @pytest.mark.parametrize("check", encoder_checks(MyEncoder, [(3, 32, 32)]), ids=str)
    def test_my_encoder_in_detail(check) -> None:
        check()

Options are given by keyword, as a recipe writes them: ``base={"use": "mlp"}``. Encoders, decoders and likelihoods
also take the shapes of x to try, by position; without them small images and a vector are tried, and a part may
refuse some with a ``ValueError``. A part need not be registered, nor its package installed. ``check_command`` is
given the function that adds commands to a Typer application.

A report fails if a check fails, and also if most checks were skipped. What each check looks for stands in
``docs/conformance.md``.
"""

from __future__ import annotations

from genlab.testing.commands import COMMAND
from genlab.testing.decoders import DECODER
from genlab.testing.encoders import ENCODER
from genlab.testing.likelihoods import LIKELIHOOD
from genlab.testing.objectives import OBJECTIVE
from genlab.testing.optimizers import OPTIMIZER
from genlab.testing.priors import PRIOR
from genlab.testing.report import ConformanceError, Report, Result
from genlab.testing.schedules import SCHEDULE
from genlab.testing.searches import SEARCH
from genlab.testing.sources import DATA
from genlab.testing.trackers import TRACKER

__all__ = [
    "SUITES",
    "ConformanceError",
    "Report",
    "Result",
    "assert_command",
    "assert_data",
    "assert_decoder",
    "assert_encoder",
    "assert_likelihood",
    "assert_objective",
    "assert_optimizer",
    "assert_prior",
    "assert_schedule",
    "assert_search",
    "assert_tracker",
    "check_command",
    "check_data",
    "check_decoder",
    "check_encoder",
    "check_likelihood",
    "check_objective",
    "check_optimizer",
    "check_prior",
    "check_schedule",
    "check_search",
    "check_tracker",
    "command_checks",
    "data_checks",
    "decoder_checks",
    "encoder_checks",
    "likelihood_checks",
    "objective_checks",
    "optimizer_checks",
    "prior_checks",
    "schedule_checks",
    "search_checks",
    "tracker_checks",
]

SUITES = {
    suite.kind: suite
    for suite in (
        DATA, ENCODER, DECODER, PRIOR, LIKELIHOOD, OBJECTIVE, OPTIMIZER, SCHEDULE, TRACKER, SEARCH, COMMAND
    )
}  # fmt: skip
"""The checks of each kind of part."""

check_data, data_checks, assert_data = DATA.check, DATA.each, DATA.require
check_encoder, encoder_checks, assert_encoder = ENCODER.check, ENCODER.each, ENCODER.require
check_decoder, decoder_checks, assert_decoder = DECODER.check, DECODER.each, DECODER.require
check_prior, prior_checks, assert_prior = PRIOR.check, PRIOR.each, PRIOR.require
check_likelihood, likelihood_checks, assert_likelihood = LIKELIHOOD.check, LIKELIHOOD.each, LIKELIHOOD.require
check_objective, objective_checks, assert_objective = OBJECTIVE.check, OBJECTIVE.each, OBJECTIVE.require
check_optimizer, optimizer_checks, assert_optimizer = OPTIMIZER.check, OPTIMIZER.each, OPTIMIZER.require
check_schedule, schedule_checks, assert_schedule = SCHEDULE.check, SCHEDULE.each, SCHEDULE.require
check_tracker, tracker_checks, assert_tracker = TRACKER.check, TRACKER.each, TRACKER.require
check_search, search_checks, assert_search = SEARCH.check, SEARCH.each, SEARCH.require
check_command, command_checks, assert_command = COMMAND.check, COMMAND.each, COMMAND.require
