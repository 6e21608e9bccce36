"""A genlab plugin: normalizing flows, by zuko, as priors and posteriors."""

from __future__ import annotations

from pathlib import Path

import genlab
from genlab_flows.posterior import FlowPosterior
from genlab_flows.prior import FlowPrior

GENLAB_API = "1.0"


@genlab.hookimpl
def genlab_register(register: genlab.Register) -> None:
    """Register the prior and the encoder."""
    register("flow", FlowPrior)
    register("flow_posterior", FlowPosterior)


@genlab.hookimpl
def genlab_recipes() -> Path:
    """Return the folder of recipes that this plugin ships."""
    return Path(__file__).parent / "recipes"
