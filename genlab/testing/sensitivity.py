"""Does what a part returns depend on what it is given?"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn

from genlab.testing.checking import Failed, check
from genlab.testing.module_subject import ModuleSubject

EXAMPLES = 8
LATENTS = 16  # latents z at which each of their elements is tried
TURNED = 64  # elements of x that are turned over where there are more
MOST = 0.4  # two layers of stride 2 that drop an odd edge see 46 % of an image of 5 x 7
SEEN = 1e-5  # relative; rows of one batch may be rounded differently


@check("shapes", "leaves_its_input_alone", "gradients_reach_every_parameter")
def most_of_x_matters(subject: ModuleSubject) -> None:
    """At least two in five elements of x change q(z|x): by its gradient, or when turned from light to dark.

    Strides may pass over some. The latents know nothing of what the encoder does not look at.
    """
    for case in subject.cases:
        module, x = subject.moved(case).eval(), subject.inputs(case, EXAMPLES)[0].requires_grad_()
        density = subject.steady(module, x).sum()
        found = torch.autograd.grad(density, x, allow_unused=True)[0] if density.requires_grad else None
        if found is not None and (found != 0).any(0).double().mean() >= MOST:
            continue
        # What is rounded has no gradient, and yet it matters.
        share = _share_turned(subject, module, x.detach())
        if share < MOST:
            raise Failed(
                expected=f"q(z|x) that depends on at least {MOST:.0%} of the elements of x, for {case}",
                came=f"{share:.0%} of them, in {EXAMPLES} examples",
                mend="look for an x that is not used or is cut, and for x.detach() and torch.no_grad()",
            )


@check("gradients_reach_the_latents")
def every_latent_matters(subject: ModuleSubject) -> None:
    """Each latent changes h, in training mode and in eval mode.

    What the decoder does not read, the encoder has no reason to say.
    """
    for case, training in product(subject.cases, (True, False)):
        z = subject.inputs(case, LATENTS)[0].requires_grad_()
        loss = subject.loss(subject.moved(case).train(training), z)
        found = torch.autograd.grad(loss, z, allow_unused=True)[0] if loss.requires_grad else None
        idle = [i for i in range(z.shape[1]) if found is None or not (found[:, i] != 0).any()]
        if idle:
            mode = "training" if training else "eval"
            raise Failed(
                expected=f"h that depends on each of {z.shape[1]} latents in {mode} mode, for {case}",
                came=f"no gradient of {', '.join(map(str, idle[:5]))}, counted from 0",
                mend="look for slices of z, and for what is done in one mode only",
            )


@torch.no_grad()
def _share_turned(subject: ModuleSubject, module: nn.Module, x: Tensor) -> float:
    """Return the share of elements of x ``(B, *x_shape)`` that matter if they are turned over one at a time."""
    which = torch.randperm(x[0].numel())[:TURNED]
    matters = torch.zeros(len(which), dtype=torch.bool)
    for example in x:
        rows = example.flatten().repeat(1 + len(which), 1)
        rows[torch.arange(1, len(rows)), which] = 1 - rows[0, which]
        first, others = subject.steady(module, rows.view(-1, *example.shape)).split((1, len(which)))
        matters |= (others - first).abs() > SEEN * (1 + first.abs())
    return matters.double().mean().item()
