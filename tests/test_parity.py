"""Weights trained in Keras give the same numbers in genlab's own parts.

``tests/data/keras_cvae.npz`` holds weights that Keras 3.15 / TensorFlow 2.21 trained with the published
hyperparameters, and what Keras computed from them. Both sides compute in float32; the bound is 1e-5 relative.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genlab.model import LatentModel
from genlab.parts.likelihoods import BernoulliLikelihood
from genlab.parts.priors import StandardNormal
from genlab.summary import layers, parameter_count
from genlab_mnist.conv import ConvDecoder, ConvEncoder
from genlab_mnist.keras import load_keras_weights

FILE = Path(__file__).parent / "data" / "keras_cvae.npz"
RELATIVE = 1e-5


@pytest.fixture(scope="module")
def keras() -> dict[str, Tensor]:
    with np.load(FILE) as data:
        return {name: torch.from_numpy(data[name]) for name in data.files}


@pytest.fixture(scope="module", params=["contiguous", "channels_last"])
def model(request: pytest.FixtureRequest, keras: dict[str, Tensor]) -> LatentModel:
    encoder, decoder = ConvEncoder((1, 28, 28), 2), ConvDecoder(2, (1, 28, 28))
    load_keras_weights(encoder, decoder, keras)
    model = LatentModel(
        encoder, decoder, StandardNormal(2), BernoulliLikelihood((1, 28, 28)), x_shape=(1, 28, 28), latent=2
    )
    if request.param == "channels_last":
        model.to(memory_format=torch.channels_last)
    return model.eval()


@pytest.fixture(scope="module")
def x(keras: dict[str, Tensor]) -> Tensor:
    return keras["x_uint8"].permute(0, 3, 1, 2).float() / 255


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float(((ours.double() - theirs.double()).abs() / theirs.double().abs()).max())


@torch.no_grad()
def test_posterior(model: LatentModel, keras: dict[str, Tensor], x: Tensor) -> None:
    q = model.q(x)
    assert relative(q.mean, keras["z_mean"]) < RELATIVE
    assert relative(q.variance.log(), keras["z_log_var"]) < RELATIVE


@pytest.mark.parametrize(("latents", "images"), [("grid", "decoded_grid"), ("z_mean", "reconstruction_at_mean")])
def test_decoded(model: LatentModel, keras: dict[str, Tensor], latents: str, images: str) -> None:
    ours, theirs = model.decode(keras[latents]), keras[images].permute(0, 3, 1, 2)
    # A float32 logit of -50 carries an error of 4e-6, which is the relative error of its probability:
    # below one in a million the bound is therefore on the difference.
    visible = theirs > 1e-6
    assert relative(ours[visible], theirs[visible]) < RELATIVE
    assert float((ours - theirs).abs().max()) < 2e-6


@torch.no_grad()
def test_nats_per_image(model: LatentModel, keras: dict[str, Tensor], x: Tensor) -> None:
    q = model.q(x)
    assert relative(-model.p(q.mean).log_prob(x), keras["bce_nats"]) < RELATIVE
    assert relative(model.kl(q, q.mean), keras["kl_nats"]) < RELATIVE


def test_layers_and_parameters_are_the_published_ones(model: LatentModel) -> None:
    found = {layer.path: (layer.shape, layer.parameters) for layer in layers(model) if layer.parameters}
    assert found == {
        "encoder.convs.0": ((32, 14, 14), 320),
        "encoder.convs.1": ((64, 7, 7), 18_496),
        "encoder.dense": ((16,), 50_192),
        "encoder.mean": ((2,), 34),
        "encoder.log_var": ((2,), 34),
        "decoder.dense": ((3136,), 9_408),
        "decoder.convs.0": ((64, 14, 14), 36_928),
        "decoder.convs.1": ((32, 28, 28), 18_464),
        "decoder.out": ((1, 28, 28), 289),
    }
    assert parameter_count(model.encoder) == 69_076
    assert parameter_count(model.decoder) == 65_089
    assert parameter_count(model) == 134_165
