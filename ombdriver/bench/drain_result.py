"""The drain of a backlog -> the `backlogDrain` of a result: names and units. Pure."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ombdriver.bench.measurements import BacklogDelivery, BacklogMeasurements, DrainMeasurements, LatencySummaryNs
from ombdriver.bench.outcome import summary


def told_drain(found: BacklogMeasurements) -> dict[str, Any]:
    """The `backlogDrain` of a result."""
    begin = found.total.messages
    deliveries = {each.subscription: each for each in found.delivery}
    return {
        "askedBytes": found.asked_bytes,
        "askedMessages": found.asked_messages * len(found.subscriptions),
        "bytes": begin * found.message_size,
        "messages": begin,
        "level": found.level,
        "buildSeconds": _seconds(found.build_ns),
        **_drained(found.total),
        "subscriptions": [
            {
                "name": name,
                "messages": each.messages,
                **_drained(each),
                "delivery": _plainly(deliveries[name]) if name in deliveries else None,
            }
            for name, each in found.subscriptions.items()
        ],
        "publishDuring": _summaries(found.publish_during),
        "publishAfter": _summaries(found.publish_after),
    }


def _drained(found: DrainMeasurements) -> dict[str, Any]:
    return {
        "caughtUp": found.caught_up,
        "drainSeconds": _seconds(found.drain_ns),
        "left": found.left,
        "drainRate": round(found.drain_rate, 3),
        "receiveRate": round(found.receive_rate, 3),
        "backlogLatency": _summaries(found.backlog_latency),
        "freshLatency": _summaries(found.fresh_latency),
    }


def _summaries(found: Mapping[str, LatencySummaryNs]) -> dict[str, Any]:
    return {family: summary(each).to_json() for family, each in found.items()}


def _plainly(delivery: BacklogDelivery) -> dict[str, int]:
    return {each.name: getattr(delivery, each.name) for each in fields(delivery) if each.name != "subscription"}


def _seconds(ns: int) -> float:
    return round(ns / 10**9, 3)
