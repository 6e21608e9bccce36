"""Examples as they are stored, and the batches that training and evaluation make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from genlab.device import Device
from genlab.errors import DataError
from genlab.interfaces import DataSource, Examples, SplitName
from genlab.seeds import derive

SCAN = 4096  # examples at once when data are checked
SHARE = 0.5  # of a device's free memory that examples may take


class Batches:
    """Batches of prepared examples x ``(B, *x_shape)`` float32.

    The order of an epoch is a function of (seed, epoch) alone: it does not depend on the device or on what
    was drawn before. The last batch of an epoch may be smaller.

    Examples lie whole on the device, as they are stored, and are indexed there; with ``stream`` they stay
    where they are (in memory, or mapped from a file) and a DataLoader brings each batch, from ``workers``
    processes if there are any. The batches are the same.
    """

    def __init__(
        self,
        x: Tensor,
        prepare: Callable[[Tensor], Tensor],
        batch_size: int,
        *,
        device: Device,
        seed: int = 0,
        stream: bool = False,
        workers: int = 0,
    ) -> None:
        self.x = x if stream else x.to(device.on)
        self.prepare, self.batch_size, self.device, self.seed = prepare, batch_size, device, seed
        self.stream, self.workers = stream, workers

    @property
    def examples(self) -> int:
        """The number of examples."""
        return len(self.x)

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        """Batches in stored order."""
        return self._batches(torch.arange(len(self.x)))

    def shuffled(self, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Batches in the order of one epoch, from the ``start``-th on."""
        generator = torch.Generator().manual_seed(derive(self.seed, "order", epoch))
        order = torch.randperm(len(self.x), generator=generator)
        return self._batches(order[start * self.batch_size :])

    def steps_per_epoch(self, accumulate: int = 1) -> int:
        """How many groups of up to ``accumulate`` batches an epoch has."""
        return -(-len(self) // accumulate)

    def after(self, step: int, accumulate: int = 1) -> Iterator[list[Tensor]]:
        """Groups of up to ``accumulate`` batches, epoch after epoch without end, from just after ``step``."""
        per_epoch = self.steps_per_epoch(accumulate)
        while True:
            epoch, done = divmod(step, per_epoch)
            batches = self.shuffled(epoch + 1, start=done * accumulate)
            while group := list(islice(batches, accumulate)):
                yield group
                step += 1

    def _batches(self, order: Tensor) -> Iterator[Tensor]:
        indices = order.to(self.x.device).split(self.batch_size) if len(order) else ()
        if not self.stream:
            return (self._prepared(self.x.index_select(0, index)) for index in indices)
        loader = DataLoader(
            _Rows(self.x),
            sampler=indices,
            batch_size=None,  # the sampler's items are whole batches already
            num_workers=self.workers,
            pin_memory=not self.device.can.host_memory,
            generator=torch.Generator(),  # the global one belongs to the model's noise
        )
        return (self._prepared(stored.to(self.device.on, non_blocking=True)) for stored in loader)

    def _prepared(self, stored: Tensor) -> Tensor:
        return self.device.lay_out(self.prepare(stored))


class _Rows(Dataset[Tensor]):
    """Rows of a tensor, many at a time."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __getitem__(self, index: Tensor) -> Tensor:
        return self.x.index_select(0, index)


def fits(x: Tensor, device: Device) -> bool:
    """Whether examples may lie whole on a device: in its own memory, at most half of what is free."""
    free = device.free_memory
    return device.can.host_memory or free is None or x.nbytes <= SHARE * free


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
