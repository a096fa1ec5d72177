"""The formats that a result is exported in: texts by name. Pure."""

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.latency import HEADLINE
from ombdriver.bench.metrics.summary import FAMILIES, GROUP_FAMILIES
from ombdriver.bench.results.export import hdr_histogram, omb, series_csv
from ombdriver.bench.results.harness_share import CLOCK, FLOOR, OWN, is_below_clocks
from ombdriver.bench.results.histograms import encoded_total, interval_s
from ombdriver.bench.results.result import Result
from ombdriver.errors import InputError

SINGLE: Mapping[str, Callable[[Result], str]] = {
    "csv": series_csv.render,
    "hlog": hdr_histogram.render_hlog,
    "omb": omb.render,
}
"""Formats that tell a result in one text."""
HGRM = "hgrm"
"""One text for each latency."""
NAMES = tuple(sorted((*SINGLE, HGRM)))

_DAMAGE_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def export(
    result: Result, source: str, name: str, family: str | None = None, group: str | None = None
) -> Mapping[str, str]:
    """The texts of a result by how each is called; the only one of a format in one text is called "".

    Args:
        result: which.
        source: what messages call it.
        name: of the format.
        family: of `hgrm`: this latency alone.
        group: of `hgrm`: this group alone; with neither: every latency, over all groups and of each, that has samples.

    Raises:
        InputError: if there is no such latency, or values of the result are damaged.
    """
    if name != HGRM and (family or group):
        raise InputError(f"--family and --group choose one latency of hgrm; {name} holds them all, leave both out")
    try:
        if name != HGRM:
            return {"": SINGLE[name](result)}
        return _hgrm(result, source, family, group)
    except _DAMAGE_ERRORS as error:
        raise InputError(f"{source}: a value can't be used ({error}); the file is damaged, run again") from error


_OF_HARNESS = {
    CLOCK: "not resolved: the clocks of the hosts may be wrong by as much (clockErrorMs of the result); this format has"
    " no mark for it",
    FLOOR: "at the harness floor, what `ombdriver calibrate` found with no server; this format has no mark for it",
    OWN: "more than a third of each may be the harness's own (ownParts of the result); this format has no mark for it",
}


_MOST_NAMED = 6
"""Of more figures their number is told; the result has them all."""


def _some(names: Sequence[str]) -> str:
    named = ", ".join(names[:_MOST_NAMED])
    left = len(names) - _MOST_NAMED
    return f"{named} and {left} more" if left > 0 else named


def is_single(name: str, family: str | None, group: str | None) -> bool:
    """Whether what is asked for is one text, which can go to standard output."""
    return name != HGRM or family is not None


def caveats(result: Result, name: str) -> list[str]:
    """What has to be known with the text of that format, for who asked for it."""
    found = []
    seconds = interval_s(result)
    if name in ("hlog", "omb") and seconds is None:
        what = "the log has one interval" if name == "hlog" else "each element has the latencies of the whole window"
        found.append(f"this result is of an older ombdriver, which kept no histograms of intervals: {what}")
    if name == "omb" and seconds is not None and seconds > omb.ELEMENT_S:
        found.append(
            f"this run was so long that its histograms are of {seconds:g} s:"
            f" elements of {omb.ELEMENT_S:g} s in the same {seconds:g} s have the same latencies"
        )
    below = [each for each in _percentiles(result) if is_below_clocks(result, each)]
    names = {CLOCK: tuple(map(str, below)), FLOOR: result.at_harness_floor, OWN: tuple(result.own_parts)}
    found += [f"{_some(those)}: {_OF_HARNESS[kind]}" for kind, those in names.items() if those]
    if result.partial:
        found.append(f"this result is partial: {result.partial_reason}")
    return found


def _percentiles(result: Result) -> list[Figure]:
    """The headline percentiles of all families, over all groups and of each."""
    groups = [None, *(each.name for each in result.subscriptions)]
    return [
        Figure(family, name, group)
        for family in FAMILIES
        for group in (groups if family in GROUP_FAMILIES else [None])
        for name in HEADLINE
    ]


def _hgrm(result: Result, source: str, family: str | None, group: str | None) -> dict[str, str]:
    groups = [each.name for each in result.subscriptions]
    if group is not None and group not in groups:
        there = ", ".join(groups) or "none"
        raise InputError(f"--group: {source} has no group {group!r}; there are: {there}")
    if group is not None and family is not None and family not in GROUP_FAMILIES:
        raise InputError(f"--group: {family} is not told by group; leave --group out, or take endToEnd")
    chosen = [family] if family is not None else list(FAMILIES if group is None else GROUP_FAMILIES)
    latencies: list[tuple[str, str | None]] = [(each, group) for each in chosen]
    if family is None and group is None:
        latencies += [(each, one) for one in groups for each in GROUP_FAMILIES]
    found = {}
    for one, of in latencies:
        histogram = Histogram.decode(encoded_total(result, one, of))
        if histogram.count or family is not None:
            found[one if of is None else f"{one}-{quote(of, safe='')}"] = hdr_histogram.render_hgrm(histogram)
    return found
