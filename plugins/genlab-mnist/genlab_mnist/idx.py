"""The raw files of MNIST and its siblings: names, sizes, checksums, and what can be wrong with one.

The format is IDX (Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits"): two zero
bytes, the element type (8 for unsigned bytes), the number of dimensions, each dimension as a big-endian
32-bit integer, then the elements.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import genlab

# Every sibling of MNIST was made to these names and sizes.
SHAPES: dict[str, tuple[int, ...]] = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
TRAIN_LABELS = "train-labels-idx1-ubyte"


@dataclass(frozen=True)
class RawFile:
    """One unpacked file of bytes of shape ``shape``.

    md5: of the file, where it is published. gz_md5: of the file packed, as torchvision lists it.
    """

    name: str
    shape: tuple[int, ...]
    gz_md5: str
    md5: str | None = None

    @property
    def header(self) -> bytes:
        """The bytes before the first element."""
        return bytes([0, 0, 8, len(self.shape)]) + b"".join(n.to_bytes(4, "big") for n in self.shape)

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return len(self.header) + math.prod(self.shape)

    def fault(self, path: Path, sha256: str | None = None) -> str | None:
        """Return what is wrong with the file at ``path``, or None.

        Size and header always count; the contents are compared with the published md5, else with ``sha256``
        where one is given. Raises ``OSError`` if the file cannot be read.
        """
        if not path.is_file():
            return "it is not a regular file"
        size = path.stat().st_size
        if size != self.size:
            cut = " (cut short)" if size < self.size else ""
            return f"{size} bytes found, {self.size} expected{cut}"
        with path.open("rb") as file:
            header = file.read(len(self.header))
        if header != self.header:
            expected = f"{self.header.hex()} expected (IDX, bytes of shape {self.shape})"
            return f"header {header.hex()} found, {expected}"
        if self.md5 is not None:
            return _difference("md5", digest(path, "md5"), self.md5)
        if sha256 is not None:
            return _difference("sha256", digest(path, "sha256"), sha256)
        return None


@dataclass(frozen=True)
class Published:
    """A data set as it was published.

    name: in recipes. title: torchvision's class, and its folder. md5: of raw files, by name, where known.
    npm: a package that carries the raw files in ``data/``.
    """

    name: str
    title: str
    md5: Mapping[str, str] = field(default_factory=dict)
    npm: str | None = None

    @property
    def torchvision(self) -> Any:
        """torchvision's class for it, which knows mirrors and checksums and reads the files."""
        return getattr(genlab.import_torchvision().datasets, self.title)

    def files(self) -> tuple[RawFile, ...]:
        """Return the four raw files."""
        packed = {name.removesuffix(".gz"): md5 for name, md5 in self.torchvision.resources}
        return tuple(RawFile(name, SHAPES[name], packed[name], self.md5.get(name)) for name in SHAPES)


def digest(path: Path, algorithm: str) -> str:
    """Return a file's checksum in hexadecimal."""
    with path.open("rb") as file:
        # The flag keeps md5 usable on machines that forbid it for cryptography.
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _difference(algorithm: str, found: str, expected: str) -> str | None:
    return None if found == expected else f"{algorithm} {found} found, {expected} expected"
