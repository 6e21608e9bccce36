"""The published figures, on all 10,000 test digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import genlab
from genlab.data import Batches
from genlab.device import resolve
from genlab.evaluate import active_units, evaluate
from genlab.interfaces import Examples
from genlab.parts.likelihoods import BernoulliLikelihood
from genlab.parts.objectives import ELBO
from genlab.parts.priors import StandardNormal
from genlab_mnist import MNIST, ConvDecoder, ConvEncoder
from genlab_mnist.keras import load_keras_weights

pytestmark = pytest.mark.mnist
CPU = resolve("cpu")


@pytest.fixture(scope="module")
def digits() -> Examples:
    try:
        return MNIST().split("test")
    except genlab.DataError as error:
        pytest.skip(f"all of MNIST is needed and cannot be had: {str(error).splitlines()[0]}")


def test_the_shipped_model_has_the_figures_of_its_card(digits: Examples) -> None:
    model = genlab.load("plugin:mnist_cvae", device="cpu")
    assert model.recipe is not None
    assert model.metrics is not None
    batches = Batches(digits.x, MNIST().prepare, model.recipe.train.eval_batch_size, device=CPU)
    found = evaluate(model, ELBO(), batches, CPU, seed=model.recipe.seed)
    for name, value in found.items():
        assert value == pytest.approx(model.metrics[f"val/{name}"], rel=1e-4)
    assert active_units(model.encode(MNIST().prepare(digits.x))) == 2


def test_weights_trained_in_keras_score_here_what_keras_reported(digits: Examples) -> None:
    """Keras' last epoch reported 151.49 with noise of its own; one sample of z an image spreads it by some 0.1."""
    with np.load(Path(__file__).parent / "data" / "keras_cvae.npz") as data:
        keras = {name: torch.from_numpy(data[name]) for name in data.files}
    encoder, decoder = ConvEncoder((1, 28, 28), 2), ConvDecoder(2, (1, 28, 28))
    load_keras_weights(encoder, decoder, keras)
    model = genlab.LatentModel(
        encoder, decoder, StandardNormal(2), BernoulliLikelihood((1, 28, 28)), x_shape=(1, 28, 28), latent=2
    )
    loss = evaluate(model, ELBO(), Batches(digits.x, MNIST().prepare, 500, device=CPU), CPU)["loss"]
    assert loss == pytest.approx(float(keras["history_val_loss"][-1]), abs=0.3)
