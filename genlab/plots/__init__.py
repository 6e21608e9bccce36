"""Plots of a model and its training, as matplotlib figures and PNG files.

    subject = Subject(model, x, label, records)
    save_png(draw("manifold", subject), Path("manifold.png"))

No display is needed and no global setting of matplotlib is changed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from genlab.errors import RunError
from genlab.files import explained, write_bytes
from genlab.plots import sheet
from genlab.plots.images import interpolation, reconstructions, samples
from genlab.plots.latent import latent
from genlab.plots.losses import TERMS, losses
from genlab.plots.manifold import manifold
from genlab.plots.sheet import is_image, to_grid
from genlab.plots.style import DPI, styled
from genlab.plots.subject import Subject
from genlab.wording import suggest

__all__ = ["PLOTS", "Subject", "check_kind", "draw", "draw_all", "sample_sheet", "save_png", "to_grid"]


_UNSIGNED: dict[str, Any] = {"Software": None}  # no version in the file: the same plot is the same bytes


@dataclass(frozen=True)
class _Plot:
    """One kind of plot and what it cannot be drawn without: ``examples`` is the fewest."""

    about: str
    draw: Callable[[Subject], Figure]
    images: bool = True
    examples: int = 0
    records: bool = False


_PLOTS = {
    "losses": _Plot("loss, nll and kl of each epoch", losses, images=False, records=True),
    "reconstructions": _Plot("examples and what the model makes of them", reconstructions, examples=1),
    "samples": _Plot("16 samples from the model", partial(samples, count=16)),
    "samples64": _Plot("64 samples from the model", partial(samples, count=64)),
    "latent": _Plot("the posterior means of all examples", latent, images=False, examples=1),
    "manifold": _Plot("the decoded latent plane", manifold),
    "interpolation": _Plot("straight lines in latent space between examples", interpolation, examples=2),
}

PLOTS: Mapping[str, str] = {kind: plot.about for kind, plot in _PLOTS.items()}
"""Each kind of plot and what it shows, in one line."""


def check_kind(kind: str) -> None:
    """Raise ``RunError`` unless ``kind`` is one of ``PLOTS``; it names the nearest and lists all."""
    if kind not in _PLOTS:
        raise RunError(f"unknown plot {kind!r}; {suggest(kind, list(PLOTS))}known: {', '.join(PLOTS)}")


def draw(kind: str, subject: Subject) -> Figure:
    """Draw one of ``PLOTS``. The same subject gives the same figure.

    Raises ``RunError`` for an unknown kind, and for one that this subject cannot have: losses without
    records, images of data that are none, anything of examples without examples.
    """
    check_kind(kind)
    plot = _PLOTS[kind]
    obstacle = _obstacle(kind, plot, subject)
    if obstacle:
        raise RunError(obstacle)
    with styled():
        return plot.draw(subject)


def draw_all(subject: Subject, folder: Path) -> list[Path]:
    """Draw every kind that this subject can have to ``folder/<kind>.png``; return the files' paths.

    The folder is made if there is none. Raises ``RunError`` if a file cannot be written.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind, plot in _PLOTS.items():
        if _obstacle(kind, plot, subject) is None:
            path = folder / f"{kind}.png"
            save_png(draw(kind, subject), path)
            paths.append(path)
    return paths


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all; raise ``RunError`` if it cannot be written."""
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format="png", dpi=DPI, metadata=_UNSIGNED)
    write_bytes(path, buffer.getvalue())


def sample_sheet(images: Tensor) -> Figure:
    """Draw images ``(N, C, H, W)`` in [0, 1] as a near-square sheet that fills its page: no title, no margin.

    Small images are enlarged by a whole number. Raises ``RunError`` if they are no images or there are none.
    """
    with styled():
        return sheet.sample_sheet(images)


def _obstacle(kind: str, plot: _Plot, subject: Subject) -> str | None:
    """Say why a plot cannot be drawn, or None."""
    model = subject.model
    if plot.records and not any(
        f"{split}/{term}" in row for row in subject.records for split in ("train", "val") for term in TERMS
    ):
        return f"{kind}: nothing is recorded of this model's training"
    if plot.images and not is_image(model.x_shape):
        return (
            f"{kind}: examples of shape {model.x_shape} are not images; (1, H, W) or (3, H, W) is expected. "
            f"Plots that need no images: {', '.join(k for k, p in _PLOTS.items() if not p.images)}"
        )
    # Beyond two dimensions the manifold follows the posterior means.
    fewest = max(plot.examples, int(kind == "manifold" and model.latent > 2))
    if len(subject.x) < fewest:
        return f"{kind}: {len(subject.x)} examples are too few; at least {fewest} needed"
    return None
