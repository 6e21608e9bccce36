"""A block that may add to what Python finds modules by, and take nothing away: everybody's imports need it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from genlab.errors import PluginError

_BY = ("path", "meta_path", "path_hooks")


@contextmanager
def importable() -> Iterator[None]:
    """Put ``sys.path``, ``sys.meta_path`` and ``sys.path_hooks`` back if a block takes anything out of them.

    What it only adds stays.
    Raises ``PluginError`` naming the first of them if anything was taken out, and the block raised nothing itself.
    """
    before = {name: (getattr(sys, name), list(getattr(sys, name))) for name in _BY}
    taken: list[str] = []
    try:
        yield
    finally:
        for name, (entries, kept) in before.items():
            now = list(getattr(sys, name) or ())
            gone = sum(entry not in now for entry in kept)
            if gone:
                entries[:] = kept
                setattr(sys, name, entries)
                importlib.invalidate_caches()  # where nothing could be found meanwhile
                taken.append(
                    f"it took {gone} of {len(kept)} entries out of sys.{name}, by which everybody imports; only "
                    "add to it"
                )
    if taken:
        raise PluginError(taken[0])
