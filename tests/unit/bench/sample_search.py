"""What a search told, as a result holds it: rates to 4,000/s hold, 5,656/s does not, by the consumers."""

from typing import Any


def probe(rate: int, held: bool, ms: float, limit: str | None = None) -> dict[str, Any]:
    """One probe, whose latencies rise with `ms`."""
    return {
        "rate": rate,
        "seconds": 5.0,
        "held": held,
        "reasons": [] if held else [f"group-1: 4,100 of {rate:,} messages/s, 72.5% of the target, under 99%"],
        "limit": limit,
        "achieved": {"published": float(rate), "group-1": min(rate, 4100.0)},
        "backlogGrowth": {"group-1": 2.5},
        "publishResponse": {"p50": ms, "p99": ms * 3, "p99.9": ms * 5},
        "endToEndResponse": {"p50": ms * 2, "p99": ms * 6, "p99.9": None if rate == 1000 else ms * 10},
        "serverCpu": None if rate == 1000 else 0.25,
    }


SEARCH = {
    "sustainedRate": 4000,
    "failingRate": 5656,
    "limit": "consumers",
    "probes": [
        probe(1000, True, 0.1),
        probe(2000, True, 0.12),
        probe(4000, False, 9.0, "generator"),
        probe(4000, True, 0.2),
        probe(4000, True, 0.21),
        probe(5656, False, 50.0, "consumers"),
        probe(5656, False, 60.0, "consumers"),
    ],
}

UNKNOWN = {
    "sustainedRate": None,
    "failingRate": 1000,
    "limit": "generator",
    "probes": [*(probe(1000, False, 9.0, "generator") for _ in range(3)), probe(2000, False, 50.0, "consumers")],
}
"""Of a machine that was busy throughout."""
