"""A figure as inline SVG that shares a page with others, and where its data points lie in it."""

from __future__ import annotations

import dataclasses
import html
import io
import re
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from wilsonian.support.axes import ELIMINATED, FAINT, KEPT, MEASURED, REFERENCE, Scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, RULE = "#20242c", "#e4e7ec"
# The page restates these colours for a dark background.
VARIABLES = {
    KEPT: "kept",
    ELIMINATED: "eliminated",
    MEASURED: "measured",
    REFERENCE: "reference",
    FAINT: "faint",
    INK: "ink",
    RULE: "rule",
}
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small, selectable, in the font of the page
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": REFERENCE,
    "xtick.color": REFERENCE,
    "ytick.color": REFERENCE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}

PAD = 0.04  # inches around everything
SMALLEST = 0.2  # share of the figure that is left to the axes, whatever is written beside them

Draw = Callable[["Axes", Scale], "Axes"]
Describe = Callable[[float, float], str]


@dataclasses.dataclass(frozen=True)
class Drawing:
    """One figure of the report."""

    name: str  # unique on the page; letters and hyphens
    title: str
    caption: str
    draw: Draw
    describe: Describe | None = None  # text of the data point at (x, y); empty for none
    scales: tuple[Scale, ...] = ("log",)
    size: tuple[float, float] = (4.8, 3.5)  # inches
    alt: str = ""  # what the figure shows, for those who cannot see it


@dataclasses.dataclass(frozen=True)
class Rendering:
    """One figure on one scale: its SVG, and the points a pointer can find."""

    scale: Scale
    svg: str
    points: list[list[Any]]  # x, y in the coordinates of the SVG's viewBox, and a text


Render = Callable[[Drawing, Scale], Rendering]


def render(drawing: Drawing, scale: Scale) -> Rendering:
    """Draw a figure without touching pyplot or any lasting Matplotlib setting."""
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    prefix = f"{drawing.name}-{scale}-"
    with style.context(["default", {**STYLE, "svg.hashsalt": prefix}]), warnings.catch_warnings():
        # The browser, which has the fonts, draws the text; Matplotlib only measures it.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        # At 72 dots per inch the pixels of Matplotlib are the units of the SVG.
        figure = Figure(figsize=drawing.size, dpi=72)
        canvas = FigureCanvasSVG(figure)
        ax = drawing.draw(figure.add_subplot(), scale)
        for _ in range(1 if ax.get_aspect() == "auto" else 3):  # squares move what is beside them
            _fill(figure, ax)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        canvas.print_svg(buffer, metadata=nothing)
        points = list(_points(ax, drawing.describe)) if drawing.describe else []
    label = ". ".join(filter(None, (drawing.title, drawing.alt)))
    return Rendering(scale, _inline(buffer.getvalue(), prefix, label), points)


def _fill(figure: Figure, ax: Axes) -> None:
    """The axes as large as labels and legend let them be. Matplotlib's constrained layout measures
    these twice, and `savefig` draws twice; together they would take twice as long."""
    taken = ax.get_tightbbox(for_layout_only=True)
    if taken is None:  # nothing to see
        return
    here = ax.get_position(original=True)
    corners = taken.transformed(figure.transFigure.inverted())
    pads = PAD / figure.get_size_inches()
    low = pads + np.maximum(np.subtract(here.min, corners.min), 0)
    high = 1 - pads - np.maximum(np.subtract(corners.max, here.max), 0)
    ax.set_position((*low, *np.maximum(high - low, SMALLEST)))


def _points(ax: Axes, describe: Describe) -> Iterator[list[Any]]:
    height = ax.get_figure(root=True).bbox.height  # type: ignore[union-attr]
    low, high = ax.bbox.padded(2).get_points()
    for data in _series(ax):
        pixels = ax.transData.transform(data)
        inside = ((low <= pixels) & (pixels <= high)).all(axis=1)  # and no NaN
        for (x, y), (column, row) in zip(data[inside], pixels[inside], strict=True):
            if text := describe(float(x), float(y)):
                yield [round(float(column), 1), round(float(height - row), 1), text]


def _series(ax: Axes) -> Iterator[np.ndarray]:
    """Coordinates of what was drawn under a label, and of the cells of an image."""
    for line in ax.lines:
        # Reference lines across the axes do not live in data coordinates.
        if not str(line.get_label()).startswith("_") and line.get_transform() == ax.transData:
            yield np.asarray(line.get_xydata(), float)
    for image in ax.images:
        rows, columns = image.get_size()
        grid = np.meshgrid(np.arange(columns), np.arange(rows))
        yield np.stack(grid, axis=-1).reshape(-1, 2).astype(float)


def _inline(svg: str, prefix: str, title: str) -> str:
    """The `svg` element alone, its ids prefixed and its colours and fonts left to the page."""
    opening, body = svg[svg.index("<svg") :].split(">", 1)
    view_box = re.search(r'viewBox="[-0-9. ]*"', opening)
    # Matplotlib's `*{...}` rule would style the whole page.
    body = re.sub(r"<style.*?</style>|<metadata>.*?</metadata>", "", body, flags=re.DOTALL)

    def rewrite(tag: re.Match[str]) -> str:
        text = re.sub(r'\b(id="|xlink:href="#|url\(#)', rf"\g<1>{prefix}", tag.group())
        text = re.sub(r" ?font-family: [^;]*;|\s*transform=\"rotate\(-0 [^)]*\)\"", "", text)
        for color, variable in VARIABLES.items():
            text = text.replace(color, f"var(--{variable})")
        return text

    # Inside tags only: between them stands text of the user.
    body = re.sub(r"<[^>]*>", rewrite, body).strip()
    label = html.escape(title)
    return f'<svg {view_box.group() if view_box else ""} role="img" aria-label="{label}">{body}'
