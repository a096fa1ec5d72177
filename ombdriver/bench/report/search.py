"""The probes of a rate search by their rates, and which of several probes at a rate is shown. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.report.marks import mark_of
from ombdriver.bench.results.harness_share import OWN

Probe = Mapping[str, Any]
"""One of the `probes` of a result's `search`."""
GENERATOR = "generator"
"""The `limit` of a probe that this machine kept from showing anything of the system."""
NOT_SUSTAINED, NOT_CLAIMED = "not sustained", "not claimed"
"""What is said of a rate that did not hold, by the system or by this machine."""


def mark_of_probe(probe: Probe, figure: Figure) -> str:
    """The mark of a percentile of a probe; none in results of before probes told it."""
    return mark_of(OWN if str(figure) in probe.get("ownParts", {}) else None)


def is_of_machine(probe: Probe) -> bool:
    """Whether this machine kept a probe from showing anything; never in results of before probes told their limit."""
    return bool(probe.get("limit") == GENERATOR)


def failed_as(probe: Probe) -> str:
    """What is said of a rate whose shown probe did not hold."""
    return NOT_CLAIMED if is_of_machine(probe) else NOT_SUSTAINED


def probes_by_rate(probes: Sequence[Probe]) -> dict[int, list[Probe]]:
    """The probes at each rate, rates rising."""
    found: dict[int, list[Probe]] = {}
    for probe in sorted(probes, key=lambda each: each["rate"]):
        found.setdefault(probe["rate"], []).append(probe)
    return found


def shown_probe(probes: Sequence[Probe]) -> Probe:
    """Of the probes at one rate the last, but none for which this machine was the cause if there is another."""
    of_the_system = [each for each in probes if not is_of_machine(each)]
    return (of_the_system or probes)[-1]
