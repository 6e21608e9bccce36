"""One self-contained HTML page about a run: ``report.html``.

    write_report(Path("runs/mnist_cvae/20261122-103000-1a2b"))

Images and style are in the page; nothing is fetched and nothing runs in it. What users wrote (names, errors,
commands, cards) is text there, never markup.
"""

from __future__ import annotations

from pathlib import Path

from genlab.files import write_text
from genlab.report.facts import PAGE, read_run
from genlab.report.run import run_page

__all__ = ["PAGE", "write_report"]


def write_report(run: Path, output: Path | None = None) -> Path:
    """Write the page of a run directory, in it or to ``output``; return its path.

    The same run gives the same bytes if asked from the same folder: commands name the run as one types it
    there. Raises ``RunError`` if ``run`` is no run directory or the page cannot be written.
    """
    path = run / PAGE if output is None else output
    write_text(path, run_page(read_run(run)))
    return path
