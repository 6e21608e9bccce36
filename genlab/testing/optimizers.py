"""What an optimizer must do: parameters follow their gradients."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from genlab.testing import parts
from genlab.testing.checking import Failed, Skipped, Suite, check
from genlab.testing.modules import refused_by
from genlab.testing.subject import PartSubject, refuses
from genlab.testing.watching import HostWaits, Strays
from genlab.train.parameters import flattened
from genlab.train.tree import pack, unpack

STARTS = ([1.0, -2.0, 0.5], [[3.0, -0.1], [0.7, 2.0]], 1.5)
STEPS = 3
UNTOLD = ("'Meta' backend", "item() cannot be called on meta", "register_meta")  # what another device may well do
Params = Sequence[Parameter]


class OptimizerSubject(PartSubject):
    """An optimizer under test, on a parabola of parameters of several shapes."""

    kind: ClassVar[str] = "optimizer"

    def on(self, *params: Parameter) -> Optimizer:
        """Build it for some parameters."""
        optimizer: Optimizer = self.build(list(params), False)
        return optimizer

    def fresh(self) -> tuple[Params, Optimizer]:
        """Return parameters and an optimizer of them."""
        params = [Parameter(torch.tensor(start)) for start in STARTS]
        return params, self.on(*params)

    def stride(self, share: float = 1.0) -> float:
        """Return the length of the first step, with a share of the rate that is in the groups."""
        params, optimizer = self.fresh()
        before = values(params)
        for group in optimizer.param_groups:
            group["lr"] = share * group["lr"]
        return (descend(params, optimizer, 1) - before).norm().item()

    def slower(self) -> OptimizerSubject | None:
        """The same with half its option ``lr``; None if it has no such option, or refuses that."""
        if self.registered.refusal:
            return None
        rate = self.part.parse(self.options).get("lr")
        if not isinstance(rate, int | float):
            return None
        half = OptimizerSubject(self.cls, **self.options | {"lr": rate / 2})
        try:
            half.fresh()
        except Exception as error:
            if refuses(error):
                return None
            raise
        return half


def values(params: Params) -> Tensor:
    """Return all numbers in one row ``(N,)``."""
    return torch.cat([p.detach().flatten() for p in params])


def height(params: Params) -> Tensor:
    """Return a parabola's value, whose minimum is at zero."""
    return torch.stack([(p**2).sum() for p in params]).sum()


def descend(params: Params, optimizer: Optimizer, steps: int = STEPS) -> Tensor:
    """Take some steps down the parabola and return where they lead."""
    for _ in range(steps):
        optimizer.zero_grad()
        height(params).backward()
        optimizer.step()
    return values(params)


@check()
def builds(subject: OptimizerSubject) -> None:
    """It can be built from parameters and whether their device has fused kernels, and takes a step."""
    descend(*subject.fresh(), 1)


@check("builds")
def has_a_learning_rate(subject: OptimizerSubject) -> None:
    """Each group of parameters has an `lr`, the option `lr` if there is one: half is a shorter step, 0 is none.

    Schedules set it before each step.
    """
    params, optimizer = subject.fresh()
    before = descend(params, optimizer, 1)
    if not all(isinstance(group.get("lr"), float | int | Tensor) for group in optimizer.param_groups):
        raise _rate("no lr in its groups")
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    if moved := (descend(params, optimizer, 1) - before).abs().max().item():
        raise _rate(f"a step of {moved:.3g} where it is 0")
    whole, half = subject.stride(), subject.stride(0.5)
    if not half < whole:
        raise _rate(f"a step of {half:.3g} with half the lr, where that with all of it is {whole:.3g}")
    slower = subject.slower()
    if slower is not None and not (half := slower.stride()) < whole:
        raise _rate(f"a step of {half:.3g} with half the option lr, where that with all of it is {whole:.3g}")


def _rate(came: str) -> Failed:
    return Failed(
        expected="param_groups with an lr that scales every step, decay included",
        came=came,
        mend="pass the option lr to torch.optim.Optimizer's defaults, and read it from the group in step()",
    )


@check("has_a_learning_rate")
def goes_downhill(subject: OptimizerSubject) -> None:
    """Ten steps on a parabola make it smaller, along every parameter."""
    params, optimizer = subject.fresh()
    before = [(p**2).sum().item() for p in params]
    descend(params, optimizer, 10)
    after = [(p**2).sum().item() for p in params]
    if wrong := [i for i, (a, b) in enumerate(zip(after, before, strict=True)) if not a < b]:
        i = wrong[0]
        raise Failed(
            expected=f"less than {before[i]:.4g}, where a parameter of shape {tuple(params[i].shape)} was",
            came=f"{after[i]:.4g}",
            mend="subtract the gradient, of every parameter in every group; a default lr that suits most models "
            "is smaller than one",
        )


@check("builds")
def repeats_itself(subject: OptimizerSubject) -> None:
    """The same gradients move the same parameters the same way, under one seed."""
    torch.manual_seed(1)
    first = descend(*subject.fresh())
    torch.manual_seed(1)
    if not torch.equal(first, descend(*subject.fresh())):
        raise Failed(
            expected="the same numbers twice",
            came="others the second time",
            mend="draw from torch's global state, and keep nothing in the class or the module",
        )


@check("builds")
def bears_parameters_without_gradient(subject: OptimizerSubject) -> None:
    """A parameter without a gradient stays where it is."""
    weight, idle = Parameter(torch.tensor(STARTS[0])), Parameter(torch.ones(2))
    optimizer = subject.on(weight, idle)
    try:
        descend([weight], optimizer)
        came = "it moved" if not torch.equal(idle, torch.ones(2)) else ""
    except Exception as error:
        came = refused_by(error)
    if came:
        raise Failed(
            expected="a parameter whose .grad is None to be passed over",
            came=came,
            mend="in step(): `if p.grad is None: continue`",
        )


@check("builds")
def state_can_be_written(subject: OptimizerSubject) -> None:
    """Its state is tensors, numbers, texts and lists of them, which JSON and safetensors hold.

    Checkpoints are not pickled.
    """
    params, optimizer = subject.fresh()
    descend(params, optimizer)
    try:
        pack(optimizer.state_dict())
    except TypeError as error:
        raise Failed(
            expected="a state_dict() of tensors, numbers and texts",
            came=str(error),
            mend="keep functions, generators and objects in attributes, not in state or param_groups",
        ) from None


@check("state_can_be_written", "repeats_itself")
def goes_on_from_its_saved_state(subject: OptimizerSubject) -> None:
    """Saved after some steps and loaded into a new one, it goes on as if it had not been stopped."""
    params, optimizer = subject.fresh()
    descend(params, optimizer)
    packed, tensors = pack(optimizer.state_dict())
    state = unpack(copy.deepcopy(packed), {name: value.clone() for name, value in tensors.items()})
    others, loaded = subject.fresh()
    with torch.no_grad():
        for other, p in zip(others, params, strict=True):
            other.copy_(p)
    loaded.load_state_dict(state)
    if not torch.equal(descend(others, loaded), descend(params, optimizer)):
        raise Failed(
            expected="the same steps after loading",
            came="others",
            mend="keep what a step depends on in self.state[p] or in the group, not in attributes of its own",
        )


@check("repeats_itself", "bears_parameters_without_gradient")
def is_elementwise_if_it_says_so(subject: OptimizerSubject) -> None:
    """If `elementwise` is True, parameters laid out as one vector move as they do one by one."""
    if not getattr(subject.cls, "elementwise", False):
        raise Skipped("it does not say that it is elementwise")
    found = []
    for together in (False, True):
        first, second = (Parameter(torch.tensor(start)) for start in STARTS[:2])
        params = [flattened([first, second])] if together else [first, second]
        optimizer = subject.on(*params)
        for _ in range(STEPS):
            for p in params:
                p.grad = p.grad.zero_() if together and p.grad is not None else None
            (first.sum() ** 2 + (second**4).sum()).backward()
            optimizer.step()
        found.append(torch.cat([first.detach().flatten(), second.detach().flatten()]))
    if not torch.allclose(found[0], found[1], rtol=1e-5, atol=1e-7):
        raise Failed(
            expected="the same steps, whether parameters come as one vector or one by one",
            came=f"steps that differ by up to {(found[0] - found[1]).abs().max().item():.3g}",
            mend="set elementwise = False (or leave it out) where a step depends on shapes or norms of parameters",
        )


@check("repeats_itself")
def is_graphable_if_it_says_so(subject: OptimizerSubject) -> None:
    """If `graphable` is True, a step reads no tensor's value on the host.

    `--runner graph` records one step and replays it.
    """
    if not getattr(subject.cls, "graphable", False):
        raise Skipped("it does not say that it is graphable")
    params, optimizer = subject.fresh()
    descend(params, optimizer, 1)
    with HostWaits(direct=True) as watch:  # torch's own read their step counts until they are captured
        optimizer.step()
    if watch.found:
        raise Failed(
            expected="a step that leaves numbers on the device",
            came="; ".join(watch.found[:3]),
            mend="set graphable = False (or leave it out), or compute with tensors throughout",
        )


@check("builds")
def steps_on_any_device(subject: OptimizerSubject) -> None:
    """A step works where the parameters lie, on tensors that lie there.

    torch's meta device stands for an accelerator. Where a step reads a value on the host, that device has none.
    """
    params = [Parameter(torch.tensor(start, device="meta")) for start in STARTS]
    came = ""
    with Strays() as strays:
        try:
            optimizer = subject.on(*params)
            for _ in range(STEPS):
                for p in params:
                    p.grad = torch.ones_like(p)
                optimizer.step()
        except (RuntimeError, TypeError) as error:  # NotImplementedError is a RuntimeError
            came = refused_by(error)
    if any(said in came for said in UNTOLD):
        raise Skipped(f"torch cannot rehearse a step of it: {came}")
    if came or strays.found:
        raise Failed(
            expected="steps on another device",
            came="; ".join([*strays.found[:2], *filter(None, [came])]),
            mend="make state where the parameter lies, torch.zeros_like(p), and leave .cpu() and .numpy() out",
        )


@check("builds")
def leaves_gradients_alone(subject: OptimizerSubject) -> None:
    """Gradients are as they were after a step.

    `genlab bench` compares them afterwards, and whoever logs them shall not see what one optimizer makes of them.
    """
    params, optimizer = subject.fresh()
    for _ in range(STEPS):
        optimizer.zero_grad()
        height(params).backward()
        before = [p.grad.clone() for p in params if p.grad is not None]
        optimizer.step()
        if any(p.grad is None or not torch.equal(p.grad, grad) for p, grad in zip(params, before, strict=True)):
            raise Failed(
                expected="gradients that have not changed",
                came="others after step()",
                mend="replace in-place operations on p.grad (p.grad.mul_) by others (p.grad * ...)",
            )


CHECKS = (
    parts.registers,
    parts.says_what_it_is,
    builds,
    has_a_learning_rate,
    goes_downhill,
    repeats_itself,
    leaves_gradients_alone,
    bears_parameters_without_gradient,
    state_can_be_written,
    goes_on_from_its_saved_state,
    is_elementwise_if_it_says_so,
    is_graphable_if_it_says_so,
    steps_on_any_device,
    parts.options_survive_a_recipe,
    parts.schema_accepts_its_options,
)
OPTIMIZER = Suite("optimizer", OptimizerSubject, CHECKS)
