"""The conformance kit, proved: for each check there is a part with one mistake that this check alone finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from genlab.distributions import default_validation
from genlab.parts.encoders import MLPEncoder
from genlab.plugins import installed
from genlab.testing import (
    SUITES,
    ConformanceError,
    Report,
    Result,
    assert_encoder,
    check_decoder,
    check_encoder,
    check_likelihood,
    encoder_checks,
)
from genlab.testing.checking import Check, Failed, Session, Skipped
from tests.mutants import encoders
from tests.mutants.making import Mutant
from tests.mutants.table import MUTANTS, PROOFS, page, report

PAGE = Path(__file__).parent.parent / "docs" / "conformance.md"
EACH = [
    pytest.param(kind, check, mutant, id=f"{part}-{check}")
    for kind, part, check, mutant in PROOFS
    if isinstance(mutant, Mutant)
]


@pytest.mark.parametrize("kind", SUITES)
def test_there_is_a_mutant_for_each_check(kind: str) -> None:
    assert list(MUTANTS) == list(SUITES)
    assert set(MUTANTS[kind]) == {check.name for check in SUITES[kind].checks}


@pytest.mark.parametrize(("kind", "check", "mutant"), EACH)
def test_a_mutant_is_caught_by_its_check_alone(kind: str, check: str, mutant: Mutant) -> None:
    found = report(kind, mutant)
    assert [result.name for result in found.outcome("failed")] == [check], found
    (failure,) = found.outcome("failed")
    assert [line.partition(": ")[0] for line in failure.message.splitlines()][:2] == ["expected", "came"]
    assert "\nmend: " in failure.message
    assert all(result.reason for result in found.outcome("skipped"))
    with pytest.raises(ConformanceError, match=check):
        found.raise_if_failed()


def test_every_built_in_part_is_mutated() -> None:
    """But for the tracker, whose package need not be here, and the data, whose files need not."""
    mutated = {(kind, part.partition(" ")[0]) for kind, part, _, _ in PROOFS}
    parts = [part for part in installed().registry.parts() if part.distribution == "genlab"]
    own = {(part.kind, part.cls.__name__) for part in parts if part.kind != "tracker"}
    assert own <= mutated
    assert {("encoder", "ConvEncoder"), ("decoder", "ConvDecoder")} <= mutated


def test_the_page_is_what_the_checks_say() -> None:
    assert PAGE.read_text() == page(), "python -m tests.mutants --page > docs/conformance.md"


def test_every_check_says_what_it_looks_for() -> None:
    for suite in SUITES.values():
        names = [check.name for check in suite.checks]
        assert len(names) == len(set(names))
        for check in suite.checks:
            assert check.what.endswith("."), check.name
    assert len(SUITES["encoder"].checks) >= 15


def test_importing_genlab_imports_neither_the_kit_nor_torch() -> None:
    code = "import sys, genlab; print('torch' in sys.modules, 'genlab.testing' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


# -- reports ---------------------------------------------------------------------------------------------------


class Whole:
    title = "part Whole"


def passes(subject: Whole) -> None:
    """Is whole."""


def fails(subject: Whole) -> None:
    """Is round."""
    raise Failed(expected="a circle", came="a square", mend="file the corners off")


def breaks(subject: Whole) -> None:
    """Is light."""
    raise ZeroDivisionError("no\nweight")


def cannot_be_made(subject: Whole) -> None:
    """Floats."""
    raise Skipped("there is no water here")


def of(*runs: object) -> Report:
    return Session(Whole(), [Check(run.__name__, run, (), run.__doc__) for run in runs]).report()  # type: ignore[attr-defined, arg-type]


def test_a_report_says_what_was_expected_what_came_and_how_to_mend_it() -> None:
    report = of(passes, fails, cannot_be_made)
    assert str(report) == (
        "part Whole: 1 of 3 checks passed, 1 failed, 1 skipped\n"
        " passed  passes\n"
        " failed  fails\n"
        "      expected: a circle\n"
        "      came: a square\n"
        "      mend: file the corners off\n"
        "skipped  cannot_be_made\n"
        "      there is no water here"
    )
    assert not report.ok
    with pytest.raises(ConformanceError) as caught:
        report.raise_if_failed()
    assert "file the corners off" in str(caught.value)
    assert "passed  passes" not in str(caught.value)


def test_a_report_that_was_mostly_skipped_fails_and_says_why() -> None:
    assert of(passes, cannot_be_made).ok
    report = Report("part Whole", (Result("a", "passed"), *(Result(n, "skipped", "no water") for n in "bc")))
    assert not report.ok
    with pytest.raises(ConformanceError, match=r"(?s)mostly skipped.*no water"):
        report.raise_if_failed()


class OneNoise(torch.distributions.Normal):
    def rsample(self, sample_shape: Any = ()) -> torch.Tensor:
        noise = torch.randn(*sample_shape, 1, self.loc.shape[-1], device=self.loc.device)
        return self.loc + self.scale * noise


class SharesItsNoise(MLPEncoder):
    """Draws one noise for all examples of a batch."""

    def forward(self, x: torch.Tensor) -> torch.distributions.Distribution:
        mean, log_var = self.net(x).chunk(2, -1)
        q = OneNoise(mean, (log_var / 2).exp(), validate_args=False)
        return torch.distributions.Independent(q, 1, validate_args=False)


def test_noise_that_a_whole_batch_shares_is_found() -> None:
    failed = check_encoder(SharesItsNoise, [(5,)], hidden=[8]).outcome("failed")
    assert [result.name for result in failed] == ["samples_vary"]
    assert "different samples of two equal examples" in failed[0].message


class Validates(MLPEncoder):
    """Makes a distribution as torch does, which looks at every value."""

    def forward(self, x: torch.Tensor) -> torch.distributions.Distribution:
        """Return q(z|x)."""
        mean, log_var = self.net(x).chunk(2, -1)
        return torch.distributions.Independent(torch.distributions.Normal(mean, (log_var / 2).exp()), 1)


def test_a_result_does_not_depend_on_what_was_checked_before() -> None:
    with default_validation(False):  # as torch.compile leaves it
        for cls, failed in ((MLPEncoder, []), (Validates, ["does_not_make_the_host_wait"])) * 2:
            found = check_encoder(cls, [(5,)], hidden=[8])
            assert [result.name for result in found.outcome("failed")] == failed
        assert not torch.distributions.Distribution._validate_args  # it is the caller's


class Asks(torch.distributions.Normal):
    def rsample(self, sample_shape: Any = ()) -> torch.Tensor:
        return super().rsample(sample_shape) * (1 if self.scale.max() > 0 else 0)


class WaitsWithin(MLPEncoder):
    """Asks for a value inside a distribution that must not validate."""

    def forward(self, x: torch.Tensor) -> torch.distributions.Distribution:
        """Return q(z|x)."""
        mean, log_var = self.net(x).chunk(2, -1)
        q = Asks(mean, (log_var / 2).exp(), validate_args=False)
        return torch.distributions.Independent(q, 1, validate_args=False)


def test_a_wait_of_the_part_s_own_is_found_inside_a_distribution_that_does_not_validate() -> None:
    failed = check_encoder(WaitsWithin, [(5,)], hidden=[8]).outcome("failed")
    assert [result.name for result in failed] == ["does_not_make_the_host_wait"]


class Seeing(MLPEncoder):
    """Looks at a part of x, or at x in another way."""

    def __init__(
        self, x_shape: tuple[int, ...], latent: int, *, sees: Literal["half", "end", "black and white"] = "half"
    ) -> None:
        super().__init__(x_shape, latent, hidden=(8,))
        self.sees = sees

    def forward(self, x: torch.Tensor) -> torch.distributions.Distribution:
        """Return q(z|x)."""
        seen = torch.ones(x[0].numel(), device=x.device)
        if self.sees == "black and white":
            return super().forward(x.round())
        seen[: len(seen) // 2 if self.sees == "half" else -1] = 0
        return super().forward(x * seen.view(x.shape[1:]))


@pytest.mark.parametrize(
    ("sees", "failed"), [("half", []), ("black and white", []), ("end", ["most_of_x_matters"])]
)
def test_an_encoder_may_pass_over_some_of_x_but_not_over_most(sees: str, failed: list[str]) -> None:
    found = check_encoder(Seeing, [(1, 4, 4)], sees=sees).outcome("failed")
    assert [result.name for result in found] == failed


def test_a_part_that_ends_the_process_fails_and_ends_nothing() -> None:
    def leaves(subject: Whole) -> None:
        """Stays."""
        raise SystemExit(3)

    (result,) = of(leaves).results
    assert (result.outcome, "came: SystemExit: 3" in result.message) == ("failed", True)


def test_whatever_a_part_raises_is_a_failure_that_says_where() -> None:
    (result,) = of(breaks).results
    assert result.outcome == "failed"
    assert "came: ZeroDivisionError: no\nweight (" in result.message
    assert "test_kit.py:" in result.message


def test_a_report_is_a_table_in_a_notebook_whose_text_is_escaped() -> None:
    shown = Report("part <b>", (Result("a", "failed", message="x < y"),))._repr_html_()
    assert "x &lt; y" in shown
    assert "part &lt;b&gt;" in shown


# -- in tests of parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", encoder_checks(MLPEncoder, [(1, 4, 4)], hidden=[8]), ids=str)
def test_checks_can_be_parametrised(check: object) -> None:
    assert callable(check)
    check()


def test_one_check_of_many_fails_or_is_skipped_as_pytest_knows_it() -> None:
    checks = {str(each): each for each in encoder_checks(encoders.MUTANTS["shapes"].cls)}
    with pytest.raises(ConformanceError, match="encoder Mutant: shapes\nexpected: batch shape"):
        checks["shapes"]()
    import unittest

    with pytest.raises(unittest.SkipTest, match="it builds on 'shapes', which failed"):
        checks["any_batch_size"]()


def test_options_are_those_of_a_recipe() -> None:
    assert_encoder(MLPEncoder, [(1, 4, 4)], hidden=[8, 8])
    report = check_encoder(MLPEncoder, [(1, 4, 4)], hidden=[-8])
    assert "builds" in [result.name for result in report.outcome("failed")]
    assert "hidden.0: Input should be greater than 0" in str(report)


@pytest.mark.parametrize("check", [check_encoder, check_decoder, check_likelihood])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((1, 4, 4), r"\[\(1, 4, 4\)\], not \(1, 4, 4\)"),
        (4, "not 4"),
        ("mlp", "not 'mlp'"),
        ([], "is empty"),
        ([(1, 4, 4), 5], "and 5 is none"),
        ([(1, 0)], r"and \(1, 0\) is none"),
        ([()], r"and \(\) is none"),
        ([(1.5,)], r"and \(1.5,\) is none"),
    ],
)
def test_what_are_no_shapes_is_said_to_whoever_gave_them(check: Any, given: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"x_shapes is a list of shapes: .*{said}"):
        check(MLPEncoder, given)


def test_shapes_may_come_from_an_iterator() -> None:
    report = check_encoder(MLPEncoder, iter([[1, 4, 4], (5,)]), hidden=[8])
    assert report.ok
    assert not report.outcome("failed")


def test_what_is_no_part_at_all_is_said_so() -> None:
    report = check_encoder(int)
    assert "int is no subclass of Encoder" in str(report)
    assert not report.ok


def test_shapes_that_a_part_refuses_are_left_out_unless_they_are_all_that_there_is() -> None:
    from genlab_mnist.conv import ConvEncoder

    assert_encoder(ConvEncoder, [(5,), (1, 8, 8)])
    report = check_encoder(ConvEncoder, [(5,)])
    assert [result.name for result in report.outcome("failed")] == ["builds"]
    assert "images (C, H, W) are expected, but the data's shape is (5,)" in str(report)
