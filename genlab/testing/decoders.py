"""What a decoder must do: z -> h, the parameters of the likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor, nn

from genlab.testing import machines, modules, parts, sensitivity
from genlab.testing.checking import Failed, Suite, check
from genlab.testing.module_subject import BF16, Case, ShapedSubject, noise
from genlab.testing.subject import BATCHES, LATENTS

Shape = tuple[int, ...]


class DecoderSubject(ShapedSubject):
    """A decoder under test. x_shapes: of what it decodes to; it may refuse some with a ValueError."""

    kind: ClassVar[str] = "decoder"

    def tried(self) -> Sequence[Case]:
        """Every shape, for likelihoods of one and of two parameters per element."""
        shapes = [tuple(shape) for shape in self.x_shapes]
        return [
            Case((LATENTS[0], (params * shape[0], *shape[1:])), shape, LATENTS[0])
            for params in (1, 2)
            for shape in shapes
        ]

    def inputs(self, case: Case, batch: int = 3) -> tuple[Tensor, ...]:
        """Return z ``(B, Z)``."""
        return (noise(batch, case.latent),)

    def step(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return h ``(B, *out_shape)``."""
        return (module(*inputs),)

    def halved(self, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Do what ``LatentModel.p`` does before the likelihood."""
        with BF16.networks():
            h = module(*inputs)
        return (h.float(),)

    def loss(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Return a number that depends on every element of h."""
        h = module(*inputs)
        return (h**2 + h).sum()


@check("builds")
def forward(subject: DecoderSubject) -> None:
    """It maps a batch of latents to a tensor."""
    for case in subject.cases:
        h = subject.module(case)(*subject.inputs(case, 2))
        if not isinstance(h, Tensor):
            raise Failed(
                expected="one tensor h",
                came=type(h).__name__,
                mend="return the likelihood's parameters as one tensor; two sets of them are twice the channels",
            )


def _expect(h: Tensor, wanted: Shape, given: str, mend: str) -> None:
    if tuple(h.shape) != wanted:
        raise Failed(expected=f"h of shape {wanted} for {given}", came=f"{tuple(h.shape)}", mend=mend)


@check("forward")
def shapes(subject: DecoderSubject) -> None:
    """For every out_shape that it takes, h has the shape (B, *out_shape).

    out_shape is (P * x_shape[0], *x_shape[1:]): P parameters for each element of x, whatever the likelihood.
    """
    for case in subject.cases:
        h = subject.module(case)(*subject.inputs(case, 2))
        out = case.given[1]
        _expect(h, (2, *out), f"out_shape {out}", "end with h.unflatten(1, out_shape), or crop what is too large")


@check("shapes")
def any_batch_size(subject: DecoderSubject) -> None:
    """It works for one latent and for an odd number of them."""
    mend = "leave the first axis alone: .unflatten(1, ...) and not .squeeze() or .view(-1, ...)"
    for case, batch in product(subject.cases, BATCHES):
        h = modules.of_a_batch(subject, case, batch, mend)
        _expect(h, (batch, *case.given[1]), f"{batch} examples", mend)


@check("shapes")
def any_latent_size(subject: DecoderSubject) -> None:
    """It takes as many latents as it is told to, or refuses their number with a ValueError."""
    out = subject.case.given[1]
    for latent in LATENTS:
        case = Case((latent, out), subject.case.x_shape, latent)
        if not subject.takes(case):
            continue
        try:
            h = subject.module(case)(noise(2, latent))
        except Exception as error:
            raise Failed(
                expected=f"that it can be built for, and used with, {latent} latents",
                came=modules.refused_by(error),
                mend="make the size of the first layer of `latent`",
            ) from None
        _expect(h, (2, *out), f"{latent} latents", "make the size of the first layer of `latent`")


@check("shapes")
def is_unconstrained(subject: DecoderSubject) -> None:
    """h takes values below 0 and above 1: logits, not probabilities.

    The likelihood constrains them; a final sigmoid would be applied twice.
    """
    for case in subject.cases:
        with torch.no_grad():
            h = subject.moved(case)(100 * noise(64, case.latent))
        if not ((h < -0.01).any() and (h > 1.01).any()):
            raise Failed(
                expected="values below 0 and above 1 for latents far from the origin",
                came=f"values from {h.min().item():.3g} to {h.max().item():.3g}",
                mend="take the last activation (sigmoid, tanh, relu, softplus) out of the decoder",
            )


@check("shapes", "leaves_its_input_alone")
def gradients_reach_the_latents(subject: DecoderSubject) -> None:
    """The gradient reaches every example's z: through it the encoder learns."""
    for case in subject.cases:
        z = subject.inputs(case)[0].requires_grad_()
        loss = subject.loss(subject.moved(case), z)
        found = torch.autograd.grad(loss, z, allow_unused=True)[0] if loss.requires_grad else None
        if found is None or not (found != 0).any(1).all():
            raise Failed(
                expected="a gradient of each z that is not zero",
                came="none" if found is None else "zeros",
                mend="look for z.detach(), torch.no_grad() and rounding between z and h",
            )


CHECKS = (
    parts.registers,
    parts.says_what_it_is,
    modules.builds,
    forward,
    shapes,
    any_batch_size,
    any_latent_size,
    is_unconstrained,
    modules.computes_in_float32,
    modules.same_seed_same_weights,
    modules.leaves_the_seed_alone,
    modules.repeats_itself_under_a_seed,
    modules.eval_mode_is_steady,
    modules.leaves_its_mode_alone,
    modules.leaves_its_input_alone,
    modules.treats_each_example_alone,
    modules.gradients_reach_every_parameter,
    gradients_reach_the_latents,
    sensitivity.every_latent_matters,
    modules.does_not_make_the_host_wait,
    machines.moves_to_another_device,
    machines.bears_half_precision,
    machines.compiles_whole,
    machines.state_is_tensors,
    machines.is_the_same_after_saving,
    parts.options_survive_a_recipe,
    parts.schema_accepts_its_options,
)
DECODER = Suite("decoder", DecoderSubject, CHECKS)
