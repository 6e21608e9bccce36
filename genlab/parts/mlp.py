"""The fully connected network that the built-in encoder and decoder share."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def mlp(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Return linear layers ``inputs -> *hidden -> outputs`` with a SiLU between each two."""
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise((inputs, *hidden, outputs)):
        layers += [nn.Linear(width_in, width_out), nn.SiLU()]
    return nn.Sequential(*layers[:-1])
