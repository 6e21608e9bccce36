"""A plugin that is one file, named on the command line: ``genlab run r.yaml --plugin ./my_encoder.py``.

Its parts belong to the distribution ``my_encoder.py``, and its version is a piece of the file's SHA-256. Nothing
but the command line names one: no recipe, run or model can make genlab run a file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from pydantic import BaseModel

from genlab.errors import PluginError


class PluginFile(BaseModel, frozen=True):
    """A single-file plugin as runs record it. path: absolute."""

    path: str
    sha256: str

    @property
    def distribution(self) -> str:
        """What stands for a distribution's name."""
        return Path(self.path).name

    @property
    def version(self) -> str:
        """What stands for a distribution's version."""
        return f"sha256:{self.sha256[:12]}"


@dataclass(frozen=True)
class Source:
    """The text of a single-file plugin, read once: what is hashed is what is run."""

    file: PluginFile
    data: bytes

    def module(self) -> ModuleType:
        """Run the file as a module of its own; raise whatever it raises."""
        name = f"genlab_plugin_{self.file.sha256[:12]}"
        loader = _Uncached(name, self.file.path)
        loader.data = self.data
        spec = importlib.util.spec_from_loader(name, loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # where pickling, and whoever resolves annotations, looks for it
        try:
            loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module


def read_file(path: Path) -> Source:
    """Read a file that is to be a plugin; raise ``PluginError`` if it is none."""
    if path.suffix != ".py":
        raise PluginError(f"--plugin {path}: a Python file is expected, as in ./my_encoder.py{_meant(path)}")
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device never end
            raise PluginError(
                f"--plugin {path}: no regular file; a Python file is expected, as in ./my_encoder.py"
            )
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PluginError(f"--plugin {path}: cannot be read ({reason})") from None
    return Source(PluginFile(path=str(path.absolute()), sha256=hashlib.sha256(data).hexdigest()), data)


def place_of(error: BaseException, path: str) -> str:
    """Return ``FILE:LINE`` where a file raised an error, as deep as the file itself goes."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{path}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path


def _meant(path: Path) -> str:
    return "; a package is installed instead: pip install " + str(path) if path.is_dir() else ""


class _Uncached(SourceFileLoader):
    """Compiles the bytes that were read, and leaves no compiled file behind."""

    data: bytes

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.data, self.path)
