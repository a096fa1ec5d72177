"""Curves, timelines, bars and loads as plots in plotly's terms: plain data, no import of plotly. Pure.

`meta` of a series is for the page's own legend, which a keyboard can reach: its `name` as it is, and the `panel` that
it stands in. Text that plotly draws itself is given with `<`, `>` and `&` escaped, since plotly reads some HTML in it.
Series differ in colour, and for who sees no colours in dash and marker too; hollow markers are of runs that are not
VALID, and of rates that did not hold. The colours are those of Okabe and Ito, which people with any kind of colour
blindness can tell apart; without their yellow, which can't be seen on white. The last is the colour of the page's text,
which the page puts in its place.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ombdriver.bench.report.page.comparison import RatioBar
from ombdriver.bench.report.page.curves import Curve
from ombdriver.bench.report.page.load import LoadLine
from ombdriver.bench.report.page.sweep import FIGURES, SweepSection
from ombdriver.bench.report.page.timeline import Panel, Timeline, Values

INK = "#000000"
"""Stands for the colour of the text, whatever that is: black on white, white on black."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down")


@dataclass(frozen=True, slots=True)
class Style:
    """Of one series, in plotly's words; `symbol` is None for a line without markers."""

    colour: str
    dash: str
    symbol: str | None = None


def hollow(drawn: Style) -> Style:
    """The same with hollow markers."""
    symbol = drawn.symbol or "circle"
    return drawn if symbol.endswith(_OPEN) else replace(drawn, symbol=symbol + _OPEN)


def style(number: int, within: int | None = None) -> Style:
    """The style of a thing by its number, from 0; seven colours with six dashes make 42 that differ.

    Args:
        number: of the thing: it decides colour and dash.
        within: of its part, when it has parts: it decides the marker.
    """
    symbol = None if within is None else SYMBOLS[within % len(SYMBOLS)]
    return Style(COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)], symbol)


Plot = dict[str, Any]
"""`data` and `layout` as plotly takes them, and a `height` in pixels where it is not the page's to choose."""

PANEL_PX = 150
"""The height of one panel of a timeline."""
EDGE_PX = 96
"""What is above and below the panels."""
BAR_PX = 26

_OPEN = "-open"
_MOST_MARKERS = 14
"""On a line of many points."""
_LONGEST = 44
"""Characters of a name that plotly draws, where it can't be broken; the legend and the tables have the whole."""
_LONGEST_TICK = 24
_MOST_LINES = 12
"""Of more lines over rates or swept values p99 alone is shown at first; a button shows each of the others."""
_NINES = 9
_DECADES_OF_PANEL, _DECADES_OF_PLOT = 2.0, 3.5
"""Of a logarithmic axis, up to which it has three ticks in each power of ten."""
_CAVEAT = "#D55E00"
_BROKEN, _FELT = "rgba(213,94,0,0.28)", "rgba(213,94,0,0.12)"
"""Of the time of a fault, and of that in which it was felt."""
_SHARE_OF_GAP = 0.28
_MARGIN = {"l": 56, "r": 14, "t": 40, "b": 44}
_NUMBER_SHIFT_PX = 16
_SMALL_MARKER = 6
_EDGE_OF_MARKER_PX = 1.5
_TOGETHER = 0.02
"""Annotations that are nearer to each other than this share of the time bear their numbers together."""


def curve_plot(curves: Sequence[Curve], labels: Sequence[str], by_group: bool) -> Plot:
    """Percentile curves of one family: one of each setup, or one of each setup and group.

    Args:
        curves: of the family.
        labels: of the setups, by their number.
        by_group: which of the two.
    """
    shown = [curve for curve in curves if (curve.group is not None) == by_group]
    groups = list(dict.fromkeys(curve.group for curve in shown))
    data = []
    for curve in shown:
        within = groups.index(curve.group)
        if not by_group:
            name, drawn = labels[curve.setup], style(curve.setup)
        elif len(labels) == 1:
            name, drawn = str(curve.group), style(within, within)
        else:
            name, drawn = f"{labels[curve.setup]}, {curve.group}", style(curve.setup, within)
        series = _series(name, curve.tails, curve.values_ms, drawn if curve.valid else hollow(drawn), "")
        series["hovertemplate"] = f"{_short(name)}<br>%{{y:.4~g}} ms<extra></extra>"
        if drawn.symbol is not None or not curve.valid:
            series["marker"]["maxdisplayed"] = _MOST_MARKERS
        data.append(series)
    nines = range(_NINES)
    x_axis = {
        "type": "log",
        "title": {"text": "percentile"},
        "automargin": True,
        "tickvals": [10**nine for nine in nines],
        "ticktext": ["0 %", "90 %", *(f"99{'.' if nine > 2 else ''}{'9' * (nine - 2)} %" for nine in nines[2:])],
    }
    y_axis = {"type": "log", "title": {"text": "latency, ms"}}
    y_axis |= _ticks([curve.values_ms for curve in shown], _DECADES_OF_PLOT)
    layout = _layout({"xaxis": x_axis, "yaxis": y_axis, "hovermode": "closest"})
    return {"data": data, "layout": layout}


def timeline_plot(timeline: Timeline, *, valid: bool) -> Plot:
    """All panels under each other, over one time axis.

    Args:
        timeline: of one run.
        valid: whether the run is VALID.
    """
    count = len(timeline.panels)
    share = 1 / max(count, 1)
    layout: dict[str, Any] = {"hovermode": "x unified", "shapes": [], "annotations": []}
    data = []
    for number, panel in enumerate(timeline.panels):
        top = 1 - number * share
        axis = "" if number == 0 else str(number + 1)
        layout[f"yaxis{axis}"] = _value_axis(panel) | {"domain": [top - share * (1 - _SHARE_OF_GAP), top]}
        layout["annotations"].append(_title(f"{panel.title}, {panel.unit}", top))
        for at, line in enumerate(panel.lines):
            drawn = style(at) if valid else hollow(style(at))
            series = _series(line.name, line.times_s, line.values, drawn, panel.title)
            if not valid:
                series["marker"] |= {"maxdisplayed": _MOST_MARKERS, "size": _SMALL_MARKER}
            series |= {"yaxis": f"y{axis}", "hovertemplate": f"%{{y:.4~g}} {panel.unit}"}
            data.append(series)
    last = "" if count <= 1 else str(count)
    layout["xaxis"] = {
        "title": {"text": "seconds from the start of the measurement"},
        "anchor": f"y{last}",
        "hoverformat": ".1f",
        "ticksuffix": " s",
    }
    _add_annotations(layout, timeline)
    return {"data": data, "layout": _layout(layout), "height": count * PANEL_PX + EDGE_PX}


def bar_plot(bars: Sequence[RatioBar]) -> Plot:
    """The ratios with their intervals, by metric and setup; the line at 1 is the baseline."""
    setups = list(dict.fromkeys(bar.setup for bar in bars))
    data = []
    for number, setup in enumerate(setups):
        own = [bar for bar in bars if bar.setup == setup]
        drawn = style(number, number)
        series = _series(setup, [bar.ratio for bar in own], [escaped(bar.metric) for bar in own], drawn, "")
        series["marker"] = _markers(drawn, [bar.valid for bar in own])
        series |= {
            "mode": "markers",
            "orientation": "h",
            "text": [escaped(bar.words) for bar in own],
            "hovertemplate": f"{_short(setup)}<br>%{{x:.3~g}} times<br>%{{text}}<extra></extra>",
            "error_x": {
                "type": "data",
                "symmetric": False,
                "array": [_beyond(bar.high, bar.ratio) for bar in own],
                "arrayminus": [_beyond(bar.ratio, bar.low) for bar in own],
                "color": drawn.colour,
            },
        }
        series["marker"]["size"] = 10
        data.append(series)
    baseline = {"type": "line", "xref": "x", "yref": "paper", "x0": 1, "x1": 1, "y0": 0, "y1": 1}
    layout = {
        "xaxis": {"type": "log", "title": {"text": "ratio to the baseline"}, "tickformat": "~g"},
        "yaxis": {"type": "category", "autorange": "reversed", "automargin": True},
        "shapes": [baseline | {"line": {"color": "rgba(128,128,128,0.8)", "width": 1, "dash": "dot"}}],
        "hovermode": "closest",
        "scattermode": "group",
    }
    rows = len({bar.metric for bar in bars}) * max(2, len(setups))
    return {"data": data, "layout": _layout(layout), "height": rows * BAR_PX + EDGE_PX}


def load_plot(lines: Sequence[LoadLine]) -> Plot:
    """Latency against load: a line of the rates that held, and hollow marks for those that did not."""
    data = []
    for line in lines:
        drawn = style(line.run * len({each.part for each in lines}) + line.part, line.part)
        template = f"{_short(line.name)}<br>%{{y:.4~g}} ms%{{customdata}} at %{{x:,.0f}}/s<extra></extra>"
        held = drawn if line.valid else hollow(drawn)
        series = _series(line.name, line.rates, line.values_ms, held, "")
        data.append(series | {"hovertemplate": template, "customdata": list(line.marks)})
        if line.failed_rates:
            failed = hollow(drawn)
            name = f"{line.name}, {' or '.join(dict.fromkeys(line.failed_as))}"
            series = _series(name, line.failed_rates, line.failed_values_ms, failed, "")
            template = template.replace("%{customdata}", "%{customdata[0]}").replace("/s<", "/s, %{customdata[1]}<")
            said = [list(each) for each in zip(line.failed_marks, line.failed_as, strict=True)]
            told = {"mode": "markers", "hovertemplate": template, "customdata": said}
            data.append(series | told)
    names = [line.name for line in lines for _ in range(1 + bool(line.failed_rates))]
    _show_p99_of_many(data, names, len(lines))
    values = [value for line in lines for value in (*line.values_ms, *line.failed_values_ms)]
    rates = [rate for line in lines for rate in (*line.rates, *line.failed_rates)]
    x_axis = {"type": "log", "title": {"text": "load, messages per second"}, "automargin": True}
    x_axis |= _ticks([rates], _DECADES_OF_PLOT)
    y_axis = {"type": "log", "title": {"text": "latency, ms"}} | _ticks([values], _DECADES_OF_PLOT)
    return {"data": data, "layout": _layout({"xaxis": x_axis, "yaxis": y_axis, "hovermode": "closest"})}


def sweep_plot(sweep: SweepSection) -> Plot:
    """The figures of a sweep over the values of one setting."""
    together = list(dict.fromkeys(line.name.rpartition(": ")[0] for line in sweep.lines))
    data = []
    for line in sweep.lines:
        drawn = style(together.index(line.name.rpartition(": ")[0]) * len(FIGURES) + line.kind, line.kind)
        series = _series(line.name, [escaped(value) for value in line.values], line.figures_ms, drawn, "")
        series["marker"] = _markers(drawn, line.valid)
        template = f"{_short(line.name)}<br>%{{y:.4~g}} ms%{{customdata}}<extra></extra>"
        data.append(series | {"hovertemplate": template, "customdata": list(line.marks)})
    _show_p99_of_many(data, [line.name for line in sweep.lines], len(data))
    values = list(dict.fromkeys(value for line in sweep.lines for value in line.values))
    x_axis = {
        "type": "category",
        "title": {"text": _short(sweep.over)},
        "automargin": True,
        "tickvals": [escaped(value) for value in values],
        "ticktext": [_short(value, _LONGEST_TICK) for value in values],
    }
    y_axis = {"type": "log", "title": {"text": "latency, ms"}}
    y_axis |= _ticks([line.figures_ms for line in sweep.lines], _DECADES_OF_PLOT)
    return {"data": data, "layout": _layout({"xaxis": x_axis, "yaxis": y_axis, "hovermode": "closest"})}


def _show_p99_of_many(data: Sequence[dict[str, Any]], names: Sequence[str], lines: int) -> None:
    """`names`: of the line that each series is of."""
    if lines > _MOST_LINES:
        for series, name in zip(data, names, strict=True):
            series["visible"] = name.endswith(" p99")


def escaped(text: str) -> str:
    """`text` as plotly draws it letter by letter: not as HTML, nor as one of its own templates."""
    return html.escape(text, quote=False).replace("%{", "%\u200b{")


def _short(text: str, longest: int = _LONGEST) -> str:
    """`text` as plotly draws it, its middle left out where it is too long to be read there."""
    if len(text) > longest:
        half = (longest - 1) // 2
        text = f"{text[:half]}…{text[-half:]}"
    return escaped(text)


def _markers(drawn: Style, valid: Sequence[bool]) -> dict[str, Any]:
    """Markers of points, hollow where a point is not of VALID runs; one symbol for all that are alike."""
    symbols = [str((drawn if each else hollow(drawn)).symbol) for each in valid]
    return _marker(drawn) | {"symbol": symbols if len(set(symbols)) > 1 else symbols[0]}


def _marker(drawn: Style) -> dict[str, Any]:
    edge = {"color": drawn.colour, "width": _EDGE_OF_MARKER_PX}
    return {"color": drawn.colour, "symbol": drawn.symbol or "circle", "size": 8, "line": edge}


def _series(name: str, x: Sequence[Any], y: Sequence[Any], drawn: Style, panel: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines" if drawn.symbol is None else "lines+markers",
        "name": escaped(name),
        "meta": {"name": name, "panel": panel},
        "x": list(x),
        "y": list(y),
        "line": {"color": drawn.colour, "dash": drawn.dash, "width": 2},
        "marker": _marker(drawn),
    }


def _layout(own: Mapping[str, Any]) -> dict[str, Any]:
    return {"showlegend": False, "margin": _MARGIN, "dragmode": "zoom", **own}


def _value_axis(panel: Panel) -> dict[str, Any]:
    if panel.log:
        return {"type": "log"} | _ticks([line.values for line in panel.lines], _DECADES_OF_PANEL)
    return {"rangemode": "tozero", "nticks": 5, "tickformat": ",~g"}


def _ticks(series: Sequence[Values], decades: float) -> dict[str, Any]:
    """Ticks of a logarithmic axis: at 1, 2 and 5 of each power of ten, at its 1 alone when there are many powers."""
    known = [value for values in series for value in values if value]
    if not known:
        return {}
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    steps = (1, 2, 5) if math.log10(max(known) / min(known)) < decades else (1,)
    ticks = [float(f"{step}e{power}") for power in range(low, high + 1) for step in steps]
    return {"tickvals": ticks, "ticktext": [f"{tick:,g}" for tick in ticks]}


def _title(text: str, top: float) -> dict[str, Any]:
    return {
        "text": f"<b>{escaped(text)}</b>",
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": top,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
    }


def _add_annotations(layout: dict[str, Any], timeline: Timeline) -> None:
    """Phases and faults as shades; events and caveats as lines, with their numbers at the top."""
    for phase in timeline.phases:
        if phase.name != "measurement":
            layout["shapes"].append(
                {"type": "rect", "xref": "x", "yref": "paper", "x0": phase.begin_s, "x1": phase.end_s, "y0": 0, "y1": 1}
                | {"fillcolor": "rgba(128,128,128,0.18)", "line": {"width": 0}, "layer": "below"}
            )
    for band in timeline.faults:
        for begin_s, end_s, colour in ((band.begin_s, band.end_s, _BROKEN), (band.end_s, band.felt_s, _FELT)):
            if end_s > begin_s:
                layout["shapes"].append(
                    {"type": "rect", "xref": "x", "yref": "paper", "x0": begin_s, "x1": end_s, "y0": 0, "y1": 1}
                    | {"fillcolor": colour, "line": {"width": 0}, "layer": "below"}
                )
    for each in timeline.annotations:
        line = {"color": _CAVEAT if each.caveat else INK, "width": 1, "dash": "dash" if each.caveat else "dot"}
        span = {"type": "line", "xref": "x", "yref": "paper", "x0": each.time_s, "x1": each.time_s, "y0": 0, "y1": 1}
        layout["shapes"].append(span | {"line": line})
    for time_s, numbers in _numbered(timeline).items():
        place = {"xref": "x", "yref": "paper", "x": time_s, "y": 1, "yanchor": "bottom", "yshift": _NUMBER_SHIFT_PX}
        layout["annotations"].append({"text": f"<b>{numbers}</b>", "showarrow": False} | place)


def _numbered(timeline: Timeline) -> dict[float, str]:
    """The numbers of the annotations, from 1, by time; those that would cover each other stand together."""
    length_s = timeline.phases[-1].end_s - timeline.phases[0].begin_s
    numbered: dict[float, str] = {}
    for number, each in enumerate(timeline.annotations, start=1):
        last_s = next(reversed(numbered), None)
        if last_s is not None and each.time_s - last_s < _TOGETHER * length_s:
            numbered[last_s] = f"{numbered[last_s].partition('-')[0]}-{number}"
        else:
            numbered[each.time_s] = str(number)
    return numbered


def _beyond(higher: float | None, lower: float | None) -> float:
    """From the ratio to an end of its interval; 0 without one."""
    return 0.0 if higher is None or lower is None else higher - lower
