"""What servers that stand together still lack, from what they say of themselves. Pure.

Each function returns one phrase, or None when nothing is lacking.
"""

from collections.abc import Mapping, Sequence

from ombdriver.bench.servers.topology import SENTINELS, SLOTS

_FILE_JOBS = ("rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled")


def info_fields(text: str) -> dict[str, str]:
    """The fields of INFO or CLUSTER INFO."""
    found = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, mark, value in found if mark}


def pairs(flat: object) -> dict[str, str]:
    """The fields of a reply that lists names and values in turn."""
    words = [str(word) for word in flat] if isinstance(flat, list) else []
    return dict(zip(words[::2], words[1::2], strict=False))


def replication_lack(primary: Mapping[str, str], replicas: Mapping[str, Mapping[str, str]]) -> str | None:
    """What a primary and its replicas, by name, lack to be linked, from INFO of each.

    A replica whose first AOF is still being written counts as not ready: the load would meet that, and the server would
    refuse to end.
    """
    for name, fields in replicas.items():
        if fields.get("master_link_status") != "up":
            return f"{name} is not linked to its primary (master_link_status: {fields.get('master_link_status')})"
        if {fields.get(job) for job in _FILE_JOBS} - {"0", None}:
            return f"{name} is still writing what it was sent to its files"
    if primary.get("connected_slaves") != str(len(replicas)):
        return f"the primary has {primary.get('connected_slaves')} of {len(replicas)} replicas"
    online = sum("state=online" in value for name, value in primary.items() if name.startswith("slave"))
    return None if online == len(replicas) else f"{online} of {len(replicas)} replicas are online"


def sentinel_lack(master: Mapping[str, str], replicas: Sequence[Mapping[str, str]], wanted: int) -> str | None:
    """What one Sentinel lacks to know all others, from SENTINEL MASTER and SENTINEL REPLICAS; `wanted` replicas."""
    if master.get("flags") != "master":
        return f"takes its master for {master.get('flags')}"
    if master.get("num-other-sentinels") != str(SENTINELS - 1):
        return f"knows {master.get('num-other-sentinels')} of {SENTINELS - 1} other Sentinels"
    linked = [one for one in replicas if one.get("flags") == "slave" and one.get("master-link-status") == "ok"]
    return None if len(linked) == len(replicas) == wanted else f"knows {len(linked)} of {wanted} replicas to be linked"


def cluster_lack(info: Mapping[str, str], nodes: str, listed: int, servers: int, primaries: int) -> str | None:
    """What one node's view lacks to be that of a whole cluster.

    Args:
        info: the fields of its CLUSTER INFO.
        nodes: its CLUSTER NODES.
        listed: how many servers its CLUSTER SLOTS lists, where each primary has one range.
        servers: how many there are.
        primaries: how many of these are to be primaries by now.
    """
    if info.get("cluster_state") != "ok":
        return f"says cluster_state:{info.get('cluster_state')}"
    if info.get("cluster_slots_assigned") != str(SLOTS) or info.get("cluster_slots_ok") != str(SLOTS):
        return f"knows who serves {info.get('cluster_slots_ok')} of {SLOTS} slots"
    lines = [line.split() for line in nodes.splitlines()]
    sound = [flags for _, _, flags, _, _, _, _, link, *_ in lines if link == "connected" and _sound(flags)]
    if len(sound) != servers or len(lines) != servers:
        return f"is connected to {len(sound)} of {servers} nodes"
    known = sum("master" in flags.split(",") for flags in sound)
    if known != primaries:
        return f"takes {known} of {servers} nodes for primaries, in place of {primaries}"
    # While replicas are primaries still, they have no slots.
    return None if listed == servers or known == servers else f"tells clients of {listed} of {servers} nodes"


def _sound(flags: str) -> bool:
    return not {"fail", "fail?", "handshake", "noaddr"} & set(flags.split(","))
