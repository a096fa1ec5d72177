"""Older results -> today's keys, so that every result that was ever written stays readable.

Pure: JSON's plain data in, plain data out; knows no Result. Whoever raises `result.FORMAT_VERSION` adds the step that
leads to it to `UPGRADES`; whoever adds a key adds what it is in a result without it to `ADDED`.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from ombdriver.errors import InputError

Data = dict[str, Any]

UPGRADES: Mapping[int, Callable[[Data], Data]] = {}
"""By formatVersion: what makes the data of that version those of the next one."""


def content_sha256(data: Mapping[str, Any]) -> str:
    """A hash of plain data, whatever the order of its keys, in hexadecimal digits."""
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()


def swept_names(data: Data) -> dict[str, str]:
    """What a swept workload and setup were called without the values that their names end with."""
    if not data.get("sweep"):
        return {}
    names = {"workload": data["workload"], "setup": str(data["setup"].get("name", data["driver"]))}
    for part, name in names.items():
        own = {path: value for path, value in data["sweep"].items() if path.startswith(f"{part}.")}
        ending = "".join(f"-{path.rpartition('.')[2]}-{value}" for path, value in own.items())
        names[part] = name.removesuffix(ending)
    return names


ADDED: Mapping[str, Callable[[Data], Any]] = {
    "setupSha256": lambda data: content_sha256(data["setup"]),
    "delivery": lambda _: [],
    "telemetry": lambda _: None,
    "verdict": lambda _: None,
    "thresholds": lambda _: [],
    "atHarnessFloor": lambda _: [],
    "ownParts": lambda _: {},
    "clockErrorMs": lambda _: None,
    "messagesPerWrite": lambda _: None,
    "faults": lambda _: None,
    "standing": lambda _: None,
    "overrides": lambda _: [],
    "search": lambda _: None,
    "confidence": lambda _: {},
    "backlogDrain": lambda _: None,
    "sweep": lambda _: {},
    "sweepOf": lambda data: swept_names(data),
    "rateProfile": lambda _: None,
    "stretches": lambda _: [],
    "targetRates": lambda _: [],
}
"""Keys that came without a new formatVersion, and what they are in a result that was written before them."""


def upgraded(
    data: Data,
    source: str,
    to: int,
    upgrades: Mapping[int, Callable[[Data], Data]] = UPGRADES,
    added: Mapping[str, Callable[[Data], Any]] = ADDED,
) -> Data:
    """`data`, as this version of ombdriver would have written it.

    Args:
        data: a result of any version.
        source: what messages call it.
        to: the formatVersion that is wanted.
        upgrades: see `UPGRADES`.
        added: see `ADDED`.

    Raises:
        InputError: if its formatVersion is none, or a later one.
        KeyError, TypeError, AttributeError: if it lacks what its version has, as damaged files do.
    """
    found = data.get("formatVersion")
    if type(found) is not int or found < 1:
        raise InputError(f"{source}: formatVersion is {found!r}, which there never was; the file is damaged, run again")
    if found > to:
        by = data.get("version", "a later version")
        raise InputError(
            f"{source}: formatVersion is {found}, this ombdriver reads up to {to};"
            f" use the ombdriver that wrote it ({by}), or a later one"
        )
    for version in range(found, to):
        data = upgrades[version](data) | {"formatVersion": version + 1}
    return data | {key: make(data) for key, make in added.items() if key not in data}
