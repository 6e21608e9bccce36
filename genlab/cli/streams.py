"""Standard output that neither a reader who leaves nor a poor encoding can turn into a failure."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

UNWRITABLE = (errno.ENOSPC, errno.EIO, errno.EBADF)
"""What a standard output fails with that can take no more."""


def forgive_encodings() -> None:
    """Show ``?`` for characters that the terminal cannot, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def divert(stream: TextIO) -> None:
    """Let all that is still written to a stream, the interpreter's own last flush included, go nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Surviving(io.TextIOBase):
    """A text stream that falls silent when it can take no more, as in ``genlab run recipe.yaml | head``.

    A training of hours must not end because nobody watches it any more, or because the disk that its output goes
    to is full.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream if stream is not None else open(os.devnull, "w")  # noqa: PTH123, SIM115  closed: >&-
        self.silent = False

    def write(self, text: str) -> int:
        """Write if anybody still reads."""
        if not self.silent:
            try:
                self.stream.write(text)
                self.stream.flush()
            except (OSError, ValueError):
                self.silence()
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write is flushed."""

    def silence(self) -> None:
        """Write no more, and let the interpreter's own last flush go nowhere."""
        self.silent = True
        divert(self.stream)

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """The stream's descriptor."""
        return self.stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's encoding."""
        return self.stream.encoding
