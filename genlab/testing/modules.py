"""Checks of every part that is a module: how it is built, trained and drawn from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genlab.errors import GenlabError
from genlab.testing.checking import Failed, check
from genlab.testing.module_subject import Case, ModuleSubject
from genlab.testing.subject import random_states, refuses, seed_all
from genlab.testing.watching import HostWaits

MANY = 16  # examples, of which not all samples are the same by chance


@check()
def builds(subject: ModuleSubject) -> None:
    """It can be built for the shapes and latent sizes that are tried, or refuses them with a ValueError.

    A ValueError in a constructor is an answer to whoever wrote the recipe; anything else is a defect. At least one
    of them must be taken.
    """
    refusal: Exception | None = None
    for case in subject.tried():
        try:
            subject.build(*case.given)
        except Exception as error:
            cause = error if error.__cause__ is None else error.__cause__
            if not refuses(error):
                raise Failed(
                    expected=f"that it can be built for {case}, or refuses with a ValueError",
                    came=f"{type(cause).__name__}: {cause}",
                    mend="compute sizes from the arguments; where there is no meaning in them, "
                    "raise ValueError('images (C, H, W) are expected, but ...')",
                ) from error
            refusal = error
    if not subject.cases:
        raise Failed(
            expected="that it can be built in one of the ways that are tried",
            came=refused_by(refusal) if refusal else "none of them was tried",
            mend=f"give the options that it requires, width=8 for example{subject.otherwise}",
        )


def of_a_batch(subject: ModuleSubject, case: Case, batch: int, mend: str) -> Any:
    """Return what it makes of a batch; raises ``Failed``, with ``mend``, if it raises."""
    module = subject.module(case)
    try:
        return module(*subject.inputs(case, batch))
    except Exception as error:
        if any(isinstance(each, _BatchNorm) for each in module.modules()):
            mend = "BatchNorm cannot tell the variance of a single number: use nn.LayerNorm or nn.GroupNorm"
        expected = f"a result for a batch of {batch} ({case})"
        raise Failed(expected=expected, came=refused_by(error), mend=mend) from None


@check("builds")
def same_seed_same_weights(subject: ModuleSubject) -> None:
    """Built twice under one seed, it has the same weights.

    They are part of what a recipe's seed decides; without that no result can be had again.
    """
    first, second = (subject.module().state_dict() for _ in range(2))
    for name, value in first.items():
        if isinstance(value, Tensor) and not torch.equal(value, second[name]):
            raise Failed(
                expected=f"the same {name} from the same seed",
                came="other values the second time",
                mend="draw initial values from torch's global state (torch.randn, torch.nn.init), which genlab "
                "has seeded, not from a generator of your own",
            )


@check("shapes")
def leaves_the_seed_alone(subject: ModuleSubject) -> None:
    """Neither building nor using it sets the random state of torch, numpy or Python.

    A seed set inside a part makes every run alike behind its back, whatever the recipe's seed is.
    """
    states = []
    for seed in (1, 2):
        module = subject.module(seed=seed)
        built = random_states()
        inputs = subject.inputs(subject.case)
        seed_all(seed)
        subject.step(module.train(), *inputs)
        states.append({"building": built, "using": random_states()})
    first, second = states
    for what, found in first.items():
        if same := [name for name, state in found.items() if state == second[what][name]]:
            raise Failed(
                expected=f"that {same[0]}'s random state still depends on the seed set before",
                came=f"the same state from seeds 1 and 2 after {what} it",
                mend="take manual_seed() out; draw from torch's global state, which genlab has seeded",
            )


@check("shapes", "same_seed_same_weights")
def repeats_itself_under_a_seed(subject: ModuleSubject) -> None:
    """One training step, drawn twice under one seed, gives the same numbers.

    Otherwise a resumed run differs from one that was never stopped.
    """
    found = []
    for _ in range(2):
        module = subject.module().train()
        seed_all(2)
        found.append(subject.step(module, *subject.inputs(subject.case)))
    if any(not torch.equal(a, b) for a, b in zip(*found, strict=True)):
        raise Failed(
            expected="the same numbers from the same weights, inputs and seed",
            came="other numbers the second time",
            mend="draw noise from torch's global state: torch.randn, torch.randn_like, dropout; not from numpy, "
            "random, or a generator of your own",
        )


@check("shapes", "repeats_itself_under_a_seed")
def eval_mode_is_steady(subject: ModuleSubject) -> None:
    """In eval mode it gives the same numbers each time that it is asked.

    An evaluation, and a trained model, must not depend on how often they were used before.
    """
    module = subject.module().eval()
    with torch.no_grad():
        first, second = (subject.steady(module, *subject.inputs(subject.case)) for _ in range(2))
    if not torch.equal(first, second):
        raise Failed(
            expected="the same numbers twice in eval mode",
            came=f"numbers that differ by up to {(first - second).abs().max().item():.3g}",
            mend="let noise, dropout and running statistics depend on self.training: nn.Dropout, or "
            "F.dropout(x, training=self.training)",
        )


@check("shapes", "eval_mode_is_steady")
def draws_follow_the_seed(subject: ModuleSubject) -> None:
    """Samples are the same under the same seed, and others under another.

    A generator of its own draws the same noise in each run, whatever the recipe's seed is.
    """
    first, again, other = (_drawn(subject, seed) for seed in (1, 1, 2))
    for a, b, c in zip(first, again, other, strict=True):
        if not torch.equal(a, b) or torch.equal(a, c):
            raise Failed(
                expected="samples that depend on torch's random state, and on nothing else",
                came="others under the same seed" if not torch.equal(a, b) else "the same under two seeds",
                mend="draw from torch's global state, which genlab has seeded: leave `generator=` out",
            )


def _drawn(subject: ModuleSubject, seed: int) -> tuple[Tensor, ...]:
    module, inputs = subject.module().eval(), subject.inputs(subject.case, MANY)
    seed_all(seed)
    with torch.no_grad():
        return subject.draws(module, *inputs)


@check("shapes")
def leaves_its_mode_alone(subject: ModuleSubject) -> None:
    """It stays in training mode, or in eval mode, when it is used, and so do all its modules.

    The trainer sets the mode; a part that changes it changes what its neighbours compute.
    """
    for training in (True, False):
        module = subject.module().train(training)
        subject.step(module, *subject.inputs(subject.case))
        changed = [name or type(module).__name__ for name, m in module.named_modules() if m.training != training]
        if changed:
            raise Failed(
                expected=f"that every module is in {'training' if training else 'eval'} mode still",
                came=f"changed: {', '.join(changed[:5])}",
                mend="take .train() and .eval() out of forward; ask self.training where the two differ",
            )


@check("shapes")
def leaves_its_input_alone(subject: ModuleSubject) -> None:
    """The tensors that it is given are as before afterwards.

    A batch is used again: by the likelihood, by evaluation, by the next part.
    """
    inputs = subject.inputs(subject.case)
    before = [value.clone() for value in inputs]
    subject.step(subject.module(), *inputs)
    if any(not torch.equal(a, b) for a, b in zip(inputs, before, strict=True)):
        raise Failed(
            expected="inputs that have not changed",
            came="other values in the tensor that it was given",
            mend="replace in-place operations on the input (x -= 0.5, x.clamp_(), F.relu_) by others (x - 0.5)",
        )


@check("shapes", "eval_mode_is_steady")
def treats_each_example_alone(subject: ModuleSubject) -> None:
    """In eval mode an example's result does not depend on what else is in the batch.

    Results would depend on the batch size otherwise, and a last, smaller batch would be treated differently.
    """
    for case in subject.cases:
        module = subject.module(case).eval()
        with torch.no_grad():
            whole = subject.steady(module, *subject.inputs(case, 3))
            alone = subject.steady(module, *(value[1:2] for value in subject.inputs(case, 3)))
        if not torch.allclose(whole[1:2], alone, rtol=1e-3, atol=1e-4):
            raise Failed(
                expected=f"the same numbers for an example alone and in a batch of 3 ({case})",
                came=f"numbers that differ by {(whole[1:2] - alone).abs().max().item():.3g}",
                mend="let nothing be averaged or normalised along the batch in eval mode; layer or group "
                "normalisation does it within an example",
            )


@check("shapes")
def gradients_reach_every_parameter(subject: ModuleSubject) -> None:
    """The gradient of what training minimises reaches every parameter that asks for one, and is finite.

    Parameters are moved a little first, so an initialisation of zeros is no obstacle.
    """
    for case in subject.cases:
        module = subject.moved(case)
        wanted = {name: p for name, p in module.named_parameters() if p.requires_grad}
        if not wanted:
            continue
        loss = subject.loss(module, *subject.inputs(case, 16))
        if not loss.requires_grad:
            raise _unreached(wanted, "nothing: the result does not depend on any parameter")
        found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
        for name, gradient in zip(wanted, found, strict=True):
            if gradient is None or not (gradient != 0).any():
                raise _unreached({name: wanted[name]}, "none" if gradient is None else "zeros")
            if not gradient.isfinite().all():
                raise _unreached({name: wanted[name]}, "one that is not finite")


def _unreached(params: dict[str, nn.Parameter], came: str) -> Failed:
    return Failed(
        expected=f"a gradient of {', '.join(list(params)[:5])}",
        came=came,
        mend="use the parameter in forward, remove it, or give it requires_grad=False; look for .detach(), "
        "no_grad() and layers that are built but not called",
    )


@check("shapes")
def does_not_make_the_host_wait(subject: ModuleSubject) -> None:
    """A step, forward and backward, reads no tensor's value on the host.

    `.item()`, `if tensor:`, boolean masks and the validation of torch.distributions make a GPU stand still.
    """
    module = subject.module().train()
    inputs = subject.inputs(subject.case)
    with HostWaits() as watch:
        loss = subject.loss(module, *inputs)
        if loss.requires_grad:
            loss.backward()
    if watch.found:
        raise Failed(
            expected="no operation whose result the host must wait for",
            came="; ".join(dict.fromkeys(watch.found[:3])),
            mend="build distributions with validate_args=False (genlab.diagonal_normal does), use torch.where in "
            "place of `if` and masks, and leave numbers on the device",
        )


@check("shapes")
def computes_in_float32(subject: ModuleSubject) -> None:
    """Parameters and results are float32.

    Precision is the recipe's choice (`train.precision`), not the part's.
    """
    module = subject.module()
    found = {name: p.dtype for name, p in module.named_parameters() if p.is_floating_point()}
    results = subject.step(module, *subject.inputs(subject.case))
    found |= {f"result {i}": value.dtype for i, value in enumerate(results)}
    wrong = [f"{name}: {dtype}" for name, dtype in found.items() if dtype != torch.float32]
    if wrong:
        raise Failed(
            expected="float32 throughout",
            came=", ".join(wrong[:5]),
            mend="build tensors with torch.float32, and turn numpy's float64 into it: torch.as_tensor(a).float()",
        )


def refused_by(error: Exception) -> str:
    """Return what an error says, on one line."""
    cause = error if error.__cause__ is None or isinstance(error, GenlabError) else error.__cause__
    return f"{type(cause).__name__}: {' '.join(str(cause).partition('    For further')[0].split())}"
