"""The folder ``<root>/<Title>/raw``, torchvision's layout, and the manifest beside the files.

The manifest, ``genlab.json``, records size, sha256 and source of each file that was fetched. It is what later
checks compare with where no checksum of the raw file is published. Files without an entry, put there by hand,
are checked by size and header.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from genlab_mnist.idx import RawFile, digest

MANIFEST = "genlab.json"
_FORMAT = 1
_log = logging.getLogger("genlab")


@dataclass(frozen=True)
class Entry:
    """What the manifest says of one file."""

    size: int
    sha256: str
    source: str

    def __post_init__(self) -> None:
        if (type(self.size), type(self.sha256), type(self.source)) != (int, str, str):
            raise TypeError("an entry is an integer size, a sha256 and a source")


@dataclass(frozen=True)
class State:
    """What lies in the folder.

    absent: names of files. damaged: name -> what is wrong. unproven: whole by size and header, but there is
    no checksum to compare with. sources: where the files came from, as far as recorded.
    """

    absent: tuple[str, ...]
    damaged: Mapping[str, str]
    unproven: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def summary(self) -> str:
        """How far the files can be trusted and where they came from, for ``origin``."""
        how = "size and header checked" if self.unproven else "verified"
        return "; ".join([how, *self.sources])


class RawFolder:
    """The raw files of one data set in one folder. Methods raise ``OSError`` where the disk refuses."""

    def __init__(self, path: Path, files: tuple[RawFile, ...]) -> None:
        self.path, self.files = path, files

    def examine(self) -> State:
        """Check every file; nothing is changed."""
        damaged: dict[str, str] = {}
        entries: dict[str, Entry] = {}
        try:
            entries = self._entries()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            damaged[MANIFEST] = f"it is not a manifest ({error})"
        present = [file for file in self.files if (self.path / file.name).exists()]
        for file in present:
            entry = entries.get(file.name)
            fault = file.fault(self.path / file.name, entry.sha256 if entry else None)
            if fault is not None:
                damaged[file.name] = fault
        return State(
            absent=tuple(file.name for file in self.files if file not in present),
            damaged=damaged,
            unproven=tuple(f.name for f in present if f.md5 is None and f.name not in entries),
            sources=tuple(dict.fromkeys(entries[f.name].source for f in present if f.name in entries)),
        )

    def packed(self, files: Sequence[RawFile]) -> list[RawFile]:
        """Return those of the files that lie here packed, as ``NAME.gz``."""
        return [file for file in files if (self.path / f"{file.name}.gz").exists()]

    def install(self, staged: Mapping[RawFile, tuple[Path, str]]) -> None:
        """Move verified files in: file -> where it lies, on the same disk, and its source.

        Each file appears at once and whole, or not at all; another process doing the same does no harm,
        because both bring the same bytes. The manifest goes first: files without it would be trusted on less.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        new = {f.name: Entry(f.size, digest(path, "sha256"), source) for f, (path, source) in staged.items()}
        self._write_manifest(new)
        for file, (path, _) in staged.items():
            target = self.path / file.name
            sync(path)
            if target.exists() and file.fault(target, new[file.name].sha256) is not None:
                self.keep_aside(file.name)
            path.replace(target)
        sync(self.path)

    def keep_aside(self, name: str) -> None:
        """Keep a damaged file that is to be replaced as ``NAME.damaged``, or ``NAME.damaged.2`` and so on."""
        for number in itertools.count(1):
            aside = self.path / f"{name}.damaged{'' if number == 1 else f'.{number}'}"
            if aside.exists():
                continue
            try:
                # A second name rather than a new one: the file is never absent to a process that looks now.
                os.link(self.path / name, aside)
            except FileExistsError:
                continue  # another process has just taken that name
            except OSError:  # a folder, or a disk without links
                (self.path / name).rename(aside)
            _log.info("%s is damaged; kept as %s", self.path / name, aside.name)
            return

    def remove_manifest(self) -> None:
        """Remove a damaged manifest, keeping it aside."""
        self.keep_aside(MANIFEST)
        (self.path / MANIFEST).unlink(missing_ok=True)

    def _entries(self) -> dict[str, Entry]:
        try:
            text = (self.path / MANIFEST).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return {}
        manifest = json.loads(text)
        if manifest["format"] != _FORMAT:
            raise ValueError(f"format {manifest['format']!r} found, {_FORMAT} expected")
        return {name: Entry(**entry) for name, entry in manifest["files"].items()}

    def _write_manifest(self, new: Mapping[str, Entry]) -> None:
        try:
            entries = self._entries() | dict(new)
        except (ValueError, TypeError, KeyError, AttributeError):
            self.keep_aside(MANIFEST)
            entries = dict(new)
        manifest = {"format": _FORMAT, "files": {name: asdict(entry) for name, entry in entries.items()}}
        handle, name = tempfile.mkstemp(prefix=f".{MANIFEST}-", dir=self.path)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(manifest, file, indent=2)
            sync(Path(name))
            Path(name).chmod(0o644)  # mkstemp's 0600 would hide it from others who may read the data
            Path(name).replace(self.path / MANIFEST)
        finally:
            Path(name).unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Bring a file's contents, or a folder's names, to the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
