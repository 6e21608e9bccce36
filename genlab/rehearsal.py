"""A recipe rehearsed: everything short of training, on a batch that the model itself makes up.

No file is read and nothing is fetched: x is drawn from p(x|z) at z from the prior, so that it lies where the
likelihood is defined, and kept within what the data source makes of bytes. On the CPU one such batch goes
forward and backward in training mode and moves the parameters once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from genlab.blame import blaming, check_monitors, metric_names
from genlab.build import (
    build_data,
    build_model,
    build_objective,
    build_optimizer,
    build_schedule,
    parameter_counts,
)  # fmt: skip
from genlab.contract import BATCH, Faults, blamed, check_objective, check_pass, check_probabilities
from genlab.device import Device, resolve
from genlab.errors import PartError
from genlab.exits import answering
from genlab.interfaces import DataSource, Objective, Schedule, Terms
from genlab.model import LatentModel
from genlab.opening import Opened
from genlab.precision import resolve_precision
from genlab.recipe import Recipe
from genlab.registry import Registry
from genlab.seeds import seeded
from genlab.summary import parameter_count
from genlab.train.step import TrainStep

COPIES = 4  # of the parameters in a step: themselves, their gradients, Adam's two moments
SHOWN = 5  # parameters that a warning names
STEPS = 100  # of the training that a schedule is asked about; how many there will be depends on the data


@dataclass(frozen=True)
class Rehearsal:
    """What came of a recipe that works. parameters: how many the model has. warnings: what looks wrong."""

    recipe: Recipe
    parameters: int
    seconds: float
    warnings: tuple[str, ...]


def rehearse(opened: Opened, registry: Registry) -> Rehearsal:
    """Build every part but the trackers and take one step.

    Raises ``GenlabError`` naming the parts that disagree, or the one that fails, with its place in the recipe.
    """
    start = time.monotonic()
    with blaming(opened.tree), answering():
        parameters, warnings = _rehearse(opened, registry)
    return Rehearsal(opened.recipe, parameters, time.monotonic() - start, tuple(warnings))


def _rehearse(opened: Opened, registry: Registry) -> tuple[int, list[str]]:
    """Return how many parameters there are and what looks wrong; where a part fails, go on with the others."""
    recipe, device = opened.recipe, resolve("cpu")
    model = objective = None
    warnings: list[str] = []
    with Faults() as faults, seeded(recipe.seed, device.on):
        with faults.collecting():
            objective = build_objective(recipe, registry)
        with faults.collecting():
            _check_schedule(build_schedule(recipe, registry), recipe)
        with faults.collecting():
            data = build_data(recipe, registry)
            check_size(recipe, data.x_shape, registry)
            model = build_model(recipe, data.x_shape, registry)
            if recipe.train.precision in device.can.precisions:
                model.precision = resolve_precision(recipe.train.precision, device)
        if model is not None and objective is not None:
            x = _drawn(model, min(BATCH, recipe.train.batch_size))
            with faults.collecting():
                x = _within(data, x)
            with faults.collecting():
                terms = _evaluated(model, objective, x)
                with faults.collecting():
                    check_monitors(recipe, terms, opened.tree)
                warnings = _train(recipe, model, objective, x, registry, device)
        if faults.found:
            # The optimizer may not have had its turn. What is wrong with its options is so for any parameter.
            with faults.collecting():
                build_optimizer(recipe, [Parameter(torch.zeros(2, 2))], registry, fused=device.can.fused)
    assert model is not None
    return parameter_count(model), warnings


def metrics_of(recipe: Recipe, registry: Registry) -> list[str]:
    """Return the metrics that a run of a recipe will have; raise ``PartError`` if its parts do not fit."""
    data = build_data(recipe, registry)
    check_size(recipe, data.x_shape, registry)
    model = build_model(recipe, data.x_shape, registry)
    with seeded(recipe.seed, model.device):
        x = fake_batch(model, data, BATCH)
        return metric_names(_evaluated(model, build_objective(recipe, registry), x))


def check_size(recipe: Recipe, x_shape: tuple[int, ...], registry: Registry, *, most: int | None = None) -> None:
    """Raise ``PartError`` for a model that this machine's memory cannot hold, before it is asked to.

    x_shape: of one example. most: bytes that its parameters alone may take, where no step is to be made.
    """
    try:
        counts = parameter_counts(recipe, x_shape, registry)
    except Exception:  # a part that cannot be built without memory is built in earnest next
        return
    total = sum(counts.values())
    largest = max(counts, key=lambda kind: counts[kind])
    shares = f"{total:,} parameters, {counts[largest]:,} of them in its {largest}"
    needed, there = COPIES * 4 * total, resolve("cpu").memory
    if there is not None and needed > there:
        raise PartError(
            f"the model would have {shares}; a step takes {needed / 2**30:,.0f} GiB, and this machine has "
            f"{there / 2**30:,.0f} GiB",
            largest,
        )
    if most is not None and 4 * total > most:
        raise PartError(f"the model would have {shares}; that is too large to be built for a look", largest)


def fake_batch(model: LatentModel, data: DataSource, examples: int) -> Tensor:
    """Return x ``(examples, *x_shape)`` drawn from the model, within what ``data.prepare`` makes of bytes.

    Raises ``PartError`` if the source prepares batches of another shape or type than it says.
    """
    return _within(data, _drawn(model, examples))


@torch.no_grad()
def _drawn(model: LatentModel, examples: int) -> Tensor:
    p = model.p(model.prior().sample((examples,)))
    try:
        return p.sample().float()
    except NotImplementedError:  # torch does not ask every distribution to have it
        return p.mean.float()


def _within(data: DataSource, x: Tensor) -> Tensor:
    prepared = _prepared(data, x)
    if not prepared.isfinite().all():
        return x
    return x.clamp(prepared.min(), prepared.max())


def _prepared(data: DataSource, x: Tensor) -> Tensor:
    """Return what a source makes of bytes from 0 to 255; of x, if it takes no bytes."""
    who, wanted = f"data {type(data).__name__}", tuple(x.shape)
    noise = torch.randint(0, 256, wanted, dtype=torch.uint8)
    noise.view(-1)[0], noise.view(-1)[-1] = 0, 255
    problem = PartError(f"{who}: prepare() takes neither bytes nor float32", "data")
    for stored in (noise, x):
        try:
            prepared: object = data.prepare(stored)
        except Exception as error:
            problem = PartError(
                f"{who}: prepare() fails on {stored.dtype} of shape {wanted}: {type(error).__name__}: {error}",
                "data",
            )
            continue
        if isinstance(prepared, Tensor) and prepared.dtype == torch.float32 and tuple(prepared.shape) == wanted:
            return prepared
        made = f"{prepared.dtype} of shape {tuple(prepared.shape)}" if isinstance(prepared, Tensor) else prepared
        problem = PartError(
            f"{who}: prepare() turns a batch of shape {wanted} into {made}; float32 of shape {wanted} is "
            f"expected: the source's x_shape is {tuple(data.x_shape)}",
            "data",
        )
    raise problem


def _evaluated(model: LatentModel, objective: Objective, x: Tensor) -> Terms:
    """Check one evaluation and return its terms."""
    model.eval()
    objective.eval()
    with torch.no_grad():
        check_probabilities(model, x)
        terms = check_objective(objective, model, x)
    _check_finite(terms, model, x, "evaluation")
    return terms


def _train(
    recipe: Recipe, model: LatentModel, objective: Objective, x: Tensor, registry: Registry, device: Device
) -> list[str]:
    """Take one training step as training would; return what looks wrong about the gradients."""
    model.train()
    objective.train()
    with blamed(f"objective {type(objective).__name__}", "at_step(0)", "objective"):
        objective.at_step(0)
    with torch.no_grad():
        check_pass(model, x)
    terms = check_objective(objective, model, x)
    _check_finite(terms, model, x, "training")
    named = _trainable(model, objective)
    warnings = _check_gradients(terms, named)

    optimizer = build_optimizer(recipe, list(named.values()), registry, fused=device.can.fused)
    scaler = model.precision.scaler()
    step = TrainStep(lambda x: objective(model, x), optimizer, scaler, clip_norm=recipe.train.clip_norm)
    who = f"optimizer {recipe.optimizer.use!r}"
    with blamed(who, "its first step", "optimizer"):
        step([x])
    for name, p in named.items():
        if not p.isfinite().all():
            raise PartError(
                f"{who}: {name} is not finite after one step; a smaller lr is the usual remedy", "optimizer"
            )
    return warnings


def _trainable(model: LatentModel, objective: Objective) -> dict[str, Parameter]:
    """Return what the optimizer will be given, by name: ``encoder.net.1.weight``."""
    named = dict(model.named_parameters())
    named |= {f"objective.{name}": p for name, p in objective.named_parameters()}
    return {name: p for name, p in named.items() if p.requires_grad}


def _check_gradients(terms: Terms, named: dict[str, Parameter]) -> list[str]:
    """Go backward; return a warning if there are parameters that nothing moves."""
    if not terms.loss.requires_grad:
        raise PartError(
            "the loss depends on no parameter that can be trained, so there is nothing to train", "objective"
        )
    with blamed("the backward pass", "a loss that is finite", "objective"):
        terms.loss.backward()
    for name, p in named.items():
        if p.grad is not None and not p.grad.isfinite().all():
            raise PartError(
                f"the gradient of {name} is not finite on a batch drawn from the model itself, although the loss "
                "is: look for sqrt, log or a division at zero on the way to it"
            )
    unmoved = [name for name, p in named.items() if p.grad is None]
    if not unmoved:
        return []
    more = f" and {len(unmoved) - SHOWN} more" if len(unmoved) > SHOWN else ""
    which = "this parameter" if len(unmoved) == 1 else "these parameters"
    return [f"no gradient reaches {', '.join(unmoved[:SHOWN])}{more}: the loss does not depend on {which}"]


def _check_finite(terms: Terms, model: LatentModel, x: Tensor, when: str) -> None:
    """Raise ``PartError`` naming the first part whose output is not finite if the loss or a log is not."""
    values = {"loss": terms.loss, **terms.logs}
    if all(math.isfinite(value.item()) for value in values.values()):
        return
    shown = ", ".join(f"{name} {value.item():g}" for name, value in values.items())
    who, kind = _culprit(model, x)
    raise PartError(f"{who}: not finite on a batch drawn from the model itself, in {when} ({shown})", kind)


@torch.no_grad()
def _culprit(model: LatentModel, x: Tensor) -> tuple[str, str]:
    """Return which part's output is the first that is not finite, and its kind."""
    q = model.q(x)
    z = q.rsample()
    encoder, prior = f"encoder {type(model.encoder).__name__}", f"prior {type(model.prior).__name__}"
    likelihood = f"likelihood {type(model.likelihood).__name__}"
    steps: list[tuple[str, str, Callable[[], Tensor]]] = [
        (f"{encoder}: a sample of q(z|x)", "encoder", lambda: z),
        (f"{encoder}: log q(z|x)", "encoder", lambda: q.log_prob(z)),
        (f"decoder {type(model.decoder).__name__}: h", "decoder", lambda: model.decoder(z)),
        (f"{likelihood}: log p(x|z)", "likelihood", lambda: model.p(z).log_prob(x)),
        (f"{prior}: log p(z)", "prior", lambda: model.prior().log_prob(z)),
        (f"KL(q || prior) of {encoder} and {prior}", "", lambda: model.kl(q, z)),
    ]
    for who, kind, value in steps:
        if not value().isfinite().all():
            return who, kind
    return "objective: the loss", "objective"


def _check_schedule(schedule: Schedule, recipe: Recipe) -> None:
    """Ask a schedule for factors over a training of ``STEPS`` steps."""
    who = f"schedule {recipe.schedule.use!r}"
    for step in range(STEPS):
        with blamed(who, f"step {step} of {STEPS}", "schedule"):
            factor: object = schedule.factor(step, STEPS, [])
        if not isinstance(factor, int | float) or not 0 <= factor < math.inf:
            raise PartError(
                f"{who}: the factor on the learning rate at step {step} of {STEPS} is {factor!r}; a number >= 0 "
                "is expected",
                "schedule",
            )
