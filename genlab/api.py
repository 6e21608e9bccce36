"""The version of the interfaces and hooks that plugins are written against, apart from genlab's own version.

``MAJOR.MINOR``. A minor version adds: hooks, arguments of context objects, optional methods with defaults. What is
to go is deprecated one minor version ahead (``genlab/deprecation.py``). A major version may break.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from genlab.errors import PluginError

API_VERSION = "1.0"
"""What a plugin's module may declare: ``GENLAB_API = "1.0"``. One that declares nothing is taken for 1.0."""

ATTRIBUTE = "GENLAB_API"
FIRST = "1.0"


class Version(NamedTuple):
    """A version of the API; versions compare as one expects."""

    major: int
    minor: int

    @classmethod
    def of(cls, text: str) -> Version:
        """Read ``1.0``; raise ``ValueError`` for anything else."""
        match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", text, re.ASCII)
        if match is None:
            raise ValueError(f"{text!r} is no version; MAJOR.MINOR is expected, as in {API_VERSION!r}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def declared(plugin: object) -> Version:
    """Return the version that a plugin's module was written for; raise ``PluginError`` if it declares nonsense."""
    written = getattr(plugin, ATTRIBUTE, FIRST)
    try:
        if not isinstance(written, str):
            raise ValueError(f"{written!r} is no text; a text is expected, as in {API_VERSION!r}")
        return Version.of(written)
    except ValueError as error:
        raise PluginError(f"{ATTRIBUTE} = {error}") from None


def check(plugin: object, distribution: str, genlab: str) -> Version:
    """Return what a plugin was written for; raise ``PluginError`` with the remedy unless this genlab has it.

    genlab: the version of genlab, for the message.
    """
    needed, here = declared(plugin), Version.of(API_VERSION)
    if needed.major == here.major and needed <= here:
        return needed
    remedy = f"pip install --upgrade {'genlab' if needed > here else distribution}"
    raise PluginError(f"it was written for API {needed} of genlab; genlab {genlab} has API {here}: {remedy}")
