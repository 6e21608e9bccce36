"""What an encoder must do: x -> q(z|x)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from genlab.parts.priors import StandardNormal
from genlab.precision import in_float32
from genlab.testing import latents, machines, modules, parts, sensitivity
from genlab.testing.checking import Failed, Suite, check
from genlab.testing.densities import (
    DRAWS,
    OneDimensional,
    check_draws,
    check_kl,
    check_mean,
    check_total,
)
from genlab.testing.gradients import Pathwise, check_pathwise
from genlab.testing.joint import DRAWN, Joint, check_joint
from genlab.testing.module_subject import BF16, Case, ShapedSubject, uniform
from genlab.testing.subject import BATCHES, LATENTS
from genlab.testing.supports import Support, value_of

Shape = tuple[int, ...]
JOINTLY = "sum over the latents in log_prob, and draw noise of the shape of z, a number for each latent"
INDEPENDENT = "return genlab.diagonal_normal(mean, log_var), or torch.distributions.Independent(..., 1)"


class EncoderSubject(ShapedSubject):
    """An encoder under test."""

    kind: ClassVar[str] = "encoder"

    def tried(self) -> Sequence[Case]:
        """Every shape with the usual latent size."""
        return [Case((tuple(shape), LATENTS[0]), tuple(shape), LATENTS[0]) for shape in self.x_shapes]

    def inputs(self, case: Case, batch: int = 3) -> tuple[Tensor, ...]:
        """Return x ``(B, *x_shape)`` in [0, 1)."""
        return (uniform(batch, *case.x_shape),)

    def step(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return a sample z ``(B, Z)`` and its log-density ``(B,)``."""
        q = module(*inputs)
        z = q.rsample()
        return z, q.log_prob(z)

    def steady(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Return the density of some z, the same for every example unless it is bounded by x."""
        q = module(*inputs)
        density: Tensor = q.log_prob(value_of(q, 0.3))
        return density

    def halved(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Do what ``LatentModel.q`` does."""
        with BF16.networks():
            q = module(*inputs)
        q = in_float32(q)
        z = q.rsample()
        return z, q.log_prob(z)

    def loss(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Return a number that depends on every latent of a sample."""
        return (module(*inputs).rsample() ** 2).sum()

    def draws(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return samples z ``(B, Z)`` of both sorts."""
        q = module(*inputs)
        return q.rsample(), q.sample()

    def narrow(self) -> nn.Module:
        """Build it with one latent, its parameters moved a little."""
        module: nn.Module = self.moved(self.single(Case((self.case.x_shape, 1), self.case.x_shape, 1))).eval()
        return module

    def one(self, module: nn.Module, how: str = "rsample") -> OneDimensional:
        """Return q(z|x) of one example, where z is one number, drawn with ``rsample`` or ``sample``."""
        with torch.no_grad():
            q = module(*self.inputs(self.case, 1))
            draws = getattr(q, how)(torch.Size([DRAWS])).flatten()
        return OneDimensional(lambda z: q.log_prob(z[:, None, None]).flatten(), draws, Support.of(q, draws))

    def pathwise(self) -> Pathwise:
        """Return it as what depends on the parameters."""
        module, inputs = self.narrow(), self.inputs(self.case, 1)
        params = [p for p in module.parameters() if p.requires_grad]

        def rsample(count: int) -> Tensor:
            z: Tensor = module(*inputs).rsample(torch.Size([count]))
            return z.flatten()

        return Pathwise(params, lambda: self.one(module), rsample)

    def distribution(self, examples: int = 2) -> Distribution:
        """Return q(z|x) with the usual latents, its parameters moved a little."""
        with torch.no_grad():
            q: Distribution = self.moved().eval()(*self.inputs(self.case, examples))
        return q

    def several(self, how: str = "rsample") -> Joint:
        """Return it as a distribution of several numbers, drawn with ``rsample`` or ``sample``."""
        q = self.distribution(1)
        with torch.no_grad():
            draws = getattr(q, how)(torch.Size([DRAWN]))[:, 0]
        return Joint.within(Support.of(q, draws), lambda z: q.log_prob(z[:, None])[:, 0].detach(), draws)


@check("builds")
def forward(subject: EncoderSubject) -> None:
    """It maps a batch to a torch.distributions.Distribution."""
    for case in subject.cases:
        q = subject.module(case)(*subject.inputs(case, 2))
        if not isinstance(q, Distribution):
            raise Failed(
                expected=f"a torch.distributions.Distribution ({case})", came=type(q).__name__, mend=INDEPENDENT
            )


def _expect(q: Distribution, batch: int, latent: int, case: Case, mend: str) -> None:
    found = tuple(q.batch_shape), tuple(q.event_shape)
    if found != ((batch,), (latent,)):
        raise Failed(
            expected=f"batch shape ({batch},) and event shape ({latent},) for x_shape {case.x_shape}, "
            f"{batch} examples and {latent} latents",
            came=f"batch shape {found[0]} and event shape {found[1]}",
            mend=mend,
        )


@check("forward")
def shapes(subject: EncoderSubject) -> None:
    """For every shape of x that it takes, q(z|x) has batch shape (B,) and event shape (Z,)."""
    for case in subject.cases:
        q = subject.module(case)(*subject.inputs(case, 2))
        _expect(q, 2, case.latent, case, INDEPENDENT)
        density = q.log_prob(value_of(q, 0.0))
        if tuple(density.shape) != (2,):
            raise Failed(
                expected="log_prob of shape (2,) for z of 2 examples",
                came=str(tuple(density.shape)),
                mend="sum over the latents in log_prob; Independent(..., 1) does",
            )


@check("shapes")
def any_batch_size(subject: EncoderSubject) -> None:
    """It works for one example and for an odd number of them.

    The last batch of an epoch may be of any size.
    """
    mend = "leave the first axis alone: .flatten(1) and not .squeeze() or .view(-1, ...)"
    for case, batch in product(subject.cases, BATCHES):
        q = modules.of_a_batch(subject, case, batch, mend)
        _expect(q, batch, case.latent, case, mend)


@check("shapes")
def any_latent_size(subject: EncoderSubject) -> None:
    """It makes as many latents as it is asked for, or refuses their number with a ValueError."""
    for usual, latent in product(subject.cases, LATENTS):
        case = Case((usual.x_shape, latent), usual.x_shape, latent)
        if not subject.takes(case):
            continue
        q = subject.module(case)(*subject.inputs(case, 2))
        _expect(q, 2, latent, case, "make the size of the last layer of `latent`, 2 * latent for mean and log_var")


@check("shapes")
def has_rsample(subject: EncoderSubject) -> None:
    """q(z|x) has rsample, a sample through which gradients flow.

    Without it the encoder could not be trained (Kingma & Welling 2014, section 2.4).
    """
    q = subject.module()(*subject.inputs(subject.case))
    if not q.has_rsample:
        raise Failed(
            expected="a distribution with rsample",
            came=f"{type(q).__name__}, which has none",
            mend="return a reparameterised one: genlab.diagonal_normal(mean, log_var), or Normal, Laplace, "
            "LogNormal ... in Independent",
        )


@check("shapes")
def has_a_mean(subject: EncoderSubject) -> None:
    """q(z|x) has a mean of shape (B, Z), which `encode` and the plots of the latent plane show."""
    q = subject.module()(*subject.inputs(subject.case))
    try:
        came = f"shape {tuple(q.mean.shape)}"
        right = q.mean.shape == q.batch_shape + q.event_shape and bool(q.mean.isfinite().all())
    except NotImplementedError:
        came, right = f"{type(q).__name__} has none", False
    if not right:
        raise Failed(
            expected="a finite mean of shape (B, Z)",
            came=came,
            mend="define the property `mean` on your distribution; an average of samples will do",
        )


@check("has_a_mean", "samples_follow_the_density", "any_batch_size")
def mean_is_what_samples_say(subject: EncoderSubject) -> None:
    """The mean of q(z|x) is the average of samples, within five standard errors.

    A mean that is itself an estimate may be a tenth of a standard deviation off. `encode` and the plots show it.
    """
    q = subject.distribution(1)
    with torch.no_grad():
        check_mean(q.mean[0], q.sample(torch.Size([DRAWS]))[:, 0])


@check("any_latent_size", "eval_mode_is_steady", "samples_vary")
def density_integrates_to_one(subject: EncoderSubject) -> None:
    """With one latent, exp(log_prob) of q(z|x) integrates to 1.

    Every estimate of log p(x) divides by q(z|x): what is missing there is missing from results.
    """
    mend = "keep the constants in log_prob: -log std - log(2 pi) / 2 of a normal"
    check_total(subject.one(subject.narrow()), "z", mend)


@check("density_integrates_to_one")
def samples_follow_the_density(subject: EncoderSubject) -> None:
    """With one latent, 20,000 samples of q(z|x) are distributed as log_prob says, from rsample and from sample."""
    for how in ("rsample", "sample"):
        check_draws(subject.one(subject.narrow(), how), f"{how}s of z")


@check("samples_follow_the_density", "gradients_reach_every_parameter", "leaves_its_input_alone")
def gradients_through_samples_are_right(subject: EncoderSubject) -> None:
    """With one latent, gradients through rsample are those of expectations under the density that log_prob says.

    By differences, within five standard errors of 20,000 samples, along three directions of the parameters. A mean
    or a standard deviation that rsample detaches is left untrained, and nothing says so.
    """
    mend = "look for .detach() and torch.no_grad() in rsample(), and for a surrogate whose gradient is another's"
    check_pathwise(subject.pathwise(), mend)


@check("samples_follow_the_density", "any_batch_size")
def latents_follow_the_density_jointly(subject: EncoderSubject) -> None:
    """With three latents, too, samples of q(z|x) are distributed as log_prob says, from rsample and from sample.

    20,000 of them, within five standard errors. A log_prob that averages over the latents, or one noise for all of
    them, is right where there is only one.
    """
    for how in ("rsample", "sample"):
        check_joint(subject.several(how), "latent", JOINTLY)


@check("latents_follow_the_density_jointly")
def kl_is_what_samples_say(subject: EncoderSubject) -> None:
    """KL(q || p) to the standard normal, where it has a closed form, is >= 0 and agrees with samples.

    Within five standard errors of 200,000 samples.
    """
    with torch.no_grad():
        check_kl(subject.distribution(), StandardNormal(subject.case.latent)())


def _noise_reaches(subject: EncoderSubject) -> tuple[Tensor, Tensor]:
    module, (x,) = subject.module().eval(), subject.inputs(subject.case, 1)
    with torch.no_grad():
        q = module(torch.cat((x, x)))
        return q.rsample(), q.rsample()


@check("has_rsample", "repeats_itself_under_a_seed")
def samples_vary(subject: EncoderSubject) -> None:
    """Two samples of q(z|x) differ, and so do those of two equal examples.

    An encoder that returns a point is no posterior: its density is infinite there.
    """
    first, second = _noise_reaches(subject)
    if not first.isfinite().all() or (first == second).all():
        raise Failed(
            expected="two different, finite samples of z",
            came="the same twice" if first.isfinite().all() else "values that are not finite",
            mend="keep the standard deviation away from zero: an unclamped log_var, or std = softplus(...) + 1e-3",
        )
    if (first[0] == first[1]).all():
        raise Failed(
            expected="different samples of two equal examples in one batch",
            came="the same for both",
            mend="draw noise of the shape of z, (*sample_shape, B, Z), not one for the batch",
        )


CHECKS = (
    parts.registers,
    parts.says_what_it_is,
    modules.builds,
    forward,
    shapes,
    any_batch_size,
    any_latent_size,
    has_rsample,
    has_a_mean,
    modules.computes_in_float32.after("has_rsample"),
    modules.same_seed_same_weights,
    modules.leaves_the_seed_alone.after("has_rsample"),
    modules.repeats_itself_under_a_seed.after("has_rsample"),
    modules.eval_mode_is_steady,
    modules.leaves_its_mode_alone.after("has_rsample"),
    modules.leaves_its_input_alone.after("has_rsample"),
    modules.treats_each_example_alone,
    modules.gradients_reach_every_parameter.after("has_rsample"),
    sensitivity.most_of_x_matters,
    samples_vary,
    modules.draws_follow_the_seed.after("samples_vary"),
    density_integrates_to_one,
    samples_follow_the_density,
    gradients_through_samples_are_right,
    latents.gradients_of_log_prob_are_right,
    latents.takes_any_sample_shape.after("any_batch_size", "samples_vary"),
    latents_follow_the_density_jointly,
    kl_is_what_samples_say,
    mean_is_what_samples_say,
    modules.does_not_make_the_host_wait.after("has_rsample"),
    machines.moves_to_another_device,
    machines.bears_half_precision.after("has_rsample"),
    machines.compiles_whole.after("has_rsample"),
    machines.state_is_tensors,
    machines.is_the_same_after_saving.after("has_rsample"),
    parts.options_survive_a_recipe,
    parts.schema_accepts_its_options,
)
ENCODER = Suite("encoder", EncoderSubject, CHECKS)
