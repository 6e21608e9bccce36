"""What happens beneath a part: the operations that torch carries out for it, watched one by one."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genlab.testing.checking import OWN, TORCH

# The result of each is a number for Python, or has a shape that depends on values: either way the host must wait.
WAITS = {
    "_local_scalar_dense", "_unique2", "bincount", "equal", "is_nonzero", "item", "masked_select", "nonzero",
    "unique_consecutive", "unique_dim",
}  # fmt: skip
DISPATCH = {Path(__file__).name, "_compile.py", "_python_dispatch.py", "eval_frame.py"}  # what leads here
DISTRIBUTIONS = TORCH / "distributions"
BY_MASK = {"index", "index_put", "index_put_", "_index_put_impl_"}


class HostWaits(TorchDispatchMode):
    """Notes where the host would wait for a device. ``found``: each place and the operation.

    Some distributions of torch's validate inside although they were told not to; that is no part's to change.

    direct: only if it is a part itself that asks for it, not a function of torch's that it calls.
    """

    def __init__(self, *, direct: bool = False) -> None:
        super().__init__()
        self.direct = direct
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Carry out one operation."""
        name = str(func._schema.name).partition("::")[2]
        masks = [a for a in tree_leaves(args[1:]) if isinstance(a, Tensor) and a.dtype == torch.bool]
        waits = name in WAITS or (name in BY_MASK and masks)
        if waits and not (self.direct and by_torch()) and not against_orders():
            self.found.append(f"{name} {place()}".strip())
        return func(*args, **(kwargs or {}))


class Strays(TorchDispatchMode):
    """Notes operations on tensors of which some lie on the meta device and some were left on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Carry out one operation."""
        given = [a for a in tree_leaves((args, kwargs)) if isinstance(a, Tensor)]
        # A single number may lie on the CPU: every device takes those.
        strays = [a for a in given if not a.is_meta and a.ndim]
        if strays and any(a.is_meta for a in given):
            name = str(func._schema.name).partition("::")[2]
            self.found.append(
                f"{name} of a tensor {tuple(strays[0].shape)} on {strays[0].device} {place()}".strip()
            )
        return func(*args, **(kwargs or {}))


def by_torch() -> bool:
    """Whether the operation at hand was asked for by a function of torch's own."""
    frames = (Path(frame.filename) for frame in reversed(traceback.extract_stack()))
    caller = next(path for path in frames if path.name not in DISPATCH)
    return TORCH in caller.parents


def against_orders() -> bool:
    """Whether it is torch that asks for the operation at hand, in a distribution that was told not to validate."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        folders = Path(frame.f_code.co_filename).parents
        if OWN not in folders and TORCH not in folders:
            return False
        if DISTRIBUTIONS in folders:
            own = getattr(frame.f_locals.get("self"), "__dict__", {})
            if False in (frame.f_locals.get("validate_args"), own.get("_validate_args")):
                return True
        frame = frame.f_back
    return False


def place() -> str:
    """Return the innermost line of a part, ``"at encoder.py:12: code"``; empty if torch was called from here."""
    for frame in reversed(traceback.extract_stack()):
        parents = Path(frame.filename).parents
        if OWN in parents and Path(frame.filename).name != Path(__file__).name:
            break
        if OWN not in parents and TORCH not in parents:
            return f"at {frame.filename}:{frame.lineno}: {frame.line}"
    return ""
