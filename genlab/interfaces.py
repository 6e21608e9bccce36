"""The interfaces that every model is made of.

Letters used everywhere: ``B`` batch size, ``Z`` latent size, ``x`` an observation of shape ``x_shape`` (for
images ``C, H, W``), ``z`` a latent, ``q = q(z|x)``, ``p = p(x|z)``, ``P`` parameters per element of a
likelihood.

A constructor's positional parameters come from the framework; its keyword-only parameters are what a recipe
may set, and their annotations (pydantic types welcome) are the schema. A keyword-only parameter annotated
with an interface, ``base: Encoder``, is a nested part: ``{use: conv, ...}`` in the recipe.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from genlab.space import Json

if TYPE_CHECKING:
    from genlab.model import LatentModel

SplitName = Literal["train", "val", "test"]


class Encoder(nn.Module, ABC):
    """Amortised posterior, x -> q(z|x).

    Constructor: ``(x_shape: tuple[int, ...], latent: int, *, options...)``.

    Implementer's checklist:

    - ``forward`` returns a ``torch.distributions.Distribution`` with batch shape ``(B,)`` and event shape
      ``(Z,)``; ``genlab.diagonal_normal`` makes the usual one.
    - it has ``rsample``, so that gradients reach the parameters (Kingma & Welling 2014);
    - it works for B = 1 and leaves ``x`` unchanged;
    - options are keyword-only and annotated.
    """

    @abstractmethod
    def forward(self, x: Tensor) -> Distribution:
        """Map x ``(B, *x_shape)`` float32 to q(z|x): batch ``(B,)``, event ``(Z,)``."""


class Decoder(nn.Module, ABC):
    """z -> the unconstrained parameters h of the likelihood.

    Constructor: ``(latent: int, out_shape: tuple[int, ...], *, options...)``. ``out_shape`` is
    ``(P * x_shape[0], *x_shape[1:])``: the decoder need not know which likelihood reads its output.

    Implementer's checklist:

    - ``forward`` returns h of shape ``(B, *out_shape)``;
    - no final activation: logits, not probabilities.
    """

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Map z ``(B, Z)`` to h ``(B, *out_shape)``, unconstrained."""


class Likelihood(nn.Module, ABC):
    """h -> p(x|z), the observation model.

    Constructor: ``(x_shape: tuple[int, ...], *, options...)``.

    Implementer's checklist:

    - ``params`` is P, the number of parameters per element of x;
    - ``forward`` returns a distribution with batch shape ``(B,)`` and event shape ``x_shape``, built with
      ``validate_args=False`` (validation makes the host wait for the device);
    - its ``mean`` is what ``sample`` and ``reconstruct`` show.
    """

    params: ClassVar[int]

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Map h ``(B, P*C, ...)`` float32 to p(x|z): batch ``(B,)``, event ``x_shape``."""


class Prior(nn.Module, ABC):
    """p(z).

    Constructor: ``(latent: int, *, options...)``.

    Implementer's checklist:

    - ``forward`` returns a distribution with batch shape ``()`` and event shape ``(Z,)``;
    - tensors it needs are parameters or buffers, so that they follow the model to its device.
    """

    @abstractmethod
    def forward(self) -> Distribution:
        """Return p(z): batch ``()``, event ``(Z,)``."""


@dataclass(frozen=True)
class Terms:
    """What an objective computes for one batch, in nats per example.

    loss: 0-dim tensor that is minimised, the mean over the batch.
    logs: further 0-dim tensors to report, each a mean over the batch; ``nll`` and ``kl`` by convention.
    """

    loss: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict)


class Objective(nn.Module, ABC):
    """What training minimises.

    Constructor: ``(*, options...)``.

    Implementer's checklist:

    - everything in ``Terms`` is a mean over the batch, so that means weighted by batch size are exact;
    - no ``.item()`` and no branch on a tensor's value: both make the host wait for the device.
    """

    @abstractmethod
    def forward(self, model: LatentModel, x: Tensor) -> Terms:
        """Map a model and a batch x ``(B, *x_shape)`` float32 to ``Terms``, nats per example."""

    def at_step(self, step: int) -> None:
        """Prepare for the training step that follows ``step`` others.

        What changes as training goes on, a weight that warms up for example, is a buffer that is filled here:
        compiled and captured steps read it where it lies. It should depend on ``step`` alone, and in eval mode
        ``forward`` should use the final value, so that evaluations can be compared.
        """


class Schedule(ABC):
    """The learning rate over time, as a factor on the optimizer's own.

    Constructor: ``(*, options...)``.

    Implementer's checklist:

    - ``factor`` depends on its arguments alone: a resumed run then has the same rates.
    """

    @abstractmethod
    def factor(self, step: int, steps: int, history: Sequence[Mapping[str, float]]) -> float:
        """Return the factor for the step that follows ``step`` of ``steps`` in all.

        history: the metrics of every evaluation so far, ``{"val/loss": ...}``, oldest first.
        """


class Tracker(ABC):
    """Takes a run's metrics elsewhere; ``metrics.jsonl`` is written always.

    Constructor: ``(folder: Path, step: int, *, options...)``. folder: the run directory. step: the one that
    training starts after; what was tracked later, by a run that was then resumed from there, is void.

    Implementer's checklist:

    - neither method changes what is trained, and neither is called inside a step;
    - raises ``genlab.GenlabError`` naming the remedy if a service or package is not there.
    """

    @abstractmethod
    def log(self, step: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of one evaluation."""

    def close(self) -> None:  # noqa: B027  most have nothing to do
        """Training is over, however it ended."""


class Search(ABC):
    """Decides which values a sweep tries.

    Constructor: ``(space: Mapping[str, Choices | Range], folder: Path, seed: int, *, options...)``. space: what
    may be chosen for each key, in the order written. folder: the sweep's, for a storage that several processes
    share; it exists if the search is adaptive. seed: of everything that the search draws.

    Implementer's checklist:

    - ``ask`` chooses from ``space`` and returns plain numbers, texts and lists;
    - what it returns depends on the constructor's arguments and on what was told, nothing else;
    - ``adaptive`` is False if it does not depend on what was told: everything is then asked for, and checked,
      before the first run starts, and ``tell`` is never called;
    - ``tell`` bears being told the same again, and what another process, killed since, had asked for;
    - raises ``genlab.GenlabError`` naming the remedy for a space that it cannot search.
    """

    adaptive: ClassVar[bool] = True

    @abstractmethod
    def ask(self) -> Mapping[str, Json] | None:
        """Return a value for each key of the space, or None if there is nothing more to try."""

    def tell(self, values: Mapping[str, Json], loss: float | None) -> None:  # noqa: B027  many need not know
        """Hear what became of some values: the mean over seeds, lower is better; None if a run failed."""


@dataclass(frozen=True)
class Examples:
    """One split of a data set, whole.

    x: ``(N, *x_shape)``, uint8 or float32.
    label: ``(N,)`` int64 class labels, or None.
    """

    x: Tensor
    label: Tensor | None = None

    def __post_init__(self) -> None:
        if self.x.dtype not in (torch.uint8, torch.float32):
            raise ValueError(f"Examples.x is {self.x.dtype}; uint8 or float32 is expected")
        if self.label is not None and (self.label.dtype != torch.int64 or self.label.shape != self.x.shape[:1]):
            raise ValueError(
                f"Examples.label is {self.label.dtype} of shape {tuple(self.label.shape)}; "
                f"int64 of shape ({len(self.x)},) is expected"
            )

    def __len__(self) -> int:
        return len(self.x)


class DataSource(ABC):
    """Where examples come from.

    Constructor: ``(*, options...)``. It must be cheap: files are read, and fetched, by ``split``.

    Implementer's checklist:

    - ``x_shape`` is known before any file is read;
    - ``split`` returns the same examples in the same order every time;
    - raises ``genlab.DataError`` naming file and remedy when the data cannot be had.
    """

    x_shape: tuple[int, ...]

    @abstractmethod
    def split(self, name: SplitName) -> Examples:
        """Return the named split; x as stored (uint8 where the data are bytes)."""

    def prepare(self, x: Tensor) -> Tensor:
        """Map a stored batch, on whatever device it lies, to the float32 tensor that the model sees.

        By default bytes become ``x / 255`` in [0, 1] and float32 passes through.
        """
        return x.float() / 255 if x.dtype == torch.uint8 else x

    @property
    def origin(self) -> str:
        """One line for people: where the examples lie and how they came there."""
        return type(self).__name__

    def fetch(self) -> str:
        """Bring the data to this machine if it is not there, and say where it is."""
        self.split("train")
        return self.origin

    def verify(self) -> str:
        """Check the data that is there without fetching any; raise ``genlab.DataError`` if it is not whole."""
        return self.fetch()
