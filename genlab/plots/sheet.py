"""Sheets of images in which every pixel of the data is a whole number of pixels of the file."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from genlab.errors import RunError
from genlab.plots.style import DPI, HEADER, MARGIN, header

GAP = 3  # pixels of the file between two images
PAPER, RULE = 1.0, 0.55  # shades between images: white, or grey where images would run into white
NARROWEST = 4.3  # inches: what a subtitle needs


def is_image(shape: tuple[int, ...]) -> bool:
    """Say whether examples of this shape can be shown: ``(1, H, W)`` grey or ``(3, H, W)`` colour."""
    return len(shape) == 3 and shape[0] in (1, 3)


def to_grid(
    images: Tensor, *, columns: int | None = None, scale: int = 1, gap: int = 1, between: float = PAPER
) -> NDArray[np.float32]:
    """Lay images out in rows, near-square unless ``columns`` says otherwise.

    images: ``(N, C, H, W)`` in [0, 1], C of 1 or 3, on any device; values outside are clipped. scale: how
    many pixels a pixel becomes each way. gap: pixels between two images. between: their shade, white by default.

    Returns ``(rows * H', columns * W')`` for grey, with a last axis of 3 for colour. Raises ``RunError`` if
    these are no images or there are none.
    """
    if not is_image(tuple(images.shape[1:])) or not len(images):
        raise RunError(
            f"a tensor of shape {tuple(images.shape)} cannot be shown as images; "
            "(N, 1, H, W) for grey or (N, 3, H, W) for colour is expected, N at least 1"
        )
    columns = columns or near_square(len(images))
    tiles = images.detach().cpu().float().clamp(0, 1).permute(0, 2, 3, 1).numpy()
    tiles = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    count, height, width, depth = tiles.shape
    rows = -(-count // columns)
    grid = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, depth), between, np.float32)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        grid[top : top + height, left : left + width] = tile
    return grid[..., 0] if depth == 1 else grid


def reaches_edge(images: Tensor) -> bool:
    """Say whether any of the images ``(N, C, H, W)`` is bright along an edge, and so needs a line around it."""
    edges = (images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1])
    return any(float(edge.mean((1, 2)).max()) > 0.1 for edge in edges)


def near_square(count: int) -> int:
    """Return how many columns lay out ``count`` images in as good as a square."""
    return math.ceil(math.sqrt(count))


def scale_for(width: int, columns: int, inches: float) -> int:
    """Return how many times images ``width`` wide fit enlarged into ``inches``; at least once."""
    return max(1, int(inches * DPI) // (width * columns))


@dataclass(frozen=True)
class Sheet:
    """A figure with one sheet of images. Its axes count in pixels of the file, from the top left.

    tile: height and width of one image, enlarged. gap: between two.
    """

    figure: Figure
    axes: Axes
    tile: tuple[int, int]
    gap: int

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Return x and y of an image's top left corner."""
        height, width = self.tile
        return column * (width + self.gap), row * (height + self.gap)

    def centre(self, row: int, column: int) -> tuple[float, float]:
        """Return x and y of an image's centre."""
        x, y = self.corner(row, column)
        return x + self.tile[1] / 2, y + self.tile[0] / 2


def draw_sheet(
    images: Tensor,
    name: str,
    title: str,
    subtitle: str,
    *,
    columns: int | None = None,
    inches: float = 5.0,
    gap: int = GAP,
    left: float = MARGIN,
    bottom: float = MARGIN,
) -> Sheet:
    """Draw images ``(N, C, H, W)`` in [0, 1] as a sheet about ``inches`` wide under a header.

    gap: pixels of the file between images. Bright edges call for a grey line, around the sheet too.
    left, bottom: inches of margin, where labels go.
    """
    columns = columns or near_square(len(images))
    scale = scale_for(images.shape[3], columns, inches)
    ruled = reaches_edge(images)
    gap = max(gap, GAP) if ruled else gap
    grid = to_grid(images, columns=columns, scale=scale, gap=gap, between=RULE if ruled else PAPER)
    height, width = grid.shape[:2]
    # Everything in whole pixels: a sheet that starts between two pixels would be blurred.
    x, y, top, right = (round(margin * DPI) for margin in (left, bottom, HEADER, MARGIN))
    page = max(x + width + right, round(NARROWEST * DPI)), y + height + top
    figure, axes = _page(grid, page, (x, y))
    if ruled:
        frame = Rectangle(
            (-GAP / 2, -GAP / 2), width + GAP, height + GAP,
            edgecolor=str(RULE), linewidth=GAP * 72 / DPI, fill=False, clip_on=False, snap=False,
        )  # fmt: skip
        axes.add_patch(frame)
    header(figure, name, title, subtitle)
    return Sheet(figure, axes, (images.shape[2] * scale, images.shape[3] * scale), gap)


def sample_sheet(images: Tensor) -> Figure:
    """Draw images ``(N, C, H, W)`` in [0, 1] as a near-square sheet that fills its page: no title, no margin.

    Small images are enlarged by a whole number. Raises ``RunError`` if they are no images or there are none.
    """
    columns, scale, between = near_square(len(images)), 1, PAPER
    if images.numel() and is_image(tuple(images.shape[1:])):
        scale = scale_for(images.shape[3], columns, inches=4.5)
        between = RULE if reaches_edge(images) else PAPER
    grid = to_grid(images, columns=columns, scale=scale, gap=GAP, between=between)
    figure, _ = _page(grid, (grid.shape[1], grid.shape[0]), (0, 0))
    return figure


def _page(grid: NDArray[np.float32], page: tuple[int, int], corner: tuple[int, int]) -> tuple[Figure, Axes]:
    """Put a grid on a page, both measured in pixels of the file, with its lower left corner at ``corner``."""
    height, width = grid.shape[:2]
    # matplotlib cuts a page's size down to whole pixels: without a little more, rounding could cost one.
    figure = Figure(figsize=((page[0] + 1e-4) / DPI, (page[1] + 1e-4) / DPI))
    axes = figure.add_axes((corner[0] / page[0], corner[1] / page[1], width / page[0], height / page[1]))
    axes.imshow(
        grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=(0, width, height, 0), aspect="auto"
    )
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    return figure, axes
