"""What a server that is not ours must offer before anything is created on it. Pure: facts in, faults out."""

from collections.abc import Mapping, Sequence

from ombdriver.bench.text import format_size

SAFE_POLICY = "noeviction"
MARGIN = 1.2
"""Memory asked for, as a multiple of the estimate: it knows nothing of fragmentation and client buffers."""


def faults(facts: Mapping[str, object], needed_bytes: int) -> Sequence[str]:
    """Why the run should not start on this server; empty when it may.

    Args:
        facts: what `Driver.describe` gave; values that are not there are not judged.
        needed_bytes: what the run's streams are estimated to take.
    """
    found = []
    if facts.get("mode") == "cluster":
        found.append("the server is part of a cluster, which is not supported yet; use one server that stands alone")
    if facts.get("role") == "slave":
        found.append("the server is a replica, which takes no messages; give the URL of its primary")
    needed = int(needed_bytes * MARGIN)
    used = _number(facts, "usedMemoryBytes")
    limit = _number(facts, "maxMemoryBytes")
    total = _number(facts, "systemMemoryBytes")
    policy = facts.get("evictionPolicy", SAFE_POLICY)
    if limit and used + needed > limit:
        found.append(
            f"the server's maxmemory is {format_size(limit)} and {format_size(used)} of it is used, but the run needs"
            f" about {format_size(needed)}; lower the rate, the message size or the duration, or raise maxmemory"
        )
    elif not limit and total and used + needed > total:
        found.append(
            f"the run needs about {format_size(needed)} and the server's machine has {format_size(total)};"
            " lower the rate, the message size or the duration"
        )
    if limit and policy != SAFE_POLICY:
        found.append(
            f"the server evicts keys when it is full (maxmemory-policy {policy}), so messages could vanish;"
            f" set maxmemory-policy {SAFE_POLICY} on it, or use another server"
        )
    return found


def _number(facts: Mapping[str, object], name: str) -> int:
    value = facts.get(name, 0)
    return value if isinstance(value, int) else 0
