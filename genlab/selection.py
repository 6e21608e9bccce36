"""Which plugins this process loads: what the environment and the command line say.

``GENLAB_PLUGINS=a,b`` allows those installed plugins alone, by the names of their distributions or entry points,
spelled as pip takes them;
``genlab --no-plugins`` none; ``GENLAB_STRICT_PLUGINS=1`` makes one that cannot be loaded an error. genlab's own
parts are always there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genlab.errors import PluginError

ALLOWED, STRICT = "GENLAB_PLUGINS", "GENLAB_STRICT_PLUGINS"


def one_spelling(name: str) -> str:
    """Return how pip spells a distribution's name: ``genlab-mnist`` for ``Genlab_MNIST``."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Selection:
    """Which plugins to load.

    allowed: distributions or entry points, None for all. none: no installed ones. files: single-file plugins.
    strict: one that cannot be loaded is an error.
    """

    allowed: tuple[str, ...] | None = None
    none: bool = False
    files: tuple[Path, ...] = ()
    strict: bool = False

    def allows(self, distribution: str, entry_point: str) -> bool:
        """Whether an installed plugin is to be loaded."""
        names = {one_spelling(distribution), one_spelling(entry_point)}
        return not self.none and (self.allowed is None or not names.isdisjoint(map(one_spelling, self.allowed)))

    @property
    def reason(self) -> str:
        """Why a plugin that is not allowed is left out."""
        return "--no-plugins" if self.none else f"{ALLOWED}={','.join(self.allowed or ())}"

    def arguments(self) -> list[str]:
        """Return what says the same on the command line of another process, the environment being the same."""
        words = ["--no-plugins"] if self.none else []
        return [*words, *(word for path in self.files for word in ("--plugin", str(path)))]


def _plain(path: Path) -> Path:
    """Return an absolute path without ``..``, so that one file is one file however it is spelled."""
    return Path(os.path.abspath(path))  # noqa: PTH100  links stay: they name the plugin


_chosen = Selection()


def select_none() -> None:
    """Leave installed plugins out, whatever else was chosen."""
    select(none=True, files=_chosen.files)


def select(*, none: bool = False, files: Iterable[Path] = ()) -> None:
    """Say which plugins this process is to load, as the command line does; before anything needs them."""
    global _chosen
    _chosen = Selection(none=none, files=tuple(map(_plain, files)))


def select_files(paths: Sequence[Path]) -> None:
    """Add single-file plugins to those that this process loads."""
    select(none=_chosen.none, files=dict.fromkeys((*_chosen.files, *map(_plain, paths))))


def selected() -> Selection:
    """Return what the command line and the environment say; raise ``PluginError`` for what means nothing."""
    text = os.environ.get("GENLAB_PLUGINS") or ""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if text.strip() and not names:
        raise PluginError(
            f"{ALLOWED}={text}: it names no plugin; one or more are expected, as in a,b, or unset it"
        )
    strict = os.environ.get("GENLAB_STRICT_PLUGINS") or "0"
    if strict not in ("0", "1"):
        raise PluginError(f"{STRICT}={strict}: 1 makes a plugin that cannot be loaded an error, 0 does not")
    return replace(_chosen, allowed=names or None, strict=strict == "1")
