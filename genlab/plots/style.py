"""How every plot looks: set here, in a context, so that nobody's matplotlib settings change or matter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

DPI = 150
INK, QUIET, FAINT = "#222222", "#6b6b6b", "#d9d9d9"
ACCENT, SECOND, POINTS = "#b3402a", "#8fa3b5", "#332288"
HEADER = 0.62  # inches kept free at a figure's top for its two lines
MARGIN = 0.25  # inches

# The "muted" scheme of Paul Tol, "Colour Schemes" (SRON technical note, 2021), which stays distinct in the
# common colour blindnesses. In this order digits that models confuse (4 and 9; 3, 5 and 8) differ in lightness
# too. The scheme's pale grey is darker here, to show on white.
TOL_MUTED = (
    "#882255", "#ddcc77", "#117733", "#cc6677", "#88ccee",
    "#777777", "#44aa99", "#aa4499", "#999933", "#332288",
)  # fmt: skip

_STYLE: dict[str, Any] = {
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titlepad": 8,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "xtick.color": QUIET,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.color": QUIET,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
    "ytick.major.width": 0.6,
}


@contextmanager
def styled() -> Iterator[None]:
    """Run a block under matplotlib's own defaults and this style, then restore the caller's settings."""
    # Outside of this context remains "backend": reading or setting it can start a window system.
    defaults: dict[Any, Any] = {
        name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"
    }
    with matplotlib.rc_context(defaults | _STYLE):
        yield


def below_header(height: float, footer: float = 0.0) -> ConstrainedLayoutEngine:
    """Return the layout of charts in a figure ``height`` inches high that leaves its header and a footer free."""
    free = 1 - (HEADER + footer) / height - 0.02
    return ConstrainedLayoutEngine(rect=(0.02, 0.02 + footer / height, 0.96, free), wspace=0.06)


def header(figure: Figure, name: str, title: str, subtitle: str) -> None:
    """Write ``title · name`` and a quiet second line at the figure's top left; a long name is cut short."""
    width, height = figure.get_size_inches()
    room = int((width - 2 * MARGIN) / 0.1) - len(title) - 3
    if len(name) > room:
        name = name[: max(room - 1, 0)] + "…"
    line = f"{title} · {name}" if name else title
    left = MARGIN / width
    # parse_math: a name is not TeX, whatever characters it has.
    figure.text(left, 1 - 0.16 / height, line, size=11, weight="bold", va="top", parse_math=False)
    figure.text(left, 1 - 0.38 / height, subtitle, size=8, color=QUIET, va="top", parse_math=False)


def class_colours(count: int) -> ListedColormap:
    """Return ``count`` colours for classes: qualitative up to ten, along a lightness scale beyond."""
    if count <= len(TOL_MUTED):
        return ListedColormap(TOL_MUTED[:count])
    return ListedColormap(matplotlib.colormaps["viridis"].resampled(count)(range(count)))
