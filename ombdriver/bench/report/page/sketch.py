"""A plot as lines, points and texts in pixels, which a page can show before plotly.js is unpacked. Pure.

It is drawn as the plots of `plots` are first shown: same lines, colours, dashes and scales, with no more than a frame
and ticks around them. One pair of axes: a timeline, which has several, has no sketch.
"""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.report.page.plots import INK, Plot

WIDTH, HEIGHT = 760, 400
"""In pixels of its own; the page scales it to the place of the plot."""
_DASHES = {"solid": "", "dash": "6 4", "dot": "2 3", "dashdot": "6 3 2 3", "longdash": "10 4"}
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 16, 44
_LETTER_PX, _MOST_LEFT = 6.5, 280
_PADDING = 0.04
"""What is left free at each end of an axis, of its length."""
_TICKS = 6
_LEAST_GAP_PX = 30
_MOST_MARKERS = 14
"""A line has no more markers than that."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through `points` (pixels, as SVG writes them); no dash is the empty text."""

    points: str
    colour: str
    dash: str
    thin: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """A marker around a point in pixels."""

    x: float
    y: float
    colour: str
    hollow: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis in pixels, and its text as it is read."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is drawn.

    Attributes:
        height: in pixels; the width is `WIDTH`.
        left, right, top, bottom: of the frame.
        across, down: the ticks of the two axes.
        titles: of the two axes, as they are read; empty for none.
        strokes: lines, and the intervals of points.
        dots: markers.
    """

    height: int
    left: float
    right: float
    top: float
    bottom: float
    across: tuple[Tick, ...]
    down: tuple[Tick, ...]
    titles: tuple[str, str]
    strokes: tuple[Stroke, ...]
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class _Axis:
    """Puts a value of an axis to its pixel."""

    low: float
    high: float
    begin: float
    end: float
    categories: Sequence[Any]
    log: bool

    def __call__(self, value: Any) -> float | None:
        """None for what has no place on it: no value, and 0 on a logarithmic axis."""
        if self.categories:
            number = float(self.categories.index(value))
        elif value is None or (self.log and value <= 0):
            return None
        else:
            number = math.log10(value) if self.log else float(value)
        share = (number - self.low) / (self.high - self.low)
        return round(self.begin + share * (self.end - self.begin), 1)


def sketch(plot: Plot | None) -> Sketch | None:
    """What a plot shows at first; None of none, of one without a point, and of one with several panels."""
    if plot is None or any(key.startswith("yaxis") and key != "yaxis" for key in plot["layout"]):
        return None
    shown = [series for series in plot["data"] if series.get("visible", True)]
    layout, height = plot["layout"], int(plot.get("height", HEIGHT))
    x_values, y_values = ([value for each in shown for value in each[name]] for name in ("x", "y"))
    if not any(isinstance(value, int | float) for value in (*x_values, *y_values)):
        return None
    names = [_read(value) for value in y_values if isinstance(value, str)]
    left = min(max([_LEFT, *(len(name) * _LETTER_PX + 12 for name in names)]), _MOST_LEFT)
    right, bottom = WIDTH - _RIGHT, height - _BOTTOM
    x_axis, y_axis = layout["xaxis"], layout["yaxis"]
    spans = [value for each in shown for value in _ends(each)]
    across = _axis(x_axis, [*x_values, *spans], left, right)
    upwards = (_TOP, bottom) if y_axis.get("autorange") == "reversed" else (bottom, _TOP)
    down = _axis(y_axis, y_values, *upwards)
    return Sketch(
        height,
        round(left, 1),
        right,
        _TOP,
        bottom,
        tuple(_ticks(x_axis, across, 2 * _LEAST_GAP_PX)),
        tuple(_ticks(y_axis, down, 0 if down.categories else _LEAST_GAP_PX)),
        (_title(x_axis), _title(y_axis)),
        tuple(stroke for each in shown for stroke in _strokes(each, across, down)),
        tuple(dot for each in shown for dot in _dots(each, across, down)),
    )


def _axis(axis: Mapping[str, Any], values: Sequence[Any], begin: float, end: float) -> _Axis:
    log = axis.get("type") == "log"
    if axis.get("type") == "category":
        categories = list(dict.fromkeys(values))
        return _Axis(-0.5, len(categories) - 0.5, begin, end, categories, log=False)
    known = [value for value in values if value is not None and (value > 0 or not log)] or [1.0]
    low, high = (math.log10(value) if log else float(value) for value in (min(known), max(known)))
    edge = (high - low) * _PADDING or 0.5
    return _Axis(low - edge, high + edge, begin, end, (), log)


def _ticks(axis: Mapping[str, Any], place: _Axis, least_gap_px: float) -> Iterator[Tick]:
    """Those that plotly is told, or round ones; none that stands nearer than the gap to the one before."""
    texts: Mapping[Any, str]
    if place.categories:
        texts = dict(zip(axis.get("tickvals", place.categories), axis.get("ticktext", place.categories), strict=True))
    elif "tickvals" in axis:
        texts = dict(zip(axis["tickvals"], axis["ticktext"], strict=True))
    else:
        texts = {value: f"{value:,g}" for value in _round_values(place)}
    last = -math.inf
    for value, text in texts.items():
        at = place(value)
        inside = at is not None and min(place.begin, place.end) <= at <= max(place.begin, place.end)
        if at is not None and inside and abs(at - last) >= least_gap_px:
            last = at
            yield Tick(at, _read(text))


def _round_values(place: _Axis) -> list[float]:
    """Some `_TICKS` values at equal steps of 1, 2 or 5 times a power of ten."""
    low, high = (10**each if place.log else each for each in (place.low, place.high))
    rough = (high - low) / _TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
    first = math.ceil(low / step)
    return [round(number * step, 10) for number in range(first, math.floor(high / step) + 1)]


def _points(series: Mapping[str, Any], across: _Axis, down: _Axis) -> Iterator[tuple[float, float] | None]:
    """The places of its points, None for one that has none."""
    for x_value, y_value in zip(series["x"], series["y"], strict=True):
        x, y = across(x_value), down(y_value)
        yield None if x is None or y is None else (x, y)


def _strokes(series: Mapping[str, Any], across: _Axis, down: _Axis) -> Iterator[Stroke]:
    """Its line, in pieces where points are missing, and the intervals of its points."""
    colour, dash = _ink(series["line"]["color"]), _DASHES.get(series["line"]["dash"], "6 3 2 3")
    if "lines" in series["mode"]:
        piece: list[str] = []
        for point in (*_points(series, across, down), None):
            if point is not None:
                piece.append(f"{point[0]:g},{point[1]:g}")
                continue
            if len(piece) > 1:
                yield Stroke(" ".join(piece), colour, dash)
            piece = []
    if "error_x" in series:
        errors = zip(series["x"], series["y"], series["error_x"]["arrayminus"], series["error_x"]["array"], strict=True)
        for x_value, y_value, below, above in errors:
            y = down(y_value)
            ends = [] if x_value is None else [across(x_value - below), across(x_value + above)]
            if y is not None and all(end is not None for end in ends):
                yield Stroke(" ".join(f"{end:g},{y:g}" for end in ends), colour, "", thin=True)


def _ends(series: Mapping[str, Any]) -> Iterator[float]:
    """The ends of the intervals of its points."""
    if "error_x" in series:
        for x_value, below, above in zip(
            series["x"], series["error_x"]["arrayminus"], series["error_x"]["array"], strict=True
        ):
            if x_value is not None:
                yield from (x_value - below, x_value + above)


def _dots(series: Mapping[str, Any], across: _Axis, down: _Axis) -> Iterator[Dot]:
    """Its markers, some of them where a line has many points."""
    if "markers" not in series["mode"]:
        return
    points = list(_points(series, across, down))
    symbols = series["marker"]["symbol"]
    colour = _ink(series["marker"]["color"])
    step = math.ceil(len(points) / _MOST_MARKERS) if "maxdisplayed" in series["marker"] else 1
    for number, point in enumerate(points):
        if point is not None and number % step == 0:
            symbol = symbols if isinstance(symbols, str) else symbols[number]
            yield Dot(*point, colour, symbol.endswith("-open"))


def _ink(colour: str) -> str:
    return "currentColor" if colour == INK else colour


def _title(axis: Mapping[str, Any]) -> str:
    return _read(axis.get("title", {}).get("text", ""))


def _read(text: Any) -> str:
    """As it is read: what plotly draws is given to it as HTML (`plots.escaped`)."""
    return html.unescape(str(text))
