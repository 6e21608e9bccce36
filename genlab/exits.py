"""A part that calls ``sys.exit`` is named, instead of ending genlab without a word."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from genlab.errors import PartError


@contextmanager
def answering() -> Iterator[None]:
    """Turn a ``SystemExit`` that a part raised into a ``PartError`` that names it; leave anybody else's."""
    try:
        yield
    except SystemExit as error:
        if said := exit_of_part(error):
            raise PartError(said, said.partition(" ")[0]) from error
        raise


def exit_of_part(error: SystemExit) -> str:
    """Say which part, of whom, called ``sys.exit``, and where; return nothing if none did."""
    if "genlab.plugins" not in sys.modules:
        return ""  # there are no parts yet: an exit like that of completion must not load them
    from genlab.plugins import examined

    calls = list(traceback.walk_tb(error.__traceback__))
    place = f"{calls[-1][0].f_code.co_filename}:{calls[-1][1]}" if calls else ""
    classes = {part.cls: part for part in examined().registry.parts()}
    for frame, _ in reversed(calls):
        part = classes.get(type(frame.f_locals.get("self")))
        if part is not None:
            return f"{part.kind} {part.name!r} of {part.distribution} called sys.exit({error.code!r}) at {place}"
    return ""
