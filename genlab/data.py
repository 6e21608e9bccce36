"""Examples that lie whole on the training device, as they are stored, and are indexed there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from genlab.device import Device
from genlab.errors import DataError
from genlab.interfaces import DataSource, Examples, SplitName
from genlab.seeds import derive

SCAN = 4096  # examples at once when data are checked


class Batches:
    """Batches of prepared examples x ``(B, *x_shape)`` float32.

    The order of an epoch is a function of (seed, epoch) alone: it does not depend on the device or on what
    was drawn before. The last batch of an epoch may be smaller.
    """

    def __init__(
        self,
        x: Tensor,
        prepare: Callable[[Tensor], Tensor],
        batch_size: int,
        *,
        device: Device,
        seed: int = 0,
    ) -> None:
        self.x, self.prepare, self.batch_size = x.to(device.on), prepare, batch_size
        self.device, self.seed = device, seed

    @property
    def examples(self) -> int:
        """The number of examples."""
        return len(self.x)

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        """Batches in stored order."""
        return (self._prepared(piece) for piece in self.x.split(self.batch_size))

    def shuffled(self, epoch: int) -> Iterator[Tensor]:
        """Batches in the order of one epoch."""
        generator = torch.Generator().manual_seed(derive(self.seed, "order", epoch))
        order = torch.randperm(len(self.x), generator=generator).to(self.x.device)
        return (self._prepared(self.x[index]) for index in order.split(self.batch_size))

    def _prepared(self, stored: Tensor) -> Tensor:
        return self.device.lay_out(self.prepare(stored))


def read_split(source: DataSource, name: SplitName) -> Examples:
    """Read a split and check it once, so that nothing needs checking in the step.

    Raises ``DataError`` if it cannot be read, is empty, has another shape than the source said, or a value
    that is not finite.
    """
    who = f"data source {type(source).__name__}, split {name!r}"
    try:
        examples = source.split(name)
    except (ValueError, RuntimeError, OverflowError, MemoryError, OSError) as error:
        raise DataError(f"{who}: cannot be read: {error}") from error
    if tuple(examples.x.shape[1:]) != tuple(source.x_shape):
        raise DataError(f"{who}: x has shape {tuple(examples.x.shape)}; (N, *{tuple(source.x_shape)}) is expected")
    if len(examples) == 0:
        raise DataError(f"{who}: no examples")
    for start, piece in enumerate(examples.x.split(SCAN)):
        if not piece.is_floating_point():
            break
        finite = piece.flatten(1).isfinite().all(1)
        if not finite.all():
            index = start * SCAN + int((~finite).nonzero()[0])
            raise DataError(f"{who}: example {index} has a value that is not finite")
    prepared = source.prepare(examples.x[:1])
    if prepared.dtype != torch.float32 or prepared.shape != examples.x[:1].shape:
        raise DataError(
            f"{who}: prepare() turned a batch into {prepared.dtype} of shape {tuple(prepared.shape)}; "
            f"float32 of shape {tuple(examples.x[:1].shape)} is expected"
        )
    return examples
