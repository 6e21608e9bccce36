"""Training under the display that suits the terminal, and the exit code that suits how it ended."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import typer

from genlab.cli.streams import Surviving
from genlab.errors import Interrupted

if TYPE_CHECKING:
    from genlab.cli.display import QuietDisplay
    from genlab.session import Run


def displayed(train: Callable[[QuietDisplay], Run], *, quiet: bool, json: bool) -> None:
    """Train under a display; exit with 128 + n if signal n interrupted it."""
    from genlab.cli.display import JsonDisplay, PlainDisplay, QuietDisplay, TerminalDisplay, console

    display: QuietDisplay
    if json:
        display = JsonDisplay()
    elif quiet:
        display = QuietDisplay()
    else:
        display = TerminalDisplay() if console().is_terminal else PlainDisplay()
    with redirect_stdout(Surviving(sys.stdout)), display:
        try:
            result = train(display)
        except Interrupted as interrupted:
            typer.echo(str(interrupted), err=True)
            raise typer.Exit(128 + interrupted.signal) from None
        display.conclude(result)
    if result.signal is not None:
        raise typer.Exit(128 + result.signal)
