"""Sheets that show what a model makes: reconstructions, samples, interpolations."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from genlab.plots.sheet import Sheet, draw_sheet
from genlab.plots.style import ACCENT, QUIET
from genlab.plots.subject import Subject

MOST = 16  # columns of reconstructions
PAIRS, STEPS = 5, 10  # five pairs show each of ten classes once


def reconstructions(subject: Subject) -> Figure:
    """Draw examples, equally many of each class, and below each the decoder's mean at its posterior mean."""
    classes = len(subject.classes)
    count = min(classes * (MOST // classes) if 1 < classes <= MOST else MOST, len(subject.x))
    chosen = subject.varied(count, "reconstructions")
    if subject.label is not None:
        chosen = chosen[subject.label.cpu()[chosen].argsort(stable=True)]
    x = subject.x[chosen.to(subject.x.device)]
    sheet = draw_sheet(
        subject.shown(torch.cat([x.cpu(), subject.model.reconstruct(x).cpu()])),
        subject.name,
        "reconstructions",
        "validation examples, and below each the decoder's mean at its posterior mean",
        columns=count,
        inches=7.0,
        left=1.15,
    )
    for row, text in enumerate(("example", "reconstruction")):
        _beside(sheet, row, text)
    return sheet.figure


def samples(subject: Subject, count: int) -> Figure:
    """Draw ``count`` samples: the likelihood's mean at z from the prior."""
    images = subject.model.sample(count, seed=subject.seed)
    return draw_sheet(
        subject.shown(images),
        subject.name,
        f"{count} samples",
        f"the decoder's mean at z drawn from the prior, seed {subject.seed}",
        inches=4.5 if count <= 16 else 6.0,
    ).figure


def interpolation(subject: Subject) -> Figure:
    """Draw straight lines in latent space between the posterior means of two examples each.

    The two outlined images at a row's ends are the examples themselves; between them is what the decoder
    makes of the line, both its ends included.
    """
    chosen = subject.varied(2 * PAIRS, "interpolation").view(PAIRS, 2)
    x = subject.x[chosen.flatten().to(subject.x.device)].unflatten(0, (PAIRS, 2)).cpu()
    first, last = subject.means[chosen[:, 0]], subject.means[chosen[:, 1]]
    along = torch.linspace(0, 1, STEPS)[None, :, None]
    line = torch.lerp(first[:, None], last[:, None], along)  # (PAIRS, STEPS, Z)
    decoded = subject.model.decode(line.flatten(0, 1)).cpu().unflatten(0, (PAIRS, STEPS))
    rows = torch.cat([x[:, :1], decoded, x[:, 1:]], dim=1)
    sheet = draw_sheet(
        subject.shown(rows.flatten(0, 1)),
        subject.name,
        "interpolation",
        "outlined: two validation examples; between them: decoded along the line from mean to mean",
        columns=STEPS + 2,
        inches=7.0,
        gap=6,
    )
    for row in range(PAIRS):
        for column in (0, STEPS + 1):
            _outline(sheet, row, column)
    return sheet.figure


def _beside(sheet: Sheet, row: int, text: str) -> None:
    _, y = sheet.centre(row, 0)
    sheet.axes.annotate(
        text, (0, y), xytext=(-6, 0), textcoords="offset points", ha="right", va="center", size=8, color=QUIET
    )


def _outline(sheet: Sheet, row: int, column: int) -> None:
    x, y = sheet.corner(row, column)
    height, width = sheet.tile
    frame = Rectangle((x, y), width, height, fill=False, edgecolor=ACCENT, linewidth=1.2, clip_on=False)
    sheet.axes.add_patch(frame)
