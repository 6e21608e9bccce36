"""What is said of an exception that nobody expected. Nothing here loads torch before there is one."""

from __future__ import annotations


def is_full(error: Exception) -> bool:
    """Whether it is the memory's fault: the machine's or the recipe's, and no defect."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError)


def reason_of(error: Exception) -> str:
    """Return why it failed, in a line."""
    return "the memory is full" if is_full(error) else f"{type(error).__name__}: {error}".partition("\n")[0]
