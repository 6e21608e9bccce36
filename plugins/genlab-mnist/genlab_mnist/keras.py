"""Weights of the published Keras model, in genlab's layout."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from genlab_mnist.conv import ConvDecoder, ConvEncoder


def load_keras_weights(encoder: ConvEncoder, decoder: ConvDecoder, weights: Mapping[str, Tensor]) -> None:
    """Read Keras weights into the convolutional parts, in place.

    weights: ``encoder.conv1.kernel`` (kh, kw, in, out), ``encoder.dense.kernel`` (in, out),
    ``encoder.mean.*``, ``encoder.log_var.*``, ``decoder.dense.*``, ``decoder.tconv1.kernel``
    (kh, kw, out, in) ..., each with a ``.bias``; the last transposed convolution is the output's.

    Kernels are turned by 180 degrees, and so are the maps that the dense layers read and write, because
    genlab computes "same" convolutions on turned images (see ``genlab_mnist.conv``).
    """
    with torch.no_grad():
        convs = [*encoder.convs]
        for i, conv in enumerate(convs, start=1):
            _put(conv.weight, _kernel(weights[f"encoder.conv{i}.kernel"]))
            _put(conv.bias, weights[f"encoder.conv{i}.bias"])
        channels = convs[-1].out_channels
        _put(encoder.dense.weight, _turned_map(weights["encoder.dense.kernel"].T, channels))
        _put(encoder.dense.bias, weights["encoder.dense.bias"])
        for name, head in (("mean", encoder.mean), ("log_var", encoder.log_var)):
            _put(head.weight, weights[f"encoder.{name}.kernel"].T)
            _put(head.bias, weights[f"encoder.{name}.bias"])

        channels = decoder.start[-1]
        _put(decoder.dense.weight, _turned_map(weights["decoder.dense.kernel"], channels).T)
        _put(decoder.dense.bias, _turned_map(weights["decoder.dense.bias"][None], channels)[0])
        for i, conv in enumerate((*decoder.convs, decoder.out), start=1):
            _put(conv.weight, _kernel(weights[f"decoder.tconv{i}.kernel"]))
            _put(conv.bias, weights[f"decoder.tconv{i}.bias"])


def _kernel(keras: Tensor) -> Tensor:
    """(kh, kw, a, b) -> (b, a, kh, kw), turned: Keras keeps (in, out), and (out, in) if transposed."""
    return keras.permute(3, 2, 0, 1).flip(2, 3)


def _turned_map(flat: Tensor, channels: int) -> Tensor:
    """Turn maps that lie flat in height, width, channel order: ``(N, H * W * C)``; turning reverses H * W."""
    return flat.unflatten(1, (-1, channels)).flip(1).flatten(1)


def _put(parameter: Tensor, value: Tensor) -> None:
    if parameter.shape != value.shape:
        raise ValueError(f"shape {tuple(value.shape)} does not fit {tuple(parameter.shape)}")
    parameter.copy_(value)
