"""TrainState: everything that the rest of a training depends on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from genlab.device import Device
from genlab.errors import RunError
from genlab.evaluate import Mean
from genlab.interfaces import Objective
from genlab.model import LatentModel
from genlab.seeds import RandomState
from genlab.train.callbacks import Record
from genlab.train.ema import EMA
from genlab.train.tree import Tree, copied, on


class Clock:
    """Counts the seconds since it was made, or started anew, on top of those that it was given."""

    def __init__(self, before: float = 0.0) -> None:
        self.before = before
        self.start()

    def start(self) -> float:
        """Count from now; return the time."""
        self.started = time.monotonic()
        return self.started

    @property
    def seconds(self) -> float:
        """The seconds so far."""
        return self.before + time.monotonic() - self.started


@dataclass
class TrainState:
    """A training between two steps.

    step: updates done; with the seed it says where in the data training stands. records: every evaluation so
    far, from which early stopping and schedules follow. mean, clock: the training metrics, and the time, since
    the last of them. best: the weights of the best evaluation, as the model had them there. random: a restored
    random state that is still to be set.
    """

    model: LatentModel
    objective: Objective
    optimizer: Optimizer
    scaler: GradScaler
    ema: EMA | None
    device: Device
    steps_per_epoch: int
    step: int = 0
    records: list[Record] = field(default_factory=list)
    best: dict[str, Tensor] | None = None
    random: RandomState | None = None
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.mean = Mean(self.device)

    @property
    def epoch(self) -> int:
        """The epoch that the last step belonged to, counted from 1."""
        return max(1, -(-self.step // self.steps_per_epoch))

    @property
    def evaluated(self) -> bool:
        """Whether the model has been evaluated as it stands."""
        return bool(self.records) and self.records[-1].step == self.step

    @property
    def position(self) -> tuple[int, int]:
        """Steps and evaluations done; a fresh state stands at (0, 0)."""
        return self.step, len(self.records)

    def take(self, record: Record) -> None:
        """Take in an evaluation of the model as it stands; keep its weights if it is the best."""
        self.records.append(record)
        self.mean, self.clock = Mean(self.device), Clock()
        if record.best:
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def tree(self) -> dict[str, Tree]:
        """Return the state as nested plain values and tensors; the tensors are the live ones."""
        random = self.random or RandomState.capture(self.device.on)
        return {
            "step": self.step,
            "steps_per_epoch": self.steps_per_epoch,
            "records": [asdict(record) | {"metrics": dict(record.metrics)} for record in self.records],
            "seconds": self.clock.seconds,
            "mean": {"names": list(self.mean.names), "sums": self.mean.sums, "count": self.mean.count},
            "model": _tensors(self.model),
            "objective": _tensors(self.objective),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": {"averages": self.ema.averages, "steps": self.ema.steps} if self.ema else None,
            "random": {
                "python": random.python,
                "numpy": random.numpy | {"state": _with_tensor(random.numpy["state"])},
                "cpu": random.cpu,
                "device": random.device,
            },
        }

    def restore(self, tree: Mapping[str, Tree]) -> None:
        """Become the state of ``tree``, in place: every tensor keeps its address.

        Raises ``RunError`` naming a part of the state that is missing, unknown or of another shape.
        """
        _same_keys("the state", tree, self.tree())
        if tree["steps_per_epoch"] != self.steps_per_epoch:
            raise RunError(
                f"the checkpoint counts {tree['steps_per_epoch']} steps an epoch, this run has "
                f"{self.steps_per_epoch}: the data or the batch size has changed"
            )
        _same_keys("the state's random", tree["random"], self.tree()["random"])
        _restore_optimizer(self.optimizer, tree["optimizer"])
        _fill("model", _tensors(self.model), tree["model"])
        _fill("objective", _tensors(self.objective), tree["objective"])
        if (self.ema is None) != (tree["ema"] is None):
            raise RunError("the checkpoint was made with another train.ema")
        if self.ema is not None:
            _same_keys("the state's ema", tree["ema"], {"averages": (), "steps": ()})
            _fill("ema", dict(enumerate(self.ema.averages)), dict(enumerate(tree["ema"]["averages"])))
            self.ema.steps.copy_(tree["ema"]["steps"])
        if self.scaler.is_enabled() and tree["scaler"]:  # there is none in a state from another precision
            _same_keys("the state's scaler", tree["scaler"], self.scaler.state_dict())
            self.scaler.load_state_dict(tree["scaler"])
        self.step, self.clock = tree["step"], Clock(tree["seconds"])
        self.records = [_record(record) for record in tree["records"]]
        if tree["best"] is not None:
            _same_keys("the state's best", tree["best"], self.model.state_dict())
        self.best = on(tree["best"], self.device.on)
        _same_keys("the state's mean", tree["mean"], {"names": (), "sums": (), "count": ()})
        self.mean = Mean(self.device)
        self.mean.restore(tree["mean"]["names"], tree["mean"]["sums"], tree["mean"]["count"])
        saved = tree["random"]
        numpy = saved["numpy"] | {"state": _with_array(saved["numpy"]["state"])}
        self.random = RandomState(saved["python"], numpy, saved["cpu"], saved["device"])

    def resume_random(self) -> None:
        """Set the restored random state, if there is one."""
        if self.random is not None:
            self.random.restore(self.device.on)
            self.random = None

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Undo, bit for bit, whatever a block does to the state."""
        before, random = copied(self.tree()), self.random
        now = RandomState.capture(self.device.on)
        try:
            yield
        finally:
            self.restore(before)
            self.random = random
            now.restore(self.device.on)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, those included that are not saved with the weights."""
    return {name: p.data for name, p in module.named_parameters()} | dict(module.named_buffers())


@torch.no_grad()
def _fill(what: str, own: Mapping[Any, Tensor], saved: Mapping[Any, Tensor]) -> None:
    _same_keys(f"the state's {what}", saved, own)
    for name, tensor in own.items():
        if saved[name].shape != tensor.shape or saved[name].dtype != tensor.dtype:
            raise RunError(
                f"the checkpoint's {what}.{name} is {saved[name].dtype} of shape {tuple(saved[name].shape)}; "
                f"{tensor.dtype} of shape {tuple(tensor.shape)} is expected"
            )
        tensor.copy_(saved[name])


_MACHINE = ("params", "fused", "foreach", "capturable")  # of a group: how it is computed, not what


@torch.no_grad()
def _restore_optimizer(optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
    """Write an optimizer's state in place, so that each tensor keeps its address and memory layout."""
    what = "the state's optimizer"
    _same_keys(what, saved, optimizer.state_dict())
    if len(saved["param_groups"]) != len(optimizer.param_groups):
        raise RunError(f"{what} has {len(saved['param_groups'])} groups, not {len(optimizer.param_groups)}")
    for group, values in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        _same_keys(f"{what} group", values, group)
        for key in group.keys() - set(_MACHINE):
            if isinstance(group[key], Tensor):
                group[key].fill_(float(values[key]))
            else:
                group[key] = float(values[key]) if isinstance(values[key], Tensor) else values[key]
    params = [p for group in optimizer.param_groups for p in group["params"]]
    if saved["state"] and not optimizer.state:
        _make_state(optimizer, params)
    for i, p in enumerate(params):
        if i not in saved["state"]:  # a parameter that had no gradient yet, or all of them, before the first step
            if not getattr(optimizer, "graphable", False):
                optimizer.state.pop(p, None)
            for value in optimizer.state.get(p, {}).values():  # a graph has their addresses; they begin at zero
                if isinstance(value, Tensor):
                    value.zero_()
            continue
        state = optimizer.state[p]
        _same_keys(f"{what} of parameter {i}", saved["state"][i], state)
        for key, value in saved["state"][i].items():
            if isinstance(state[key], Tensor) and isinstance(value, Tensor):
                _fill("optimizer", {key: state[key]}, {key: value})
            else:
                state[key] = value
    own: dict[Any, Any] = optimizer.state
    for common in [key for key in own if not isinstance(key, Tensor)]:
        del own[common]
    for key in saved["state"].keys() - set(range(len(params))):  # what an optimizer keeps for all of them
        own[key] = saved["state"][key]


def _make_state(optimizer: Optimizer, params: Sequence[Tensor]) -> None:
    """Let an optimizer lay out its state by a step of zero gradients; whoever calls overwrites what it changed."""
    without = [p for p in params if p.grad is None]
    for p in without:
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for p in without:
        p.grad = None


def _same_keys(what: str, saved: object, expected: Mapping[Any, Any]) -> None:
    if not isinstance(saved, Mapping):
        raise RunError(f"{what} in the checkpoint is {type(saved).__name__}; named values are expected")
    if missing := [key for key in expected if key not in saved]:
        raise RunError(f"{what} in the checkpoint lacks {missing[0]!r}")
    if unknown := [key for key in saved if key not in expected]:
        raise RunError(f"{what} in the checkpoint has an unknown {unknown[0]!r}")


def _record(saved: Mapping[str, Any]) -> Record:
    _same_keys("a record", saved, {f.name: f for f in fields(Record)})
    return Record(**saved)


def _with_tensor(numpy_state: Mapping[str, Any]) -> dict[str, Any]:
    return {"key": torch.from_numpy(numpy_state["key"].astype("int64")), "pos": int(numpy_state["pos"])}


def _with_array(saved: Mapping[str, Any]) -> dict[str, Any]:
    return {"key": saved["key"].numpy().astype("uint32"), "pos": saved["pos"]}
