"""Checks of what is a distribution of latents: of posteriors and of priors."""

from __future__ import annotations

from typing import Protocol

from torch.distributions import Distribution

from genlab.testing.checking import check
from genlab.testing.densities import check_sample_shapes
from genlab.testing.gradients import check_slope


class LatentSubject(Protocol):
    """A part under test that makes a distribution of latents."""

    def distribution(self) -> Distribution:
        """Return p(z), or q(z|x) of two examples, in eval mode and without gradients of its parameters."""


@check("samples_follow_the_density")
def gradients_of_log_prob_are_right(subject: LatentSubject) -> None:
    """The gradient of log_prob in z, where z is continuous, is the slope of its values.

    Where the KL has no closed form, training descends on log q(z|x) - log p(z) at samples z.
    """
    mend = "look for .detach(), torch.no_grad() and rounding between z and log_prob's result"
    check_slope(subject.distribution(), mend)


@check("shapes")
def takes_any_sample_shape(subject: LatentSubject) -> None:
    """sample(shape) puts shape in front, and log_prob is of each sample what it is of it alone.

    Objectives with several samples ask so, importance weighting for example: shapes are (), (N,) and (K, N).
    """
    check_sample_shapes(subject.distribution())
