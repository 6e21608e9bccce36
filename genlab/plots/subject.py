"""What is drawn: a model, examples to show it on, and its training history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from genlab.model import LatentModel
from genlab.seeds import derive


@dataclass(frozen=True)
class Subject:
    """A model and what its plots need. Nothing in it is changed.

    x: ``(N, *x_shape)`` float32, validation examples as the data source prepares them, on any device.
    label: ``(N,)`` integer classes, or None.
    records: a row of metrics an evaluation, with the keys ``epoch``, ``train/loss``, ``val/loss`` ...; empty
        where training is not known.
    seed: of every random choice.
    best_epoch: the epoch whose weights the model has; None stands for the lowest ``val/loss``.
    """

    model: LatentModel
    x: Tensor
    label: Tensor | None = None
    records: Sequence[Mapping[str, float]] = field(default=(), repr=False)
    seed: int = 0
    best_epoch: int | None = None

    def __post_init__(self) -> None:
        if self.label is not None and self.label.shape != self.x.shape[:1]:
            raise ValueError(f"label has shape {tuple(self.label.shape)}; ({len(self.x)},) is expected")

    @property
    def name(self) -> str:
        """The recipe's name, or nothing."""
        return self.model.recipe.name if self.model.recipe else ""

    @cached_property
    def means(self) -> Tensor:
        """The posterior means of all examples, ``(N, Z)`` on the CPU; computed once."""
        return self.model.encode(self.x).cpu()

    @cached_property
    def classes(self) -> Tensor:
        """The distinct labels in ascending order; ``(0,)`` without labels."""
        return torch.empty(0, dtype=torch.int64) if self.label is None else self.label.cpu().unique()

    @cached_property
    def range(self) -> tuple[float, float]:
        """The values shown as black and white: 0 and 1, or wider where the examples go beyond."""
        if not len(self.x):
            return 0.0, 1.0
        return min(0.0, float(self.x.min())), max(1.0, float(self.x.max()))

    def shown(self, images: Tensor) -> Tensor:
        """Map images on the data's scale to [0, 1] on the CPU, where 0 is black."""
        low, high = self.range
        return ((images.cpu() - low) / (high - low)).clamp(0, 1)

    def order(self, purpose: str) -> Tensor:
        """Return the examples' indices ``(N,)`` in a random order of the seed and a purpose."""
        generator = torch.Generator().manual_seed(derive(self.seed, "plots", purpose))
        return torch.randperm(len(self.x), generator=generator)

    def varied(self, count: int, purpose: str) -> Tensor:
        """Choose ``count`` examples ``(count,)``, taking the classes in turn; repeats only when out of them."""
        order = self.order(purpose)
        if self.label is None:
            queues = [order]
        else:
            label = self.label.cpu()[order]
            # In the order in which the classes turn up, so that neighbours differ from seed to seed.
            seen = list(dict.fromkeys(label.tolist()))
            queues = [order[label == one] for one in seen]
        turns = [divmod(i, len(queues)) for i in range(count)]
        return torch.stack([queues[which][turn % len(queues[which])] for turn, which in turns])
