"""The built-in parts, registered through the same hook as everybody else's."""

from __future__ import annotations

from pathlib import Path

from genlab.hooks import Register, hookimpl
from genlab.parts.bars import Bars
from genlab.parts.decoders import MLPDecoder
from genlab.parts.encoders import MLPEncoder
from genlab.parts.likelihoods import BernoulliLikelihood, GaussianLikelihood
from genlab.parts.objectives import ELBO
from genlab.parts.optimizers import SGD, Adam, AdamW
from genlab.parts.priors import StandardNormal
from genlab.parts.schedules import Constant, Cosine, OneCycle, Plateau
from genlab.parts.searches import Grid, Random
from genlab.parts.trackers import TensorBoard


@hookimpl
def genlab_register(register: Register) -> None:
    """Register every built-in part."""
    register("bars", Bars)
    register("mlp", MLPEncoder)
    register("mlp", MLPDecoder)
    register("standard_normal", StandardNormal)
    register("bernoulli", BernoulliLikelihood)
    register("gaussian", GaussianLikelihood)
    register("elbo", ELBO)
    register("adam", Adam)
    register("adamw", AdamW)
    register("sgd", SGD)
    register("constant", Constant)
    register("cosine", Cosine)
    register("one_cycle", OneCycle)
    register("plateau", Plateau)
    register("tensorboard", TensorBoard)
    register("grid", Grid)
    register("random", Random)


@hookimpl
def genlab_recipes() -> Path:
    """Return the folder of recipes that need nothing but genlab itself."""
    return Path(__file__).parent.parent / "recipes"
