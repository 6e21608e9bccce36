"""Nested values with tensors in them, as JSON and a flat dictionary of tensors; nothing is pickled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Tree = Any
"""None, bool, int, float, str, Tensor, and lists, tuples and mappings of such."""


def pack(tree: Tree, name: str = "") -> tuple[Any, dict[str, Tensor]]:
    """Return a tree as a JSON value that refers to its tensors by name, and those tensors.

    Raises ``TypeError`` naming what cannot be written so.
    """
    tensors: dict[str, Tensor] = {}

    def walk(value: Tree, path: str) -> Any:
        if isinstance(value, Tensor):
            tensors[path] = value
            return {"tensor": path}
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": str(value)}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, list):
            return [walk(child, f"{path}.{i}") for i, child in enumerate(value)]
        if isinstance(value, tuple):
            return {"tuple": [walk(child, f"{path}.{i}") for i, child in enumerate(value)]}
        if isinstance(value, Mapping):
            return {"map": [[walk(key, path), walk(child, f"{path}.{key}")] for key, child in value.items()]}
        raise TypeError(f"{path}: a {type(value).__name__} cannot be saved")

    return walk(tree, name), {path.removeprefix("."): value for path, value in tensors.items()}


def unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Tree:
    """Return the tree that was packed. Raises ``ValueError`` naming a tensor that is missing or left over."""
    used: set[str] = set()

    def walk(value: Any) -> Tree:
        if isinstance(value, list):
            return [walk(child) for child in value]
        if not isinstance(value, dict):
            return value
        ((kind, content),) = value.items()
        if kind == "tensor":
            path = content.removeprefix(".")
            if path not in tensors:
                raise ValueError(f"tensor {path!r} is missing")
            used.add(path)
            return tensors[path]
        if kind == "float":
            return float(content)
        if kind == "tuple":
            return tuple(walk(child) for child in content)
        if kind == "map":
            return {walk(key): walk(child) for key, child in content}
        raise ValueError(f"{kind!r} is no kind of value")

    tree = walk(packed)
    if extra := sorted(set(tensors) - used):
        raise ValueError(f"tensor {extra[0]!r} belongs to nothing")
    return tree


def copied(tree: Tree) -> Tree:
    """Return a tree whose tensors are copies."""
    if isinstance(tree, Tensor):
        return tree.detach().clone()
    if isinstance(tree, Mapping):
        return {key: copied(child) for key, child in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(copied(child) for child in tree)
    return tree


def on(tree: Tree, device: torch.device) -> Tree:
    """Return a tree with its tensors on a device."""
    if isinstance(tree, Tensor):
        return tree.to(device)
    if isinstance(tree, Mapping):
        return {key: on(child, device) for key, child in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(on(child, device) for child in tree)
    return tree
