"""What an objective must do: a model and a batch -> terms, nats per example."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from genlab.interfaces import Terms
from genlab.testing import machines, modules, parts, terms
from genlab.testing.checking import Failed, Suite, check
from genlab.testing.objective_subject import ObjectiveSubject
from genlab.testing.subject import BATCHES


@check("builds")
def forward(subject: ObjectiveSubject) -> None:
    """It returns genlab.Terms."""
    terms: object = subject.module()(*subject.inputs(subject.case))
    if not isinstance(terms, Terms):
        raise Failed(
            expected="genlab.Terms(loss, {'nll': ..., 'kl': ...})", came=type(terms).__name__, mend="return Terms"
        )


@check("forward")
def shapes(subject: ObjectiveSubject) -> None:
    """The loss and every log are 0-dim tensors."""
    terms = subject.module()(*subject.inputs(subject.case))
    for name, value in {"loss": terms.loss, **terms.logs}.items():
        if not isinstance(value, Tensor) or value.ndim:
            raise Failed(
                expected=f"{name} as a 0-dim tensor",
                came=f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value),
                mend="take .mean() over the batch, and leave the result on the device, without .item()",
            )


@check("shapes")
def any_batch_size(subject: ObjectiveSubject) -> None:
    """For one example and for an odd number of them, loss and logs are finite."""
    for batch in BATCHES:
        terms = subject.module()(*subject.inputs(subject.case, batch))
        for name, value in {"loss": terms.loss, **terms.logs}.items():
            if not value.isfinite():
                raise Failed(
                    expected=f"a finite {name} for {batch} example{'s' if batch > 1 else ''}",
                    came=f"{value.item()}",
                    mend="use nothing that needs a second example, as a standard deviation over the batch does",
                )


@check("shapes")
def names_its_logs(subject: ObjectiveSubject) -> None:
    """The names of logs are words, and none is "loss".

    They become `train/nll`, `val/kl` ...; `train/loss` is there already.
    """
    terms = subject.module()(*subject.inputs(subject.case))
    wrong = [
        name for name in terms.logs if name == "loss" or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", str(name))
    ]
    if wrong:
        raise Failed(
            expected="names of letters, digits and _, other than 'loss'",
            came=", ".join(map(repr, wrong)),
            mend="call them nll, kl ...: the split goes before them by itself",
        )


@check("any_batch_size", "eval_mode_is_steady")
def is_a_mean_over_the_batch(subject: ObjectiveSubject) -> None:
    """In eval mode, loss and logs of a batch are the means of those of its pieces, weighted by their sizes.

    Evaluation relies on it: its numbers are exact whatever the batch size. A posterior that is always drawn at the
    same point makes the comparison exact.
    """
    pair = subject.module(sure=True).eval()
    (x,) = subject.inputs(subject.case, 6)
    with torch.no_grad():
        whole, first, rest = (torch.stack(subject.step(pair, piece)) for piece in (x, x[:2], x[2:]))
    wanted = (2 * first + 4 * rest) / 6
    if not torch.allclose(whole, wanted, rtol=1e-4, atol=1e-3):
        i = int((whole - wanted).abs().argmax())
        raise Failed(
            expected=f"{'loss' if i == 0 else 'a log'} of {wanted[i].item():.5g}, the mean over pieces of 2 and 4",
            came=f"{whole[i].item():.5g} for the batch of 6",
            mend="end each term with .mean() over the examples, not .sum()",
        )


@check("shapes")
def leaves_its_model_alone(subject: ObjectiveSubject) -> None:
    """No parameter of the model changes, and none has a gradient yet.

    Backward and update are the trainer's.
    """
    pair = subject.module().train()
    before = [p.detach().clone() for p in pair.model.parameters()]
    subject.step(pair, *subject.inputs(subject.case))
    moved = any(not torch.equal(a, b) for a, b in zip(before, pair.model.parameters(), strict=True))
    if moved or any(p.grad is not None for p in pair.model.parameters()):
        raise Failed(
            expected="a model as it was",
            came="changed parameters" if moved else "gradients",
            mend="return the loss and leave .backward(), steps and clamps to training",
        )


@check("eval_mode_is_steady", "repeats_itself_under_a_seed")
def depends_on_the_step_alone(subject: ObjectiveSubject) -> None:
    """After at_step(k) it is the same, whatever steps it was told before.

    A resumed run is told its step once; one that was never stopped, every step in turn.
    """
    losses = []
    for steps in ((7,), (0, 50, 7, 7)):
        pair = subject.module().train()
        for step in steps:
            pair.objective.at_step(step)
        losses.append(subject.steady(pair, *subject.inputs(subject.case)))
    if not torch.equal(*losses):
        raise Failed(
            expected=f"a loss of {losses[0].item():.6g} at step 7",
            came=f"{losses[1].item():.6g} after at_step(0), at_step(50), at_step(7) twice",
            mend="compute what changes from `step` in at_step, with .fill_(); do not count calls",
        )


@check("eval_mode_is_steady")
def evaluates_alike_at_every_step(subject: ObjectiveSubject) -> None:
    """In eval mode the loss does not depend on the step.

    Early stopping and `genlab compare` set evaluations of different epochs side by side.
    """
    losses = []
    for step in (0, 1_000_000):
        pair = subject.module()
        pair.objective.at_step(step)
        losses.append(subject.steady(pair.eval(), *subject.inputs(subject.case)))
    if not torch.equal(*losses):
        raise Failed(
            expected=f"the same loss in eval mode at steps 0 and 1,000,000: {losses[1].item():.6g}",
            came=f"{losses[0].item():.6g} at step 0",
            mend="use the final weight where self.training is False",
        )


@check("forward")
def keeps_the_step_in_buffers(subject: ObjectiveSubject) -> None:
    """at_step fills buffers in place and changes nothing else.

    Compiled and captured steps read a buffer where it lies; a number, or a new tensor, they would not see.
    """
    objective = subject.module().objective
    places = []
    for step in (0, 50):
        objective.at_step(step)
        places.append(_places(objective))
    before, after = places
    if changed := [name for name in before | after if before.get(name) != after.get(name)]:
        raise Failed(
            expected="the same attributes after at_step(0) and at_step(50), buffers aside",
            came=f"another {changed[0]}: {before.get(changed[0])}, then {after.get(changed[0])}",
            mend="make a buffer of it in the constructor (register_buffer), and .fill_() that in at_step",
        )


def _places(module: nn.Module) -> dict[str, object]:
    """Return an objective's plain values, and where its tensors lie in memory, by name."""
    found: dict[str, object] = {}
    for path, each in module.named_modules():
        held = {**vars(each), **each._buffers, **each._parameters}
        for name, value in held.items():
            where = f"{path}.{name}" if path else name
            if isinstance(value, Tensor):
                found[where] = f"a tensor at {value.data_ptr():#x}"
            elif value is None or isinstance(value, bool | int | float | str | tuple):
                found[where] = value
    return found


@check("eval_mode_is_steady", "state_is_tensors", "depends_on_the_step_alone")
def is_the_same_after_saving(subject: ObjectiveSubject) -> None:
    """Its state, loaded into a new one, makes it the same.

    Checkpoints keep it, so that a resumed run goes on as if it had not been stopped.
    """
    pair, other = subject.moved(), subject.module()
    subject.step(pair.train(), *subject.inputs(subject.case))
    other.load_state_dict(pair.state_dict())
    found = []
    for each in (pair, other):
        each.objective.at_step(7)
        found += [subject.steady(each.train(mode), *subject.inputs(subject.case)) for mode in (False, True)]
    if found[:2] != found[2:]:
        raise Failed(
            expected=f"losses of {found[0].item():.6g} and, in training, {found[1].item():.6g}",
            came=f"{found[2].item():.6g} and {found[3].item():.6g} from the one that was loaded",
            mend="keep what changes in training in parameters or in buffers with persistent=True, the default",
        )


CHECKS = (
    parts.registers,
    parts.says_what_it_is,
    modules.builds,
    forward,
    shapes,
    any_batch_size,
    names_its_logs,
    modules.computes_in_float32,
    is_a_mean_over_the_batch,
    modules.same_seed_same_weights,
    modules.leaves_the_seed_alone,
    modules.repeats_itself_under_a_seed,
    modules.eval_mode_is_steady,
    evaluates_alike_at_every_step,
    depends_on_the_step_alone,
    keeps_the_step_in_buffers,
    modules.leaves_its_mode_alone,
    modules.leaves_its_input_alone,
    leaves_its_model_alone,
    terms.logs_are_what_their_names_say,
    terms.rises_with_nll_and_kl,
    terms.is_in_nats,
    terms.nll_reaches_the_encoder,
    modules.gradients_reach_every_parameter,
    modules.does_not_make_the_host_wait,
    machines.moves_to_another_device,
    machines.bears_half_precision,
    machines.compiles_whole,
    machines.state_is_tensors,
    is_the_same_after_saving,
    parts.options_survive_a_recipe,
    parts.schema_accepts_its_options,
)
OBJECTIVE = Suite("objective", ObjectiveSubject, CHECKS)
