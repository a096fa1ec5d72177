"""The interval histograms of a result as a HdrHistogram log, which HdrHistogram's own readers accept. Pure.

Written by hand: the Python package's writer fails on a start time, knows no tags, and rounds the greatest value down.
Histograms hold nanoseconds; the third column is the greatest value in ms, as the Java library writes it.
"""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

from ombdriver.bench.export.parts import Part, parts
from ombdriver.bench.measurements import FAMILIES, GROUP_FAMILIES
from ombdriver.bench.result import Result

FORMAT = "1.3"
"""Version of the log's format; the one that brought tags."""
_LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
_NS_PER_MS = 1e6


def render(result: Result) -> str:
    """All latencies, each under its tag, in the order of time; intervals without a sample are left out."""
    begin = datetime.fromisoformat(result.begin_time)
    lines = [
        f"#[Written by ombdriver from run {_line(result.run_id)} of {_line(result.workload)};"
        " values in ns, Interval_Max in ms]",
        f"#[Histogram log format version {FORMAT}]",
        f"#[StartTime: {begin.timestamp():.3f} (seconds since epoch), {begin:%a %b %d %H:%M:%S UTC %Y}]",
        # Without it readers have to guess whether times count from the epoch or from the start.
        f"#[BaseTime: {begin.timestamp():.3f} (seconds since epoch)]",
        _LEGEND,
    ]
    found = [(part.start_s, order, name, part) for order, (name, part) in enumerate(_tagged(result))]
    for _, _, name, part in sorted(found, key=lambda one: one[:2]):
        histogram = part.histogram()
        if histogram.count:
            greatest_ms = histogram.max_ns / _NS_PER_MS
            lines.append(f"Tag={name},{part.start_s:.3f},{part.length_s:.3f},{greatest_ms:.3f},{part.encoded}")
    return "\n".join(lines) + "\n"


def _tagged(result: Result) -> Iterator[tuple[str, Part]]:
    for family in FAMILIES:
        for part in parts(result, family):
            yield tag(family), part
    for group in result.subscriptions:
        for family in GROUP_FAMILIES:
            for part in parts(result, family, group.name):
                yield tag(family, group.name), part


def tag(family: str, group: str | None = None) -> str:
    """`endToEnd`, or `endToEnd.group-1`: no two are the same, and none holds a comma, a space or a line break."""
    return family if group is None else f"{family}.{quote(group, safe='')}"


def _line(text: str) -> str:
    return " ".join(str(text).split())
