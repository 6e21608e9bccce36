"""The convolutional encoder and decoder of the reference model.

They are those of the Keras example "Convolutional Variational AutoEncoder" (F. Chollet, 2020, keras.io), to
the last parameter, so weights trained there give the same numbers here. Its convolutions are "same" in
TensorFlow's sense: where a stride of 2 makes the padding uneven, the extra row and column lie at the bottom
and right. torch's ``padding=(k - 1) // 2`` puts them at the top and left. The two are mirror images: a
TensorFlow convolution of x is torch's convolution of x turned by 180 degrees with the kernel turned too. So
the encoder turns its input once, the decoder its output once, and no layer in between pads or crops a copy.
Kernels are kept turned; for weights that are learned here nobody can tell.

Weights are Glorot-uniform (Glorot & Bengio 2010) and biases zero. Images keep height, width, channel order in
the flat layers, which is how ``channels_last`` tensors lie in memory.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from annotated_types import Ge, MinLen
from pydantic import AfterValidator, Field, PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

import genlab


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError("a 'same' convolution needs an odd kernel size")
    return kernel


# The extra is for the JSON schema, which cannot look into a function.
Kernel = Annotated[int, Ge(3), AfterValidator(_odd), Field(json_schema_extra={"not": {"multipleOf": 2}})]
Channels = Annotated[tuple[PositiveInt, ...], MinLen(1)]


def halvings(size: int, times: int) -> list[int]:
    """Return the sizes along a chain of stride-2 "same" convolutions, the first one included."""
    sizes = [size]
    for _ in range(times):
        sizes.append(-(-sizes[-1] // 2))
    return sizes


def turned(x: Tensor) -> Tensor:
    """Turn images ``(B, C, H, W)`` by 180 degrees."""
    return x.flip(2, 3)


class ConvTranspose2d(nn.ConvTranspose2d):
    """torch's layer, its bias added by an operation of its own.

    Within one operation, oneDNN sums a transposed convolution's bias gradient at a third of the cost of the
    whole weight gradient.
    """

    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Map ``(B, C_in, H, W)`` to ``(B, C_out, H', W')``."""
        y = F.conv_transpose2d(x, self.weight, None, self.stride, self.padding, self.output_padding)  # type: ignore[arg-type]
        return y.add_(self.bias[:, None, None])


class ConvEncoder(genlab.Encoder):
    """Stride-2 convolutions, a dense layer, and a linear head each for mean and log-variance.

    channels: of each convolution. kernel: height and width of every kernel, odd.
    hidden: width of the dense layer.
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        latent: int,
        *,
        channels: Channels = (32, 64),
        kernel: Kernel = 3,
        hidden: PositiveInt = 16,
    ) -> None:
        super().__init__()
        depth, height, width = _image(x_shape)
        self.convs = nn.ModuleList(
            nn.Conv2d(c_in, c_out, kernel, stride=2, padding=kernel // 2)
            for c_in, c_out in pairwise((depth, *channels))
        )
        top, left = halvings(height, len(channels))[-1], halvings(width, len(channels))[-1]
        self.dense = nn.Linear(top * left * channels[-1], hidden)
        self.mean = nn.Linear(hidden, latent)
        self.log_var = nn.Linear(hidden, latent)
        self.apply(glorot)

    def forward(self, x: Tensor) -> Distribution:
        """Map images x ``(B, C, H, W)`` to q(z|x): batch ``(B,)``, event ``(Z,)``."""
        h = turned(x)
        for conv in self.convs:
            h = F.relu_(conv(h))
        h = F.relu_(self.dense(h.permute(0, 2, 3, 1).flatten(1)))
        return genlab.diagonal_normal(self.mean(h), self.log_var(h))


class ConvDecoder(genlab.Decoder):
    """A dense layer, stride-2 transposed convolutions, and a stride-1 one for the output.

    channels: of each stride-2 transposed convolution; the dense layer makes as many as the first.
    kernel: height and width of every kernel, odd.
    """

    def __init__(
        self,
        latent: int,
        out_shape: tuple[int, ...],
        *,
        channels: Channels = (64, 32),
        kernel: Kernel = 3,
    ) -> None:
        super().__init__()
        depth, height, width = _image(out_shape)
        heights, widths = halvings(height, len(channels))[::-1], halvings(width, len(channels))[::-1]
        self.start = (heights[0], widths[0], channels[0])
        self.dense = nn.Linear(latent, heights[0] * widths[0] * channels[0])
        self.convs = nn.ModuleList(
            ConvTranspose2d(
                c_in,
                c_out,
                kernel,
                stride=2,
                padding=kernel // 2,
                # Doubling overshoots an odd size by one; an even one needs the row that torch leaves out.
                output_padding=((heights[i + 1] + 1) % 2, (widths[i + 1] + 1) % 2),
            )
            for i, (c_in, c_out) in enumerate(pairwise((channels[0], *channels)))
        )
        self.out = ConvTranspose2d(channels[-1], depth, kernel, padding=kernel // 2)
        self.apply(glorot)

    def forward(self, z: Tensor) -> Tensor:
        """Map z ``(B, Z)`` to h ``(B, *out_shape)``."""
        h = F.relu_(self.dense(z)).unflatten(1, self.start).permute(0, 3, 1, 2)
        for conv in self.convs:
            h = F.relu_(conv(h))
        return turned(self.out(h))


def glorot(module: nn.Module) -> None:
    """Give a layer Glorot-uniform weights and zero biases.

    The bound is sqrt(6 / (fan_in + fan_out)), each fan a channel count times the kernel's area; a transposed
    convolution exchanges the two fans, which leaves their sum alone.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ValueError(f"images (C, H, W) are expected, but the data's shape is {shape}")
    return shape[0], shape[1], shape[2]
