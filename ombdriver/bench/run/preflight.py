"""What a server must offer before anything is created on it, and this machine. Pure: facts in, errors out.

Every server must have what the setup requires; a server of the user's must be safe to use, and have the memory. The
process of the links must be allowed as many files as connections go through it.
"""

from collections.abc import Mapping, Sequence

from ombdriver.bench.plan.connections import most_connections
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.servers.links import open_files
from ombdriver.bench.servers.topology import places
from ombdriver.bench.spec.setup import Requirements, Setup
from ombdriver.bench.units import format_size

SAFE_POLICY = "noeviction"
FORCED = "--force starts the run all the same"
OF_A_PAIR, OF_THE_PARENT = 2, 6
"""Connections of one server to another: commands and the bus, or what a Sentinel hears; and of a run's own process."""


def safety_errors(facts: Mapping[str, object]) -> Sequence[str]:
    """Why the run should not start on this server, whatever room it has; empty when it may.

    Args:
        facts: what `Driver.describe` gave; what is missing, or None, is not checked.
    """
    limit, policy = _number(facts, "maxMemoryBytes"), facts.get("evictionPolicy")
    found = []
    if facts.get("role") == "slave":
        found.append("the server is a replica, which takes no messages; give the address of its primary")
    if limit and policy not in (SAFE_POLICY, None):
        found.append(
            f"the server evicts keys when it is full (maxmemory-policy {policy}), so messages could vanish;"
            f" set maxmemory-policy {SAFE_POLICY} on it, or use another server"
        )
    return found


def memory_errors(facts: Mapping[str, object], needed: int, *, backlog: bool = False) -> Sequence[str]:
    """Why the run may not fit on this server; empty when it does.

    Args:
        facts: what `Driver.describe` gave; what is missing is not checked.
        needed: bytes that the run is estimated to take (`plan.memory_estimate`).
        backlog: whether a backlog is built, which a smaller one would do, too.
    """
    less = f"lower the rate, the message size{', consumerBacklogSizeGB' if backlog else ''} or the duration"
    used = _number(facts, "usedMemoryBytes")
    limit = _number(facts, "maxMemoryBytes")
    total = _number(facts, "systemMemoryBytes")
    if limit and used + needed > limit:
        return [
            f"the server's maxmemory is {format_size(limit)} and {format_size(used)} of it is used, but the run needs"
            f" about {format_size(needed)}; {less}, or raise maxmemory; {FORCED}"
        ]
    if not limit and total and used + needed > total:
        return [
            f"the run needs about {format_size(needed)} and the server's machine has {format_size(total)};"
            f" {less}; {FORCED}"
        ]
    return []


def missing_requirements(facts: Mapping[str, object], requirements: Requirements) -> Sequence[str]:
    """What of `requirements` this server lacks, each with the version that has it, or the way out.

    Args:
        facts: what `Driver.describe` gave; what is missing is not checked.
        requirements: of the setup.
    """
    found = []
    version = facts.get("version")
    if requirements.xautoclaim and facts.get("hasMinid") is False:  # which came with the same version
        what = f"is version {version}" if version else "is older than that"
        found.append(
            f"reclaimAfterMs needs XAUTOCLAIM, which came with Redis 6.2, and the server {what}; use that, or remove"
            " reclaimAfterMs"
        )
    if requirements.runner and facts.get("hasMinid") is False:
        found.append(
            f"client.consumer: runner needs Redis 6.2, as the messaging library does, and the server"
            f" {f'is version {version}' if version else 'is older than that'}; use that, or remove consumer: runner"
        )
    if requirements.minid and facts.get("hasMinid") is False:
        what = f"is version {version}" if version else "has no MINID"
        found.append(
            f"the server {what}, and trimming by age or by acknowledgement (MINID) came"
            " with Redis 6.2; use that, or a retention by maxlen"
        )
    if requirements.xackdel and facts.get("hasXackdel") is False:
        found.append(
            "ack: delete with several groups needs XACKDEL, which Redis has from 8.2 on (Valkey has not);"
            " use such a server, one group (subscriptionsPerTopic: 1), or ack: batch"
        )
    replicas = facts.get("replicas")
    if isinstance(replicas, int) and replicas < requirements.replicas:
        found.append(
            f"waitReplicas is {requirements.replicas}, and the server has {replicas} replicas that are connected;"
            " lower it, or connect more"
        )
    if requirements.waitaof:
        found += _without_waitaof(facts)
    mode = facts.get("mode")
    if mode == "cluster" and not requirements.cluster:
        found.append("the server is part of a cluster; write redis+cluster://HOST:PORT, or cluster: true in the setup")
    if mode == "standalone" and requirements.cluster:
        found.append(
            "the server stands alone and is no part of a cluster; remove cluster: true, or +cluster in the URL"
        )
    if mode == "sentinel":
        found.append("this is a Sentinel; write redis+sentinel://HOST:PORT/MASTER, or master: NAME in the setup")
    return found


def link_errors(plan: Plan, setup: Setup, most_files: int | None) -> list[str]:
    """Why the links of a run's faults can't carry its connections, with the way out; empty where they can.

    Args:
        plan: the run.
        setup: of it.
        most_files: that a process may open; None without a limit.
    """
    if setup.server is None or most_files is None:
        return []
    every = [] if setup.is_users_server else places(setup.server.plan)
    data = sum(each.role != "sentinel" for each in every) or 1
    connections = most_connections(plan, setup) + data
    ports = 2 * data
    if any(spec.make().equipment.own_address for spec in plan.faults):
        count = len(every)
        connections += OF_A_PAIR * count * (count - 1) + OF_THE_PARENT * count
        ports += OF_A_PAIR * count
    needed = open_files(connections, ports)
    if needed <= most_files:
        return []
    return [
        f"{plan.workload} x {plan.setup}: the links of its faults carry {connections:,} connections, for which a"
        f" process opens {needed:,} files, and it may open {most_files:,}; raise that limit (ulimit -Hn), or write"
        " fewer consumers, producers or partitions"
    ]


def _without_waitaof(facts: Mapping[str, object]) -> Sequence[str]:
    """Why WAITAOF can't be had, in one sentence: the command is not there, or it would wait for nothing."""
    if facts.get("hasWaitaof") is False:
        return [
            "waitAof needs WAITAOF, which Redis and Valkey have from 7.2 on; use such a server, or remove waitAof"
            + (" (this one is version {version})".format(**facts) if facts.get("version") else "")
        ]
    config = facts.get("config")
    told = config if isinstance(config, Mapping) else {}
    for name, wrong, right in (("appendonly", "no", "yes"), ("appendfsync", "no", "everysec or always")):
        if told.get(name) == wrong:
            return [
                f"waitAof waits for the append-only file, and the server has {name} {wrong};"
                f" set {name} {right} on it, or remove waitAof"
            ]
    return []


def _number(facts: Mapping[str, object], name: str) -> int:
    value = facts.get(name, 0)
    return value if isinstance(value, int) else 0
