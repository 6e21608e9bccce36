"""The raw IDX images of MNIST as an array, for every peer."""

from pathlib import Path

import numpy as np


def images(folder: Path, split: str) -> np.ndarray:
    """Return the images of ``train`` or ``t10k``: ``(N, 28, 28)`` uint8."""
    return np.fromfile(folder / f"{split}-images-idx3-ubyte", dtype=np.uint8, offset=16).reshape(-1, 28, 28)
