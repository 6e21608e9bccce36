"""What a likelihood must do: h -> p(x|z)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from genlab.contract import decoder_out_shape
from genlab.errors import PartError
from genlab.seeds import seeded
from genlab.testing import machines, modules, parts
from genlab.testing.checking import Failed, Skipped, Suite, check
from genlab.testing.densities import DRAWS, SIGMAS, OneDimensional, check_draws, check_total
from genlab.testing.joint import DRAWN, Joint, check_joint
from genlab.testing.module_subject import Case, ShapedSubject, noise
from genlab.testing.subject import BATCHES, X_SHAPES
from genlab.testing.supports import LogProb, Support

Shape = tuple[int, ...]
SINGLE: tuple[Shape, ...] = ((1,), (1, 1, 1))
TRIPLE: tuple[Shape, ...] = ((3,), (1, 1, 3), (3, 1, 1))
EXAMPLES = 16  # in which a parameter shows that it matters
FAR = 40.0  # a logit that a confident decoder reaches


class LikelihoodSubject(ShapedSubject):
    """A likelihood under test."""

    kind: ClassVar[str] = "likelihood"

    def tried(self) -> Sequence[Case]:
        """Every shape."""
        return [Case((tuple(shape),), tuple(shape)) for shape in self.x_shapes]

    def h(self, case: Case, batch: int) -> Tensor:
        """Return what a decoder would give it, ``(B, P*C, ...)``."""
        return noise(batch, *decoder_out_shape(self.cls, case.x_shape))

    def inputs(self, case: Case, batch: int = 3) -> tuple[Tensor, ...]:
        """Return h and a draw x ``(B, *x_shape)`` of p(x|z)."""
        h = self.h(case, batch)
        with seeded(0, h.device), torch.no_grad():
            return h, self.module(case)(h.clone()).sample()

    def step(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the log-probability of x, ``(B,)``, and the mean ``(B, *x_shape)``."""
        h, x = inputs
        p = module(h)
        return p.log_prob(x), p.mean

    def draws(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return a draw x ``(B, *x_shape)``."""
        return (module(inputs[0]).sample(),)

    def loss(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Return the log-probability of a batch."""
        h, x = inputs
        found: Tensor = module(h).log_prob(x)
        return found.sum()

    def one(self) -> OneDimensional:
        """Return p(x|z) of an x of one element."""
        shape = next((s for s in SINGLE if self.takes(Case((s,), s))), None)
        if shape is None:
            raise Skipped("it takes no x of one element, whose probabilities could be added up")
        support, log_prob, draws = self.small(shape, DRAWS)
        return OneDimensional(log_prob, draws.flatten(), support)

    def several(self) -> Joint:
        """Return p(x|z) of an x of three elements."""
        shape = next((s for s in TRIPLE if self.takes(Case((s,), s))), None)
        if shape is None:
            raise Skipped("it takes no x of three elements")
        return Joint.within(*self.small(shape, DRAWN))

    def small(self, shape: Shape, drawn: int) -> tuple[Support, LogProb, Tensor]:
        """Return p(x|z) of one h, and samples; x lies flat, its elements side by side."""
        case = Case((shape,), shape)
        module, h = self.moved(case).eval(), self.h(case, 1)

        def p(count: int) -> Distribution:
            found: Distribution = module(h.expand(count, *h.shape[1:]))
            return found

        def log_prob(x: Tensor) -> Tensor:
            return p(len(x)).log_prob(x.view(-1, *shape)).detach()

        with torch.no_grad():
            draws = p(drawn).sample().flatten(1)
            return Support.of(p(1), draws), log_prob, draws


@check()
def says_how_many_parameters_it_needs(subject: LikelihoodSubject) -> None:
    """The class says in `params` how many parameters each element of x needs: 1, 2, ...

    The framework asks it before anything is built, to tell the decoder its out_shape.
    """
    try:
        decoder_out_shape(subject.cls, X_SHAPES[0])
    except PartError as error:
        raise Failed(
            expected="a class attribute `params: ClassVar[int]`, 1 or more", came=str(error), mend="params = 1"
        ) from None


@check("builds", "says_how_many_parameters_it_needs")
def forward(subject: LikelihoodSubject) -> None:
    """It maps h to a torch.distributions.Distribution."""
    for case in subject.cases:
        p = subject.module(case)(subject.h(case, 2))
        if not isinstance(p, Distribution):
            raise Failed(
                expected="a torch.distributions.Distribution",
                came=type(p).__name__,
                mend="return the distribution",
            )


def _expect(p: Distribution, batch: int, x_shape: Shape, mend: str) -> None:
    found = tuple(p.batch_shape), tuple(p.event_shape)
    if found != ((batch,), x_shape):
        raise Failed(
            expected=f"batch shape ({batch},) and event shape {x_shape}",
            came=f"batch shape {found[0]} and event shape {found[1]}",
            mend=mend,
        )


@check("forward")
def shapes(subject: LikelihoodSubject) -> None:
    """For every shape of x that it takes, p(x|z) has batch shape (B,) and event shape x_shape."""
    for case in subject.cases:
        p = subject.module(case)(subject.h(case, 2))
        mend = "make an event of all of x: torch.distributions.Independent(..., len(x_shape))"
        _expect(p, 2, case.x_shape, mend)


@check("shapes")
def any_batch_size(subject: LikelihoodSubject) -> None:
    """It works for one example and for an odd number of them."""
    for case, batch in product(subject.cases, BATCHES):
        p = subject.module(case)(subject.h(case, batch))
        _expect(p, batch, case.x_shape, "leave the first axis of h alone")


@check("shapes")
def can_be_sampled(subject: LikelihoodSubject) -> None:
    """A draw has the shape of x, and log_prob is one finite number for each example.

    `sample(n, draw=True)` and the rehearsal of a recipe draw from it.
    """
    for case in subject.cases:
        p = subject.module(case)(subject.h(case, 2))
        x = p.sample()
        if tuple(x.shape) != (2, *case.x_shape):
            raise Failed(
                expected=f"a draw of shape {(2, *case.x_shape)}",
                came=str(tuple(x.shape)),
                mend="let sample() return x as the data source prepares it",
            )
        density = p.log_prob(x)
        if tuple(density.shape) != (2,) or not density.isfinite().all():
            raise Failed(
                expected="a finite log-probability for each of two draws",
                came=f"shape {tuple(density.shape)}, {'' if density.isfinite().all() else 'not '}finite",
                mend="sum over all axes of x and none of the batch; what can be drawn must have a probability",
            )


@check("any_batch_size", "samples_follow_the_density")
def mean_is_what_samples_say(subject: LikelihoodSubject) -> None:
    """`mean` has the shape of x and is the average of draws, within five standard errors.

    `sample`, `reconstruct` and the plots show it.
    """
    case = subject.case
    module, h = subject.moved().eval(), subject.h(case, 1)
    count = max(200, DRAWS // math.prod(case.x_shape))
    with torch.no_grad():
        mean = module(h).mean
        draws = module(h.expand(count, *h.shape[1:])).sample().double()
    if tuple(mean.shape) != (1, *case.x_shape):
        came = f"shape {tuple(mean.shape)}"
    else:
        error = draws.std(0) / math.sqrt(count) + 1e-3 * (1 + draws.abs().mean())
        off = ((mean[0] - draws.mean(0)).abs() / error).max().item()
        if off <= SIGMAS:
            return
        came = f"one that is up to {off:.0f} standard errors off the average of {count:,} draws"
    raise Failed(
        expected=f"a mean of shape {(1, *case.x_shape)} that is the average of draws",
        came=came,
        mend="return the expectation of x in x's own units, not of logits and not the mode",
    )


@check("can_be_sampled", "leaves_its_input_alone")
def gradients_reach_the_decoder(subject: LikelihoodSubject) -> None:
    """The gradient of log_prob reaches the h of every example: through it the decoder learns."""
    for case in subject.cases:
        h, x = subject.inputs(case)
        h.requires_grad_()
        loss = subject.loss(subject.module(case), h, x)
        found = torch.autograd.grad(loss, h, allow_unused=True)[0] if loss.requires_grad else None
        if found is None or not found.isfinite().all() or not (found != 0).flatten(1).any(1).all():
            raise Failed(
                expected="a finite gradient of each example's h that is not zero",
                came="none" if found is None else "zeros, or values that are not finite",
                mend="look for .detach(), rounding and clamping between h and the distribution's parameters",
            )


@check("gradients_reach_the_decoder")
def every_parameter_matters(subject: LikelihoodSubject) -> None:
    """The gradient of log_prob reaches each of the P parameters of the elements of x.

    Decoders make as many as `params` says; what is not read is made for nothing.
    """
    for case in subject.cases:
        h, x = subject.inputs(case, EXAMPLES)
        (found,) = torch.autograd.grad(subject.loss(subject.module(case), h.requires_grad_(), x), h)
        idle = (found == 0).transpose(0, 1).flatten(1).all(1).nonzero().flatten().tolist()
        if idle:
            raise Failed(
                expected=f"a gradient in each of the {h.shape[1]} channels of h ({case})",
                came=f"zeros in {', '.join(map(str, idle[:5]))}{' ...' if len(idle) > 5 else ''}",
                mend="read all of h, h.chunk(P, dim=1) for example, or let `params` say less",
            )


@check("can_be_sampled", "gradients_reach_the_decoder")
def bears_a_confident_decoder(subject: LikelihoodSubject) -> None:
    """For h as large as 40, log_prob and its gradient are finite.

    exp, log and sigmoid go to 0 or infinity there; the loss of one such pixel ends training.
    """
    _, x = subject.inputs(subject.case)
    for far in (-FAR, FAR):
        h = torch.full_like(subject.h(subject.case, len(x)), far, requires_grad=True)
        density = subject.loss(subject.module(), h, x)
        (gradient,) = torch.autograd.grad(density, h)
        if not density.isfinite() or not gradient.isfinite().all():
            raise Failed(
                expected=f"a finite log-probability and gradient for h = {far:g}",
                came=f"log_prob {density.item():g}, gradient {'' if gradient.isfinite().all() else 'not '}finite",
                mend="stay in logarithms: logits in place of probabilities, logsigmoid, logaddexp, softplus",
            )


@check("can_be_sampled", "eval_mode_is_steady", "leaves_its_input_alone")
def probabilities_add_up_to_one(subject: LikelihoodSubject) -> None:
    """The probabilities of all values of an x of one element sum, or their density integrates, to 1.

    Only then is the loss a bound on log p(x), in nats that can be compared.
    """
    what = "x of one element"
    check_total(subject.one(), what, "keep the constants in log_prob; a score that is no density is no likelihood")


@check("probabilities_add_up_to_one")
def samples_follow_the_density(subject: LikelihoodSubject) -> None:
    """20,000 draws of an x of one element are distributed as log_prob says."""
    check_draws(subject.one(), "draws of x")


@check("samples_follow_the_density")
def elements_follow_the_density_jointly(subject: LikelihoodSubject) -> None:
    """20,000 draws of an x of three elements are distributed as log_prob says.

    Within five standard errors. A log_prob that averages over x, or one noise for all of its elements, is right
    where there is only one.
    """
    mend = "sum over the elements of x in log_prob, and draw noise of the shape of x, a number for each element"
    check_joint(subject.several(), "element", mend)


CHECKS = (
    parts.registers,
    parts.says_what_it_is,
    says_how_many_parameters_it_needs,
    modules.builds,
    forward,
    shapes,
    any_batch_size,
    can_be_sampled,
    mean_is_what_samples_say,
    modules.computes_in_float32.after("can_be_sampled"),
    modules.same_seed_same_weights,
    modules.leaves_the_seed_alone.after("can_be_sampled"),
    modules.repeats_itself_under_a_seed.after("can_be_sampled"),
    modules.eval_mode_is_steady,
    modules.draws_follow_the_seed.after("can_be_sampled"),
    modules.leaves_its_mode_alone.after("can_be_sampled"),
    modules.leaves_its_input_alone.after("can_be_sampled"),
    modules.treats_each_example_alone.after("any_batch_size"),
    modules.gradients_reach_every_parameter.after("can_be_sampled"),
    gradients_reach_the_decoder,
    every_parameter_matters,
    bears_a_confident_decoder,
    probabilities_add_up_to_one,
    samples_follow_the_density,
    elements_follow_the_density_jointly,
    modules.does_not_make_the_host_wait.after("can_be_sampled"),
    machines.moves_to_another_device,
    machines.compiles_whole,
    machines.state_is_tensors,
    machines.is_the_same_after_saving,
    parts.options_survive_a_recipe,
    parts.schema_accepts_its_options,
)
LIKELIHOOD = Suite("likelihood", LikelihoodSubject, CHECKS)
