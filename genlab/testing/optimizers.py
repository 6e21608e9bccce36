"""What an optimizer must do: parameters follow their gradients."""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from genlab.testing import parts
from genlab.testing.checking import Failed, Skipped, Suite, check
from genlab.testing.modules import refused_by
from genlab.testing.subject import PartSubject
from genlab.testing.watching import HostWaits
from genlab.train.parameters import flattened
from genlab.train.tree import pack, unpack

START = (1.0, -2.0, 0.5)
STEPS = 3


class OptimizerSubject(PartSubject):
    """An optimizer under test, on a parabola."""

    kind: ClassVar[str] = "optimizer"

    def on(self, *params: Parameter) -> Optimizer:
        """Build it for some parameters."""
        optimizer: Optimizer = self.build(list(params), False)
        return optimizer

    def fresh(self) -> tuple[Parameter, Optimizer]:
        """Return a parameter and an optimizer of it."""
        weight = Parameter(torch.tensor(START))
        return weight, self.on(weight)


def descend(weight: Parameter, optimizer: Optimizer, steps: int = STEPS) -> Tensor:
    """Take some steps towards the minimum at zero and return where they lead."""
    for _ in range(steps):
        optimizer.zero_grad()
        (weight**2).sum().backward()
        optimizer.step()
    return weight.detach().clone()


@check()
def builds(subject: OptimizerSubject) -> None:
    """It can be built from parameters and whether their device has fused kernels, and takes a step."""
    descend(*subject.fresh(), 1)


@check("builds")
def has_a_learning_rate(subject: OptimizerSubject) -> None:
    """Each group of parameters has an `lr`, and with 0 there nothing moves.

    Schedules set it before each step.
    """
    weight, optimizer = subject.fresh()
    before = descend(weight, optimizer, 1)
    if not all(isinstance(group.get("lr"), float | int | Tensor) for group in optimizer.param_groups):
        moved = "no lr in its groups"
    else:
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        after = descend(weight, optimizer, 1)
        moved = "" if torch.equal(before, after) else f"a step of {(after - before).abs().max().item():.3g}"
    if moved:
        raise Failed(
            expected="param_groups with an lr that scales every step, decay included",
            came=moved,
            mend="pass lr to torch.optim.Optimizer's defaults and read it from the group in step()",
        )


@check("has_a_learning_rate")
def goes_downhill(subject: OptimizerSubject) -> None:
    """Ten steps on a parabola make it smaller."""
    weight, optimizer = subject.fresh()
    before = (weight**2).sum().item()
    descend(weight, optimizer, 10)
    after = (weight**2).sum().item()
    if not after < before:
        raise Failed(
            expected=f"less than {before:.4g}",
            came=f"{after:.4g}",
            mend="subtract the gradient; a default lr that suits most models is smaller than one",
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
    weight, idle = Parameter(torch.tensor(START)), Parameter(torch.ones(2))
    optimizer = subject.on(weight, idle)
    try:
        descend(weight, optimizer)
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
    weight, optimizer = subject.fresh()
    descend(weight, optimizer)
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
    weight, optimizer = subject.fresh()
    middle = descend(weight, optimizer)
    packed, tensors = pack(optimizer.state_dict())
    state = unpack(copy.deepcopy(packed), {name: value.clone() for name, value in tensors.items()})
    other, loaded = subject.fresh()
    with torch.no_grad():
        other.copy_(middle)
    loaded.load_state_dict(state)
    if not torch.equal(descend(other, loaded), descend(weight, optimizer)):
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
        first, second = Parameter(torch.tensor(START)), Parameter(torch.tensor([[3.0, -0.1], [7.0, 2.0]]))
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
    weight, optimizer = subject.fresh()
    descend(weight, optimizer, 1)
    weight.grad = torch.ones_like(weight)
    with HostWaits(direct=True) as watch:  # torch's own read their step counts until they are captured
        optimizer.step()
    if watch.found:
        raise Failed(
            expected="a step that leaves numbers on the device",
            came="; ".join(watch.found[:3]),
            mend="set graphable = False (or leave it out), or compute with tensors throughout",
        )


CHECKS = (
    parts.registers,
    parts.says_what_it_is,
    builds,
    has_a_learning_rate,
    goes_downhill,
    repeats_itself,
    bears_parameters_without_gradient,
    state_can_be_written,
    goes_on_from_its_saved_state,
    is_elementwise_if_it_says_so,
    is_graphable_if_it_says_so,
    parts.options_survive_a_recipe,
    parts.schema_accepts_its_options,
)
OPTIMIZER = Suite("optimizer", OptimizerSubject, CHECKS)
