"""What the tests here share: parts to train with, and a run that is watched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor
from torch.nn import Parameter

import genlab
from genlab import LatentModel, Objective, Terms
from genlab.data import Batches
from genlab.errors import GenlabError
from genlab.interfaces import Tracker
from genlab.prepare import Prepared
from genlab.train.callbacks import Callback
from genlab.tree import Json
from tests.test_train import CPU, prepare

Overrides = Mapping[str, object]
T = TypeVar("T")

NOISELESS = {"objective": "noiseless", "optimizer": {"use": "sgd", "lr": 0.05}}
RECIPE: dict[str, Json] = {
    "name": "r", "data": "bars", "latent": 2, "encoder": "mlp", "decoder": "mlp", "likelihood": "bernoulli",
}  # fmt: skip


class Noiseless(Objective):
    """The evidence lower bound at the mean of q in place of a sample."""

    def forward(self, model: LatentModel, x: Tensor) -> Terms:
        q = model.q(x)
        nll, kl = -model.p(q.mean).log_prob(x).mean(), model.kl(q, q.mean).mean()
        return Terms(nll + kl, {"nll": nll, "kl": kl})


class PlainSGD(torch.optim.SGD):
    """An optimizer that does not say that it is elementwise."""

    def __init__(self, params: Iterable[Parameter], fused: bool, *, lr: float = 0.05) -> None:
        super().__init__(params, lr=lr, fused=fused)


class Heard(Tracker):
    """Writes down what it is told."""

    made: ClassVar[list[Heard]] = []

    def __init__(self, folder: Path, step: int, *, fails_at: int | None = None) -> None:
        self.folder, self.step, self.fails_at = folder, step, fails_at
        self.logged: list[tuple[int, int, dict[str, float]]] = []
        self.closed = 0
        self.made.append(self)

    def log(self, step: int, epoch: int, metrics: Mapping[str, float]) -> None:
        if step == self.fails_at:
            raise GenlabError("the service is gone")
        self.logged.append((step, epoch, dict(metrics)))

    def close(self) -> None:
        self.closed += 1


def nothing(prepared: Prepared) -> None:
    return None


class Watch(Callback, Generic[T]):
    """Looks at what a run has prepared: before the first step, and after every one."""

    prepared: Prepared
    before: T

    def __init__(self, look: Callable[[Prepared], T]) -> None:
        self.look = look
        self.after: list[T] = []

    def announce(self, prepared: Prepared, folder: Path) -> None:
        self.prepared, self.before = prepared, self.look(prepared)

    def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
        self.after.append(self.look(self.prepared))


def run(recipe: Path, overrides: Overrides | None = None, watch: Watch[Any] | None = None) -> genlab.Run:
    seen = watch or Watch(nothing)
    return genlab.run(recipe, overrides, device="cpu", plots=False, callbacks=[seen], announce=seen.announce)


def weights(prepared: Prepared) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in prepared.model.state_dict().items()}


def rate(prepared: Prepared) -> float:
    return float(prepared.optimizer.param_groups[0]["lr"])


def largest_difference(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def model_bytes(run: genlab.Run) -> bytes:
    return (run.directory / "model" / "model.safetensors").read_bytes()


def numbered(count: int, batch_size: int, *, stream: bool = False, workers: int = 0, seed: int = 0) -> Batches:
    x = torch.arange(count, dtype=torch.float32)[:, None]
    return Batches(x, prepare, batch_size, device=CPU, seed=seed, stream=stream, workers=workers)


def some_parameters() -> list[Parameter]:
    torch.manual_seed(0)
    params = [Parameter(torch.randn(shape)) for shape in ((17, 3), (5,), (8, 4, 3, 3), (), (6, 7))]
    params[2].data = params[2].data.to(memory_format=torch.channels_last)
    params[4].data = params[4].data.t()  # neither layout
    return params


def twins(params: Iterable[Parameter]) -> list[Parameter]:
    return [Parameter(p.detach().clone(memory_format=torch.preserve_format)) for p in params]
