"""The parameters that training moves, laid out as one vector where the optimizer treats every element alike.

Adam and its like do the same to each number, whichever tensor it stands in. One long vector makes of every
per-tensor operation of a step (update, gradient norm, moving average, zeroing) a single one: on small models
that is what a step's overhead consists of.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

ALIGNED = 16  # elements of float32 in 64 bytes: vector instructions like their operands at such addresses


class Vector(Parameter):
    """A parameter that holds others, whose values and gradients are views of its own."""

    @property
    def gradient(self) -> Tensor:
        """Its gradient, which is always there."""
        assert self.grad is not None
        return self.grad


def flattened(params: Sequence[Parameter]) -> Vector:
    """Return one vector that holds ``params``; each of them becomes a view of its piece, gradient included.

    Values, shapes and memory layouts stay. Gaps between pieces are zero, and so are their gradients. A parameter
    that no gradient reaches has one of zeros, not none: momentum and weight decay still move it.
    The parameters must share one dtype and device, and must not be moved to another afterwards.
    """
    starts, end = [], 0
    for p in params:
        starts.append(end)
        end += -(-p.numel() // ALIGNED) * ALIGNED
    vector = Vector(torch.zeros(end, dtype=params[0].dtype, device=params[0].device))
    vector.grad = torch.zeros_like(vector)
    for p, start in zip(params, starts, strict=True):
        dense = p.data if _dense(p) else p.data.contiguous()
        p.data = vector.data.as_strided(dense.shape, dense.stride(), start).copy_(dense)
        p.grad = vector.grad.as_strided(dense.shape, dense.stride(), start)
    return vector


def alike(params: Sequence[Parameter]) -> bool:
    """Whether parameters can share a vector."""
    return len({(p.dtype, p.device) for p in params}) == 1


def _dense(p: Tensor) -> bool:
    formats = {4: (torch.channels_last,), 5: (torch.channels_last_3d,)}.get(p.ndim, ())
    return p.is_contiguous() or any(p.is_contiguous(memory_format=f) for f in formats)
