"""genlab's reference plugin: MNIST and its siblings, and the convolutional VAE of the published example."""

from __future__ import annotations

from pathlib import Path

import genlab
from genlab_mnist.conv import ConvDecoder, ConvEncoder
from genlab_mnist.datasets import KMNIST, MNIST, FashionMNIST


@genlab.hookimpl
def genlab_register(register: genlab.Register) -> None:
    """Register the data sources and the convolutional parts."""
    register("mnist", MNIST)
    register("fashion_mnist", FashionMNIST)
    register("kmnist", KMNIST)
    register("conv", ConvEncoder)
    register("conv", ConvDecoder)


@genlab.hookimpl
def genlab_recipes() -> Path:
    """Return the folder of recipes that this plugin ships."""
    return Path(__file__).parent / "recipes"


@genlab.hookimpl
def genlab_models() -> Path:
    """Return the folder of models that this plugin ships."""
    return Path(__file__).parent / "models"
