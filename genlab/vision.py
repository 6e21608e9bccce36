"""Import torchvision, also beside a torch that its compiled library was not built for.

torchvision's wheel on the default index is built against CUDA. Beside a CPU-only torch its compiled library
cannot load, so its operators are never declared, and the Python code that describes them for tracing
(``torch.library.register_fake("torchvision::nms")``) makes ``import torchvision`` die with "operator
torchvision::nms does not exist". The data sets and image helpers use none of these operators. Declaring the
missing names lets the import through; calling one (non-maximum suppression, say) still ends in torchvision's
own error about its missing library.
"""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType

import torch

_MISSING = re.compile(r"operator torchvision::(\w+) does not exist")
# Older releases of torch refuse to describe an operator twice, which a retry does to those before the missing
# one. So the two that torchvision describes whatever was loaded are declared together: one retry is enough.
_TOGETHER = ("nms", "qnms")
_RETRIES = 16


def import_torchvision() -> ModuleType:
    """Return torchvision.

    A torchvision that loads is left as it is. Errors of its import other than a missing operator of its own
    compiled library pass through.
    """
    declared: set[str] = set()
    for _ in range(_RETRIES):
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            missing = _MISSING.search(str(error))
            if missing is None or missing[1] in declared:
                raise
            _forget_torchvision()
            _declare(missing[1])
            declared.add(missing[1])
    return importlib.import_module("torchvision")


def _declare(name: str) -> None:
    """Declare the operator, and those that go with it, without an implementation."""
    for each in _TOGETHER if name in _TOGETHER else (name,):
        if not hasattr(torch.ops.torchvision, each):
            # Nothing can call the operator, so its arguments do not matter.
            torch.library.define(f"torchvision::{each}", "() -> ()")


def _forget_torchvision() -> None:
    """Remove what a failed import left behind, so that the next one starts afresh."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
