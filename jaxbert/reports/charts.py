# SPDX-License-Identifier: Apache-2.0
"""Charts as SVG for a page, drawn by matplotlib: the same bytes for the same figures, in the colours of the page.

Lines and letters have the colour of the page's text, the rest that of its variables `--series-1` and following.
"""

import contextlib
import dataclasses
import html
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_INK = "#010203"  # in place of the page's colour for text until the SVG is written, as these are of its variables
_SERIES = ("#010211", "#010212", "#010213", "#010214")
_SIZE = (4.6, 2.7)  # inches of 72 units; the page scales it
_PLACE = (0.15, 0.19, 0.82, 0.74)  # of the axes: left, bottom, width and height as shares
_PLACE_ABOVE_NAMES = (0.15, 0.55, 0.82, 0.4)
_LETTERS = 60  # that have room below the axes
_LONGEST = 18  # letters of a name that is upright
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # letters stay letters, in the page's typeface
    "text.parse_math": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": _INK,
    "grid.alpha": 0.15,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "font.size": 9.0,
    "axes.xmargin": 0.02,
}


@dataclasses.dataclass(frozen=True)
class Words:
    """What is said of a chart: `title` names it, `described` tells those who do not see it what it shows."""

    title: str
    described: str
    x: str
    y: str


Points = tuple[Sequence[float], Sequence[float]]
"""Values on the x axis and on the y axis."""


def lines(words: Words, series: Mapping[str, Points], marked: bool = False) -> str:
    """A line for each series, with a mark at each point where they are few."""
    with _drawn(words) as (axes, result):
        for color, (name, points) in zip(_SERIES * len(series), series.items(), strict=False):
            axes.plot(*points, color=color, label=name, marker="o" if marked else "", markersize=3.5)
        if len(series) > 1:
            axes.legend()
    return result[0]


def histogram(words: Words, edges: Sequence[float], counts: Sequence[int], limit: float | None = None) -> str:
    """Bars from edge to edge; a `limit` is a dashed line."""
    with _drawn(words) as (axes, result):
        widths = [end - begin for begin, end in itertools.pairwise(edges)]
        axes.bar(edges[:-1], counts, widths, align="edge", color=_SERIES[0], linewidth=0)
        if limit is not None:
            axes.axvline(limit, color=_INK, linestyle="--", linewidth=1)
    return result[0]


def bars(words: Words, values: Mapping[str, float]) -> str:
    """A bar for each name."""
    with _drawn(words) as (axes, result):
        axes.bar(range(len(values)), list(values.values()), color=_SERIES[0], linewidth=0)
        is_wide = sum(map(len, values)) + 2 * len(values) > _LETTERS
        names = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..." for name in values]
        axes.set_xticks(range(len(values)), names, rotation=90 if is_wide else 0)
        if is_wide:
            axes.set_position(_PLACE_ABOVE_NAMES)
        axes.grid(axis="x", visible=False)
    return result[0]


def shares(words: Words, points: Points, counts: Sequence[int]) -> str:
    """Shares over probabilities, both from 0 to 1, beside the diagonal; the larger a count, the larger its point."""
    with _drawn(words) as (axes, result):
        axes.plot((0, 1), (0, 1), color=_INK, linestyle="--", linewidth=1)
        axes.plot(*points, color=_SERIES[0])
        most = max(counts)
        axes.scatter(*points, [8 + 60 * count / most for count in counts], color=_SERIES[0], linewidth=0)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    return result[0]


def scatter(words: Words, points: Points) -> str:
    """A point for each pair of values, beside the diagonal."""
    with _drawn(words) as (axes, result):
        ends = [choose(value for values in points for value in values) for choose in (min, max)]
        axes.plot(ends, ends, color=_INK, linestyle="--", linewidth=1)
        axes.scatter(*points, 9, color=_SERIES[0], alpha=0.5, linewidth=0)
    return result[0]


@contextlib.contextmanager
def _drawn(words: Words) -> Iterator[tuple[Axes, list[str]]]:
    """Axes to draw on; the list then holds the SVG. What the user set for matplotlib is left aside."""
    result: list[str] = []
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        # Ids are made of it: two charts on one page have none in common.
        matplotlib.rcParams.update({**_SETTINGS, "svg.hashsalt": words.title})
        figure = Figure(figsize=_SIZE)
        axes = figure.add_axes(_PLACE)
        axes.set(xlabel=words.x, ylabel=words.y)
        yield axes, result
        output = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(output, format="svg", metadata=metadata)
        result.append(_for_page(output.getvalue(), words))


def _for_page(svg: str, words: Words) -> str:
    """The element that stands in HTML: without what an SVG file has around it, and with what it shows in words."""
    svg = svg[svg.index("<svg") :]
    head, rest = svg.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    assert view is not None  # matplotlib writes it
    rest = re.sub(r'\s*<style type="text/css">.*?</style>', "", rest, flags=re.DOTALL)
    rest = re.sub(r' id="[\w.]+_\d+"', "", rest)  # names of parts, to which nothing refers
    rest = re.sub(r"; font-family: [^;\"]*", "", rest).replace("xlink:href", "href")
    for number, color in enumerate(_SERIES, 1):
        rest = rest.replace(color, f"var(--series-{number})")
    rest = re.sub(r"(?s)<g>\s*<path d=\"[^\"]*\" style=\"fill: #ffffff\"/>\s*</g>", "", rest)  # the paper
    rest = rest.replace("fill: #ffffff", "fill: none").replace(_INK, "currentColor")
    return f'<svg {view[0]} role="img" aria-label="{html.escape(words.described)}">{rest.strip()}'
