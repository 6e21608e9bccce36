"""genlab: a pluggable generative-model framework on PyTorch.

    run = genlab.run("recipes/mnist_cvae.yaml", {"train.epochs": 3})
    model = genlab.load("mnist_cvae")
    digits = model.sample(16, seed=0)

Importing this package is cheap: torch is loaded with the first name that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "API_VERSION": "api",
    "Choices": "space",
    "DataError": "errors",
    "DataSource": "interfaces",
    "Decoder": "interfaces",
    "Encoder": "interfaces",
    "Examples": "interfaces",
    "GenlabError": "errors",
    "LatentModel": "model",
    "Likelihood": "interfaces",
    "Objective": "interfaces",
    "Prior": "interfaces",
    "Range": "space",
    "Register": "hooks",
    "Run": "session",
    "Schedule": "interfaces",
    "Search": "interfaces",
    "Terms": "interfaces",
    "Tracker": "interfaces",
    "diagonal_normal": "distributions",
    "hookimpl": "hooks",
    "import_torchvision": "vision",
    "load": "store",
    "resume": "experiment",
    "run": "experiment",
}

__all__ = [
    "API_VERSION",
    "Choices",
    "DataError",
    "DataSource",
    "Decoder",
    "Encoder",
    "Examples",
    "GenlabError",
    "LatentModel",
    "Likelihood",
    "Objective",
    "Prior",
    "Range",
    "Register",
    "Run",
    "Schedule",
    "Search",
    "Terms",
    "Tracker",
    "__version__",
    "diagonal_normal",
    "hookimpl",
    "import_torchvision",
    "load",
    "resume",
    "run",
]

if TYPE_CHECKING:
    from genlab.api import API_VERSION
    from genlab.distributions import diagonal_normal
    from genlab.errors import DataError, GenlabError
    from genlab.experiment import resume, run
    from genlab.hooks import Register, hookimpl
    from genlab.interfaces import (
        DataSource,
        Decoder,
        Encoder,
        Examples,
        Likelihood,
        Objective,
        Prior,
        Schedule,
        Search,
        Terms,
        Tracker,
    )
    from genlab.model import LatentModel
    from genlab.session import Run
    from genlab.space import Choices, Range
    from genlab.store import load
    from genlab.vision import import_torchvision


def __getattr__(name: str) -> object:
    """Import a public name's home when the name is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'genlab' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"genlab.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
