"""Checks of modules on other machines, in other precisions, compiled, and saved."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from genlab.build import build_model
from genlab.runfiles import Metrics
from genlab.store import load_bundle, save
from genlab.testing.checking import Failed, Skipped, check
from genlab.testing.module_subject import Case, ModuleSubject
from genlab.testing.modules import refused_by
from genlab.testing.watching import Strays

PRECISE = 1e-4
ROUNDED = 1e-5  # relative; a loaded weight may lie otherwise in memory, and sums are rounded otherwise for it
UNREHEARSED = ("'Meta' backend", "with Meta tensors")  # what torch says of an operation that has no meta kernel
UNCOMPILED = ("Attempted to wrap RNN, GRU, or LSTM", "does not support running with fake tensors")


@check("shapes", "does_not_make_the_host_wait", "leaves_its_input_alone")
def moves_to_another_device(subject: ModuleSubject) -> None:
    """Moved to another device with its model, it leaves no tensor behind and makes its results there.

    torch's meta device, which every machine has, stands for the other one.
    """
    Distribution.set_default_validate_args(False)  # values, which there are none of, are another check's matter
    module = subject.module().to("meta")
    inputs = [value.to("meta") for value in subject.inputs(subject.case)]
    mend = (
        "register tensors that are not parameters, self.register_buffer('scale', ...), and make new ones where "
        "the input lies: torch.zeros(..., device=x.device), torch.randn_like(x)"
    )
    expected = "that all its tensors follow it to another device"
    with Strays() as watch:
        try:
            results = subject.step(module, *inputs)
        except NotImplementedError as error:
            if any(said in str(error) for said in UNREHEARSED):
                raise Skipped(f"torch cannot rehearse an operation of it: {refused_by(error)}") from None
            raise Failed(expected=expected, came=refused_by(error), mend=f"{mend}; leave .cpu() out") from None
        except RuntimeError as error:
            came = watch.found[-1] if watch.found else refused_by(error)
            raise Failed(expected=expected, came=came, mend=mend) from None
    stayed = [f"result {i} is on {value.device}" for i, value in enumerate(results) if not value.is_meta]
    if watch.found or stayed:
        raise Failed(expected=expected, came="; ".join((watch.found + stayed)[:3]), mend=mend)


@check("shapes", "computes_in_float32")
def bears_half_precision(subject: ModuleSubject) -> None:
    """With its networks in bf16 (autocast), a step's probabilities and losses are finite and float32.

    `train.precision: bf16` switches it on. Probabilities in 8 bits of mantissa are no use: genlab leaves them in
    float32, and a part must too.
    """
    module = subject.moved().train()
    inputs = subject.inputs(subject.case)
    mend = (
        "call .float() on the network's output before a distribution is made of it, as genlab.diagonal_normal does"
    )
    try:
        results = subject.halved(module, *inputs)
    except Exception as error:
        raise Failed(expected="a step under autocast", came=refused_by(error), mend=mend) from None
    for i, value in enumerate(results):
        if value.dtype != torch.float32 or not value.isfinite().all():
            finite = "finite" if value.isfinite().all() else "not finite"
            raise Failed(
                expected="finite float32 results", came=f"result {i} is {value.dtype}, {finite}", mend=mend
            )


@check("shapes")
def state_is_tensors(subject: ModuleSubject) -> None:
    """Its state is tensors under names, nothing else.

    Weights are kept in the safetensors format: nothing is pickled, so a model from a stranger is safe to load.
    """
    state = subject.module().state_dict()
    wrong = [f"{name}: {type(value).__name__}" for name, value in state.items() if not isinstance(value, Tensor)]
    if wrong:
        raise Failed(
            expected="a state_dict() of tensors",
            came=", ".join(wrong[:5]),
            mend="keep numbers in buffers (register_buffer) and settings in options; leave get_extra_state out",
        )


@check("shapes", "eval_mode_is_steady", "state_is_tensors", "registers", "options_survive_a_recipe")
def is_the_same_after_saving(subject: ModuleSubject) -> None:
    """Saved in a model bundle after training and loaded again, its state is the same, and it computes the same.

    The state to the last bit, results but for rounding. What is learned must be in parameters and in buffers that
    are saved.
    """
    for case in subject.cases:
        wanted, found = _before_and_after_saving(subject, case)
        other = [name for name, value in wanted.state.items() if not torch.equal(value, found.state[name])]
        if other:
            raise Failed(
                expected=f"the same state in the loaded model ({case})",
                came=f"other values in {', '.join(other[:5])}",
                mend="let state_dict() and load_state_dict() be what torch makes them",
            )
        off = (found.result - wanted.result).abs()
        if not (off <= ROUNDED * (1 + wanted.result.abs())).all():
            raise Failed(
                expected=f"the same numbers from the loaded model ({case})",
                came=f"numbers that differ by up to {off.max().item():.3g}",
                mend="keep what changes in training in parameters or in buffers with persistent=True, the default",
            )


class _Seen(NamedTuple):
    """A part's state, and what it computes in eval mode."""

    state: dict[str, Tensor]
    result: Tensor


def _before_and_after_saving(subject: ModuleSubject, case: Case) -> tuple[_Seen, _Seen]:
    """Return what a part is, and what it is once its model was saved and loaded."""
    registry = subject.registered.registry
    model = build_model(subject.recipe(latent=case.latent), case.x_shape, registry)
    part = getattr(model, subject.kind)
    with torch.no_grad():
        for p in part.parameters():
            p.add_(0.01 * torch.randn_like(p))
        subject.step(part.train(), *subject.inputs(case))  # running statistics move
        wanted = _Seen(part.state_dict(), subject.steady(part.eval(), *subject.inputs(case)))
    with tempfile.TemporaryDirectory(prefix="genlab-testing-") as name:
        folder = Path(name) / "model"
        metrics = Metrics(metrics={}, epoch=0, protocol="", command="", seed=0, device="cpu", history=[])
        save(folder, model, metrics, "", plugins=subject.plugins)
        loaded = load_bundle(folder, "cpu", plugins=subject.plugins)
    again = getattr(loaded, subject.kind)
    with torch.no_grad():
        return wanted, _Seen(again.state_dict(), subject.steady(again, *subject.inputs(case)))


@check("shapes", "does_not_make_the_host_wait", "repeats_itself_under_a_seed", "leaves_its_mode_alone")
def compiles_whole(subject: ModuleSubject) -> None:
    """torch.compile takes a whole step in one graph, and it computes the same.

    `--runner compile` and `--runner graph` need that. The backend aot_eager stands for the real one: it traces
    forward and backward, and needs no C++ compiler.
    """
    found = []
    torch.compiler.reset()
    Distribution.set_default_validate_args(False)  # as torch.compile does itself, but in the first check alone
    compiled = torch.compile(subject.loss, fullgraph=True, backend="aot_eager", dynamic=False)
    for run in (subject.loss, compiled):
        module = subject.moved().train()
        inputs = subject.inputs(subject.case)
        params = [p for p in module.parameters() if p.requires_grad]
        torch.manual_seed(3)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about torch's own insides
                loss = run(module, *inputs)
                gradients = torch.autograd.grad(loss, params, allow_unused=True) if loss.requires_grad else ()
        except Exception as error:
            if run is subject.loss:
                raise
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
            if any(said in str(error) for said in UNCOMPILED):
                raise Skipped(f"torch itself cannot compile it, train it with --runner eager: {reason}") from None
            raise Failed(
                expected="a step that torch.compile(fullgraph=True) takes",
                came=f"{type(error).__name__}: {reason}",
                mend="keep forward to tensor operations and plain Python: no printing, timing, files, global "
                "state or calls into other libraries; TORCH_LOGS=graph_breaks shows the line. What has to stay as "
                "it is can be trained with --runner eager",
            ) from None
        found.append([loss, *(g for g in gradients if g is not None)])
    torch.compiler.reset()
    differ = [i for i, (a, b) in enumerate(zip(*found, strict=True)) if not torch.allclose(a, b, PRECISE, PRECISE)]
    if differ:
        raise Failed(
            expected="the same loss and gradients, compiled and not",
            came=f"{found[0][0].item():.6g} and, compiled, {found[1][0].item():.6g}",
            mend="look for Python state that forward changes: a compiled step reads it once and for all",
        )
