"""Files that are either whole or absent, whatever happens while they are written; and none that never ends."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from genlab.errors import RunError


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write ``path`` into a ``RunError`` with a remedy."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "free some space, mend its permissions, or choose another folder"
        ) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part of it.

    Raises ``RunError`` if it cannot be written, or something that is no file stands there, a device for example.
    """
    if not path.name or (path.exists() and not path.is_file()):
        raise RunError(f"{str(path)!r}: not a file; choose another name")
    with explained(path):
        new = _beside(path)
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(new, path)  # noqa: PTH105
        except BaseException:
            with suppress(OSError):
                os.unlink(new)  # noqa: PTH108
            raise
        sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all.

    A byte of a file's name that is no UTF-8 is written as an escape, which JSON reads as that byte: ``\\udcff``.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Fill a new folder that takes the place of ``path`` when the block ends, and vanishes if it raises.

    Between the two renames a crash can leave ``path`` under the name ``previous(path)``.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = _beside(path)
        new.mkdir()
        try:
            yield new
            sync_folder(new)
            old = previous(path)
            shutil.rmtree(old, ignore_errors=True)
            if path.exists():
                path.rename(old)
            try:
                new.rename(path)
            except BaseException:
                if old.exists():
                    old.rename(path)
                raise
            sync_folder(path.parent)
            shutil.rmtree(old, ignore_errors=True)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder that appears at ``path``, where nothing is yet, when the block ends; gone if it raises.

    Raises ``RunError`` if something else has appeared there by then; it is left as it is.
    """
    with explained(path):
        new = _beside(path)
        new.mkdir()
        try:
            yield new
            sync_folder(new)
            try:
                if os.name != "nt":  # where renaming itself refuses to replace
                    path.mkdir()
                new.rename(path)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                what = "folder" if path.is_dir() else "file"
                raise RunError(
                    f"{path}: there is such a {what} now, made meanwhile by somebody else; choose another name"
                ) from None
            sync_folder(path.parent)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise


def previous(path: Path) -> Path:
    """Where ``replaced_folder`` keeps the old folder for the moment of the exchange."""
    return path.with_name(f".{path.name}.previous")


def sync_folder(path: Path) -> None:
    """Make renames in a folder last through a power cut, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that do not know how
            raise
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    """A name that nobody has, in the same folder."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}")


def read_regular(path: Path, limit: int, *, within: Path | None = None, tail: bool = False) -> bytes:
    """Return what is in a regular file of at most ``limit`` bytes; with ``tail``, the last of a longer one.

    A pipe or a device, which could keep us waiting for ever, is never read, nor, if ``within`` is given, what a
    link out of that folder leads to. Raises ``OSError`` for all that cannot be read, ``ValueError`` for what is
    no path.
    """
    if within is not None and not path.resolve().is_relative_to(within.resolve()):
        raise OSError(errno.ELOOP, "a link that leads out of its folder", str(path))
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:  # noqa: PTH123  opened as no Path method can
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if found.st_size > limit:
            if not tail:
                raise OSError(errno.EFBIG, f"more than {limit:,} bytes", str(path))
            file.seek(-limit, os.SEEK_END)
        return file.read(limit)
