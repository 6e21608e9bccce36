"""The plots of a page, inline: each on white paper, because that is what they were drawn on."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence

from genlab.report.facts import Picture
from genlab.report.page import Html, code, section, tag, together
from genlab.units import bytes_said

LARGEST = 4_000_000  # bytes of a plot, and
TOGETHER = 16_000_000  # of all, that a page takes in
WIDE = 1.9  # times as wide as high: a plot that has a row to itself
PER_POINT = 0.64  # CSS pixels per pixel: plots have 150 an inch, CSS 96

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def plots(pictures: Sequence[Picture]) -> Html | None:
    """Return plots with their captions; None if there are none."""
    if not pictures:
        return None
    room, shown = TOGETHER, []
    for picture in pictures:
        fits = len(picture.png) <= min(LARGEST, room)
        room -= len(picture.png) if fits else 0
        shown.append(image(picture) if fits else _too_large(picture))
    return section("Plots", tag("div", shown, class_="plots"))


def image(picture: Picture) -> Html:
    """Return a plot as a figure; one that is no PNG is named and left out."""
    title = tag("b", picture.kind)
    caption = tag("figcaption", together(title, ": ", picture.about) if picture.about else title)
    shape = png_size(picture.png)
    if shape is None:
        return tag("figure", tag("p", code(f"{picture.kind}.png"), " is not a PNG.", class_="about"), caption)
    width, height = shape
    drawn = tag(
        "img",
        src=f"data:image/png;base64,{base64.b64encode(picture.png).decode()}",
        alt=f"Plot of {picture.kind}: {picture.about}" if picture.about else f"Plot of {picture.kind}",
        width=round(width * PER_POINT),
        height=round(height * PER_POINT),
    )
    return tag(
        "figure", tag("div", drawn, class_="paper"), caption, class_="wide" if width > WIDE * height else None
    )


def png_size(data: bytes) -> tuple[int, int] | None:
    """Return a PNG's width and height in pixels, or None if the data is no PNG."""
    if len(data) < 24 or not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return (width, height) if width and height else None


def _too_large(picture: Picture) -> Html:
    words = (
        f" ({bytes_said(len(picture.png))}) is too large to stand in the page; it is in the run's plots folder."
    )
    return tag("figure", tag("p", code(f"{picture.kind}.png"), words, class_="about"))
