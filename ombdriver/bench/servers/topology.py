"""Which servers a run wants, in which roles, and where a driver finds them. Pure.

Starts nothing, and knows no server's configuration file; `plan_errors` says what can't be, before anything starts.
"""

import itertools
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

from ombdriver.bench.servers.equipment import NOTHING, Equipment
from ombdriver.bench.servers.options import ServerConfig, option_errors

Topology = Literal["standalone", "replicated", "sentinel", "cluster"]
Role = Literal["primary", "replica", "sentinel"]

HOST = "127.0.0.1"
TOPOLOGIES = ("standalone", "replicated", "sentinel", "cluster")
MASTER_NAME = "ombdriver"
"""What the Sentinels call the primary that they watch."""
SENTINELS = 3
LEAST_PRIMARIES = 3
"""A cluster needs a majority of primaries to tell that one has failed."""
SLOTS = 16384


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """The servers of one run.

    Attributes:
        engine: `valkey` (embedded), `redis` (on the PATH), or the path of a server program.
        topology: how they are arranged.
        primaries: of a cluster, 3 unless given; elsewhere there is one.
        replicas: of each primary; unless given, 1 if replicated or behind Sentinels, else none.
        config: server options by name, for every server that holds data. Not shown by `repr`: it may hold passwords.
        tls: every TCP port speaks TLS alone, with certificates made for the run.
        unix_socket: the driver connects by the unix socket.
        cpus: numbers of the processors that all servers stay on; none means no pinning.
        equipment: what those that hold data are broken by.
        address: of this machine, at which all of them listen, and clients and the other servers reach them.
    """

    engine: str = "valkey"
    topology: Topology = "standalone"
    primaries: int | None = None
    replicas: int | None = None
    config: ServerConfig = field(default_factory=dict, repr=False)
    tls: bool = False
    unix_socket: bool = False
    cpus: tuple[int, ...] = ()
    equipment: Equipment = NOTHING
    address: str = HOST

    @property
    def primary_count(self) -> int:
        """How many primaries there are."""
        if self.primaries is not None:
            return self.primaries
        return LEAST_PRIMARIES if self.topology == "cluster" else 1

    @property
    def replica_count(self) -> int:
        """How many replicas each primary has."""
        if self.replicas is not None:
            return self.replicas
        return 1 if self.topology in ("replicated", "sentinel") else 0


class Place(NamedTuple):
    """One server of a plan, before it runs.

    Attributes:
        name: `primary-1`, `replica-1-2` (the second of primary 1), `sentinel-3`.
        role: at the start; a failover changes it.
        follows: a replica's primary; else empty.
    """

    name: str
    role: Role
    follows: str = ""


def places(plan: ServerPlan) -> list[Place]:
    """All servers of `plan`: its primaries, then their replicas, then its Sentinels."""
    numbers = range(1, plan.primary_count + 1)
    found = [Place(f"primary-{number}", "primary") for number in numbers]
    found += [
        Place(f"replica-{number}-{each}", "replica", f"primary-{number}")
        for number in numbers
        for each in range(1, plan.replica_count + 1)
    ]
    if plan.topology == "sentinel":
        found += [Place(f"sentinel-{number}", "sentinel") for number in range(1, SENTINELS + 1)]
    return found


MEMORY_LIMIT, EVICTION_POLICY = "maxmemory", "maxmemory-policy"
MEMORY_SHARE = 0.5
"""Of what this machine has left, all private servers of a run may take so much together."""


def with_memory_limit(plan: ServerPlan, available: int | None) -> ServerPlan:
    """`plan` with a limit on the memory of its servers, above which they refuse messages; unless it has a limit.

    Args:
        plan: which.
        available: bytes that this machine has left; None when nobody knows, and then there is no limit.
    """
    given = {name.lower() for name in plan.config}
    if available is None or MEMORY_LIMIT in given:
        return plan
    servers = sum(place.role != "sentinel" for place in places(plan))
    limit = {MEMORY_LIMIT: str(max(1, int(available * MEMORY_SHARE) // servers))}
    if EVICTION_POLICY not in given:
        limit[EVICTION_POLICY] = "noeviction"
    return replace(plan, config={**plan.config, **limit})


def plan_errors(plan: ServerPlan, processors: Collection[int]) -> list[str]:
    """What can't be, as sentences that end with the way out; empty for a plan that can be tried.

    Args:
        plan: which.
        processors: the numbers of those that this machine has.
    """
    found = [*_shape_faults(plan), *option_errors(plan.config, plan.tls)]
    if plan.unix_socket and plan.topology != "standalone":
        found.append(
            f"a unix socket leads to one server, and {plan.topology} has several; use standalone, or leave it out"
        )
    if plan.unix_socket and plan.tls:
        found.append("a unix socket has no TLS; leave one of the two out")
    absent = sorted(set(plan.cpus) - set(processors))
    if absent:
        numbers, there = ", ".join(map(str, absent)), ", ".join(map(str, sorted(processors)))
        found.append(f"cpus: this machine has no processor {numbers}; use some of {there}")
    if len(set(plan.cpus)) < len(plan.cpus):
        found.append("cpus: a processor is named twice; name each once")
    return found


def _shape_faults(plan: ServerPlan) -> list[str]:
    kind, found = plan.topology, []
    if kind not in TOPOLOGIES:
        return [f"{kind!r} is not a topology; write one of {', '.join(TOPOLOGIES)}"]
    if kind == "cluster" and plan.primary_count < LEAST_PRIMARIES:
        found.append(f"a cluster of {plan.primary_count} can't tell that a primary has failed; use 3 primaries or more")
    if kind == "cluster" and plan.primary_count > SLOTS:
        found.append(f"a cluster has {SLOTS} slots; use no more primaries than that")
    if kind != "cluster" and plan.primary_count != 1:
        found.append(f"{kind} has one primary, not {plan.primary_count}; leave primaries out, or use a cluster")
    if kind == "standalone" and plan.replica_count != 0:
        found.append("standalone has no replicas; leave them out, or use replicated")
    if kind in ("replicated", "sentinel") and plan.replica_count < 1:
        found.append(f"{kind} needs a replica; use replicas: 1 or more, or standalone")
    if kind == "cluster" and plan.replica_count < 0:
        found.append("replicas can't be fewer than none; use 0 or more")
    return found


def connect_url(plan: ServerPlan, ports: Sequence[int], authority: Path | None = None) -> str:
    """What the driver connects to; without a password, whatever the configuration says. Not for unix sockets.

    Args:
        plan: which.
        ports: of the Sentinels if there are any, else of all servers that hold data, primaries first.
        authority: the PEM file of the authority that signed the servers' certificates, with TLS.
    """
    scheme = "rediss" if plan.tls else "redis"
    options = f"?ssl_ca_certs={quote(os.fsencode(authority))}" if authority else ""
    host = f"[{plan.address}]" if ":" in plan.address else plan.address
    hosts = ",".join(f"{host}:{port}" for port in ports)
    match plan.topology:
        case "sentinel":
            return f"{scheme}+sentinel://{hosts}/{MASTER_NAME}{options}"
        case "cluster":
            return f"{scheme}+cluster://{hosts}{options}"
    return f"{scheme}://{host}:{ports[0]}{options}"


def slot_ranges(primaries: int) -> list[range]:
    """The slots of each primary: without a gap, and even to within one slot."""
    bounds = [SLOTS * number // primaries for number in range(primaries + 1)]
    return [range(start, end) for start, end in itertools.pairwise(bounds)]


def cannot_serve(plan: ServerPlan, ended: Collection[str]) -> str | None:
    """The name of a server whose end is the end of the service, given all that have ended; None while it goes on.

    Behind Sentinels a replica takes over, and in a cluster one of the same primary; where nobody watches, the primary
    is what matters.
    """
    data = [place for place in places(plan) if place.role != "sentinel"]
    if plan.topology in ("standalone", "replicated"):
        return data[0].name if data[0].name in ended else None
    for primary in (place.name for place in data if place.role == "primary"):
        family = {primary, *(place.name for place in data if place.follows == primary)}
        if family <= set(ended):
            return primary
    return None
