"""What a result is made of: latencies as figures, consumer groups, caveats; and their names in JSON. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands among those of its command; numbers begin at 1.

    Attributes:
        series: a name for all runs of one command together.
        run: which of the runs it is, in the order in which they are begun.
        runs: how many there are to be.
        block: which of the blocks of its workload, so the number of its repeat.
        position: its place within the block.
        repeats: how many blocks each workload has.
    """

    series: str
    run: int = 1
    runs: int = 1
    block: int = 1
    position: int = 1
    repeats: int = 1

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Standing":
        """Reads what a result holds; a missing key is a KeyError."""
        return cls(**{each.name: data[each.name] for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """A distribution of `count` samples in ms; the figures are None when there was none."""

    count: int
    min: float | None
    avg: float | None
    p50: float | None
    p75: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    p9999: float | None
    max: float | None

    def to_json(self) -> dict[str, Any]:
        """The keys are `count, min, avg, p50, p75, p95, p99, p99.9, p99.99, max`."""
        return {_key(each.name): getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "LatencySummary":
        """Reads what `to_json` wrote; a missing key is a KeyError."""
        return cls(**{each.name: data[_key(each.name)] for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class Subscription:
    """One consumer group over all topics.

    Attributes:
        name: its name.
        received: messages of the window that it was given.
        consume_rate: messages per second that arrived inside the window.
        end_to_end: latency from the actual send, in ms.
        end_to_end_response: latency from the intended send, in ms.
    """

    name: str
    received: int
    consume_rate: float
    end_to_end: LatencySummary
    end_to_end_response: LatencySummary


def plain(value: Any) -> Any:
    """`value` as JSON has it."""
    if isinstance(value, LatencySummary):
        return value.to_json()
    if is_dataclass(value):
        return {camel(each.name): plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def camel(name: str) -> str:
    """An attribute's name in camelCase."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _key(name: str) -> str:
    return {"p999": "p99.9", "p9999": "p99.99"}.get(name, name)
