"""Checkpoints on disk: each a folder that is whole or not there, the older ones kept in case one is damaged.

``checkpoints/00000120-0003/`` is the state after step 120 and 3 evaluations: ``state.safetensors`` (tensors),
``state.json`` (everything else) and ``manifest.json`` (size and SHA-256 of both). A checkpoint is written beside
its destination, each file flushed to the disk, the manifest last, and then renamed. One that does not match its
manifest is passed over, loudly, for the one before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from genlab.errors import RunError
from genlab.files import read_regular, replaced_folder, write_bytes
from genlab.train.tree import Tree, pack, unpack

FORMAT = 1
TENSORS, VALUES, MANIFEST = "state.safetensors", "state.json", "manifest.json"
MAX_MANIFEST = 1 << 20  # bytes; the manifest lists two files

_NAME = re.compile(r"\d{8,}-\d{4,}")

log = logging.getLogger(__name__)


class File(BaseModel):
    """What a file was when it was written."""

    model_config = ConfigDict(extra="forbid", strict=True)

    size: NonNegativeInt
    sha256: str


class Manifest(BaseModel):
    """The content of ``manifest.json``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: int
    step: NonNegativeInt
    files: dict[str, File]


class Damaged(Exception):
    """A checkpoint that is not what was written; says why."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, in one folder; ``keep`` of them, the newest."""

    folder: Path
    keep: int = 2

    def save(self, position: tuple[int, int], state: Tree) -> Path:
        """Write the state after so many (steps, evaluations).

        Older checkpoints are removed only when the new one is whole.
        Raises ``RunError`` if it cannot be written; what was there is then still there.
        """
        from safetensors.torch import save as to_bytes

        step, evaluations = position
        values, tensors = pack(state)
        contents = {
            TENSORS: to_bytes(
                {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
            ),
            VALUES: json.dumps(values, allow_nan=False).encode(),
        }
        files = {
            name: File(size=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in contents.items()
        }
        manifest = Manifest.model_validate({"format": FORMAT, "step": step, "files": files})
        path = self.folder / f"{step:08}-{evaluations:04}"
        with replaced_folder(path) as new:
            for name, data in contents.items():
                write_bytes(new / name, data)
            write_bytes(new / MANIFEST, manifest.model_dump_json(indent=2).encode())
        kept = [other for other in self._newest_first() if _position(other) <= position]
        for other in self._newest_first():  # later ones are damaged, or of a time that was gone back from
            if other not in kept[: self.keep]:
                shutil.rmtree(other, ignore_errors=True)
        return path

    def load(self) -> Tree | None:
        """Return the newest whole checkpoint's state, or None if none was ever finished.

        Raises ``RunError`` if there are checkpoints and all are damaged.
        """
        reasons = []
        for path in self._newest_first():
            try:
                state = _read(path)
            except Damaged as damage:
                reasons.append(f"{path}: {damage}")
                continue
            for reason in reasons:
                log.warning("warning: %s; the one before, %s, is taken in its place", reason, path.name)
            return state
        if reasons:
            raise RunError("no checkpoint of this run is whole:\n  " + "\n  ".join(reasons))
        return None

    def _newest_first(self) -> Iterator[Path]:
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return iter(sorted((path for path in found if _NAME.fullmatch(path.name)), key=_position, reverse=True))


def _position(path: Path) -> tuple[int, ...]:
    return tuple(map(int, path.name.split("-")))


def _read(path: Path) -> Tree:
    """Read one checkpoint and hold it to its manifest."""
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    try:
        manifest = Manifest.model_validate_json(read_regular(path / MANIFEST, MAX_MANIFEST))
        if manifest.format != FORMAT:
            raise Damaged(f"format {manifest.format}; this genlab reads {FORMAT}")
        contents = {}
        for name in (TENSORS, VALUES):
            if name not in manifest.files:
                raise Damaged(f"{MANIFEST} does not list {name}")
            wanted = manifest.files[name]
            size = (path / name).stat().st_size
            if size != wanted.size:
                raise Damaged(f"{name} has {size} bytes; {wanted.size} were written")
            contents[name] = read_regular(path / name, size)
            if hashlib.sha256(contents[name]).hexdigest() != wanted.sha256:
                raise Damaged(f"{name} has changed since it was written (SHA-256)")
        return unpack(json.loads(contents[VALUES]), from_bytes(contents[TENSORS]))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Damaged(f"{MANIFEST} is damaged: {'.'.join(map(str, first['loc']))} {first['msg']}") from None
    except OSError as error:
        raise Damaged(f"{Path(error.filename or path).name} cannot be read ({error.strerror})") from None
    except (SafetensorError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"it does not hold a state: {error}") from None
