"""What differs between the fingerprints of two runs: facts that bear on the figures, by name. Pure.

Knows the keys of `environment` that change from one run to the next whatever is done; all others count.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PASSING = (
    *("loadAverage", "loadAverageAtStart", "commandLine", "workers", "harness", "telemetry"),
    "server.usedMemoryBytes",
)
"""Keys, and all below them, that are of a moment or of one run."""
NOTHING = "nothing"
"""What stands for null in a sentence."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A fact that is no longer what it was: its dotted `key`, and both values as JSON has them."""

    key: str
    then: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.key} was {_told(self.then)}, is {_told(self.now)}"


def drift(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Drift]:
    """Every fact that both tell, and not alike, in the order of `before`.

    What only one of them tells is no drift: older versions knew fewer facts, and a server may have refused to tell.

    Args:
        before: the environment of a result, or any part of one.
        after: the same of another, or of this machine.
    """
    now = dict(_facts(after))
    return [Drift(key, then, now[key]) for key, then in _facts(before) if key in now and now[key] != then]


def _facts(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        key = f"{above}{name}"
        if key in PASSING:
            continue
        if isinstance(value, Mapping):
            yield from _facts(value, f"{key}.")
        else:
            yield key, value


def _told(value: Any) -> str:
    return NOTHING if value is None else repr(value) if value == "" else str(value)
