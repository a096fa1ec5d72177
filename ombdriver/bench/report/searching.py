"""How the rate of a run was found, as a table: each rate that was tried, whether it held, and how it was then."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ombdriver.bench.report import units

LIMITS = {
    "generator": "this machine's generator",
    "serverCpu": "the server's CPU",
    "publishing": "publishing",
    "consumers": "the consumers",
    "slo": "the SLO",
}
"""What kept a rate from being sustained, in words."""


def block(search: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The table under its heading.

    Args:
        search: the `search` of a result.
    """
    failing, limit = search["failingRate"], search["limit"]
    told = f"\nHighest sustained rate: {units.rate(search['sustainedRate'])}"
    if failing is not None:
        told += f"; {units.rate(failing)} is not" + (f", by {LIMITS[limit]}" if limit else "")
    yield Text(told, style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for column in ("rate", "held", "publish p50", "p99", "end-to-end p50", "p99", "server"):
        table.add_column(column, justify="right", no_wrap=True, min_width=7)
    for rate, probes in sorted(_by_rate(search["probes"]).items()):
        last = probes[-1]
        held = sum(probe["held"] for probe in probes)
        cpu = last["serverCpu"]
        table.add_row(
            units.rate(rate),
            f"{held} of {len(probes)}",
            *(units.latency(last[family][at]) for family in _FAMILIES for at in ("p50", "p99")),
            units.NOTHING if cpu is None else f"{cpu:.2f}",
        )
    yield table
    for rate, reason in _why(search):
        yield Padding(Text.assemble((f"{units.rate(rate)}: ", "bold"), reason), (0, 0, 0, 2), expand=False)


_FAMILIES = ("publishResponse", "endToEndResponse")


def _by_rate(probes: Sequence[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    found: dict[int, list[Mapping[str, Any]]] = {}
    for probe in probes:
        found.setdefault(probe["rate"], []).append(probe)
    return found


def _why(search: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Why the lowest rate that is not sustained is not: the reasons of its last probe that failed."""
    failed = [probe for probe in search["probes"] if probe["rate"] == search["failingRate"] and not probe["held"]]
    for reason in failed[-1]["reasons"] if failed else ():
        yield search["failingRate"], reason
