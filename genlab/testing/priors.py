"""What a prior must do: p(z)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from genlab.distributions import diagonal_normal
from genlab.seeds import seeded
from genlab.testing import latents, machines, modules, parts
from genlab.testing.checking import Failed, Skipped, Suite, check
from genlab.testing.densities import (
    DRAWS,
    OneDimensional,
    check_draws,
    check_kl,
    check_mean,
    check_total,
)
from genlab.testing.joint import DRAWN as JOINTLY
from genlab.testing.joint import Joint, check_joint
from genlab.testing.module_subject import Case, ModuleSubject, noise
from genlab.testing.subject import LATENTS, X_SHAPES
from genlab.testing.supports import Support

DRAWN = 50  # latents that are looked at one by one


class PriorSubject(ModuleSubject):
    """A prior under test."""

    kind: ClassVar[str] = "prior"

    def tried(self) -> Sequence[Case]:
        """Several latent sizes, the usual one first."""
        return [self.of(latent) for latent in LATENTS]

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The usual case: others are for ``any_latent_size``."""
        return tuple(islice(filter(self.takes, self.tried()), 1))

    @property
    def otherwise(self) -> str:
        """Say what is tried."""
        return f", or let it take one of the latent sizes {', '.join(map(str, LATENTS))}"

    def of(self, latent: int) -> Case:
        """Return the case of a latent size."""
        return Case((latent,), X_SHAPES[0], latent)

    def inputs(self, case: Case, batch: int = 3) -> tuple[Tensor, ...]:
        """Return draws z ``(B, Z)``: whatever else it might refuse."""
        with seeded(0, torch.device("cpu")), torch.no_grad():
            return (self.module(case)().sample(torch.Size([batch])),)

    def step(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the log-density of z, ``(B,)``, and samples ``(2, Z)``."""
        p = module()
        return p.log_prob(*inputs), p.sample(torch.Size([2]))

    def draws(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return samples ``(B, Z)``."""
        return (module().sample(torch.Size([len(inputs[0])])),)

    def loss(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Return the log-density of a batch."""
        density: Tensor = module().log_prob(*inputs)
        return density.sum()

    def one(self) -> OneDimensional:
        """Return p(z) where z is one number."""
        with torch.no_grad():
            p: Distribution = self.moved(self.single(self.of(1))).eval()()
            draws = p.sample(torch.Size([DRAWS])).flatten()
        return OneDimensional(lambda z: p.log_prob(z[:, None]).detach(), draws, Support.of(p, draws))

    def distribution(self) -> Distribution:
        """Return p(z), its parameters moved a little."""
        with torch.no_grad():
            p: Distribution = self.moved().eval()()
        return p

    def several(self) -> Joint:
        """Return p(z) of the usual latents."""
        p = self.distribution()
        draws = p.sample(torch.Size([JOINTLY]))
        return Joint.within(Support.of(p, draws), lambda z: p.log_prob(z).detach(), draws)


@check("builds")
def forward(subject: PriorSubject) -> None:
    """Called with nothing, it returns a torch.distributions.Distribution."""
    p = subject.module()()
    if not isinstance(p, Distribution):
        raise Failed(
            expected="a torch.distributions.Distribution",
            came=type(p).__name__,
            mend="return the distribution itself, not a sample or its parameters",
        )


def _expect(p: Distribution, latent: int, mend: str) -> None:
    found = tuple(p.batch_shape), tuple(p.event_shape)
    if found != ((), (latent,)):
        raise Failed(
            expected=f"batch shape () and event shape ({latent},)",
            came=f"batch shape {found[0]} and event shape {found[1]}",
            mend=mend,
        )


@check("forward")
def shapes(subject: PriorSubject) -> None:
    """p(z) has batch shape () and event shape (Z,): one distribution over all latents."""
    mend = "make an event of the latents: torch.distributions.Independent(..., 1)"
    _expect(subject.module()(), subject.case.latent, mend)


@check("shapes")
def any_latent_size(subject: PriorSubject) -> None:
    """It works for as many latents as it is told, or refuses their number with a ValueError."""
    for case in filter(subject.takes, subject.tried()):
        _expect(subject.module(case)(), case.latent, "make sizes of `latent`")


@check("shapes")
def can_be_sampled(subject: PriorSubject) -> None:
    """sample((N,)) returns N finite latents that differ, and log_prob a number for each of them.

    `genlab sample` begins with it. Of latents that can be counted, bits for example, some may be the same.
    """
    p = subject.module()()
    z = p.sample(torch.Size([DRAWN]))
    wanted = (DRAWN, subject.case.latent)
    if tuple(z.shape) != wanted or not z.isfinite().all() or _repeats(z):
        same = ", finite, the same again" if z.isfinite().all() else ", not finite"
        raise Failed(
            expected=f"different, finite latents of shape {wanted}",
            came=f"{tuple(z.shape)}{same}",
            mend="let sample() draw anew for each of the sample shape's elements",
        )
    density = p.log_prob(z)
    if tuple(density.shape) != (DRAWN,):
        raise Failed(
            expected=f"log-densities of shape ({DRAWN},)",
            came=str(tuple(density.shape)),
            mend="sum over the latents in log_prob; Independent(..., 1) does",
        )


def _repeats(z: Tensor) -> bool:
    """Whether draws ``(N, Z)`` are the same again where chance would not have it so."""
    counted = all(2 * len(column.unique()) < len(z) for column in z.T)
    return len(z.unique(dim=0)) < (2 if counted else len(z))


@check("can_be_sampled", "any_latent_size")
def density_integrates_to_one(subject: PriorSubject) -> None:
    """With one latent, exp(log_prob) integrates to 1.

    What is missing there is missing from every bound and every estimate of log p(x).
    """
    check_total(subject.one(), "z", "keep the constants in log_prob: -log std - log(2 pi) / 2 of a normal")


@check("density_integrates_to_one")
def samples_follow_the_density(subject: PriorSubject) -> None:
    """With one latent, 20,000 samples are distributed as log_prob says."""
    check_draws(subject.one(), "samples of z")


@check("samples_follow_the_density")
def latents_follow_the_density_jointly(subject: PriorSubject) -> None:
    """With three latents, too, 20,000 samples are distributed as log_prob says.

    Within five standard errors. A log_prob that averages over the latents, or one noise for all of them, is right
    where there is only one.
    """
    mend = "sum over the latents in log_prob, and draw noise of the shape of z, a number for each latent"
    check_joint(subject.several(), "latent", mend)


@check("latents_follow_the_density_jointly")
def kl_is_what_samples_say(subject: PriorSubject) -> None:
    """KL(q || p) of diagonal normals q, where it has a closed form, is >= 0 and agrees with samples.

    Within five standard errors of 200,000 samples.
    """
    latent = subject.case.latent
    q = diagonal_normal(noise(2, latent), 0.5 * noise(2, latent, seed=2))
    with torch.no_grad():
        check_kl(q, subject.distribution())


@check("latents_follow_the_density_jointly")
def mean_is_what_samples_say(subject: PriorSubject) -> None:
    """The mean of p(z), if it has a finite one, has shape (Z,) and is the average of samples.

    Within five standard errors; one that is itself an estimate may be a tenth of a standard deviation off.
    """
    with torch.no_grad():
        p = subject.distribution()
        try:
            mean = p.mean
        except NotImplementedError:
            raise Skipped(f"{type(p).__name__} has none, and nothing in genlab asks a prior for it") from None
        if tuple(mean.shape) != (subject.case.latent,):
            raise Failed(
                expected=f"a mean of shape ({subject.case.latent},)",
                came=f"shape {tuple(mean.shape)}",
                mend="return the expectation of z, a number for each latent",
            )
        if not mean.isfinite().all():
            raise Skipped("it is not finite: samples of such a distribution have no average to compare it with")
        check_mean(mean, p.sample(torch.Size([DRAWS])))


CHECKS: tuple[Any, ...] = (
    parts.registers,
    parts.says_what_it_is,
    modules.builds,
    forward,
    shapes,
    any_latent_size,
    can_be_sampled,
    modules.computes_in_float32.after("can_be_sampled"),
    modules.same_seed_same_weights,
    modules.leaves_the_seed_alone.after("can_be_sampled"),
    modules.repeats_itself_under_a_seed.after("can_be_sampled"),
    modules.eval_mode_is_steady.after("can_be_sampled"),
    modules.draws_follow_the_seed.after("can_be_sampled"),
    modules.leaves_its_mode_alone.after("can_be_sampled"),
    modules.gradients_reach_every_parameter.after("can_be_sampled"),
    density_integrates_to_one,
    samples_follow_the_density,
    latents.gradients_of_log_prob_are_right,
    latents.takes_any_sample_shape.after("can_be_sampled"),
    latents_follow_the_density_jointly,
    kl_is_what_samples_say,
    mean_is_what_samples_say,
    modules.does_not_make_the_host_wait.after("can_be_sampled"),
    machines.moves_to_another_device,
    machines.compiles_whole,
    machines.state_is_tensors,
    machines.is_the_same_after_saving,
    parts.options_survive_a_recipe,
    parts.schema_accepts_its_options,
)
PRIOR = Suite("prior", PriorSubject, CHECKS)
