"""The options of the drivers for Redis Streams, as the harness gives them (`runner.driver_options`). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, get_type_hints

from ombdriver.bench.servers.topology import HOST
from ombdriver.bench.servers.url import THE_URL
from ombdriver.errors import InputError
from ombdriver.secrets import redact_url


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What a driver is opened with; only `url` and `run_id` have no default.

    Attributes:
        url: of the server, the cluster or the Sentinels, with the login.
        run_id: names the run.
        max_entries: what sending trims a partition to; None trims nothing.
        max_age_ms: what is older, sending trims, in place of `max_entries`.
        exact_trim: trim to the entry, not to whole nodes of a stream.
        keep_unacknowledged: once a second, cut what every group has acknowledged; in the process that made the topics.
        bound_entries: with that, what no partition may exceed, whatever a group has not read; None: no bound.
        bound_age_ms: likewise, by age.
        plain: read without groups.
        ack: `batch`, `each`, `none` or `delete`.
        groups: how many groups share a stream; with `delete` the server has to wait for all of them.
        read_count: entries per stream that a read asks for.
        block_ms: how long a read waits for the first.
        max_in_flight: commands without a reply, on each connection.
        connections: for sending, in this process.
        wait_replicas: replicas that have to have a message before it is acknowledged.
        wait_aof: whose append-only files have to have it on disk: `none`, `primary` or `all` (those replicas' too).
        wait_timeout_ms: how long that may take.
        address_from: what gave the address, for messages; empty for a server that the run started.
        login_from: what gave user and password; empty where nothing did.
        from_end: topics that exist are read from where they end, and not from their beginning.
        reclaim_ms: a reader takes over what others of its group were given so long ago, and have not acknowledged; 0
            for never.
        groups_again: a reader whose group is gone makes it again, from the beginning of its stream: a server may come
            back without data.
        balanced: on a cluster, give each primary its even share of the partitions.
        runner_concurrency: consumers are Runners of the library, each with so many handlers at work at most; 0: the
            driver reads by itself.
        returns: consumers have the names of others that have died, and begin with what is pending for these.
        links: ports of this machine by which workers reach servers, by the ports of these: `7001:40001` for each, with
            commas between; empty where there are none. Servers tell clients of each other by their own.
    """

    url: str
    run_id: str
    max_entries: int | None = None
    max_age_ms: int | None = None
    exact_trim: bool = False
    keep_unacknowledged: bool = False
    bound_entries: int | None = None
    bound_age_ms: int | None = None
    plain: bool = False
    ack: str = "batch"
    groups: int = 1
    read_count: int = 500
    block_ms: int = 1000
    max_in_flight: int = 10_000
    connections: int = 1
    reclaim_ms: int = 0
    wait_replicas: int = 0
    wait_aof: str = "none"
    wait_timeout_ms: int = 1000
    balanced: bool = False
    from_end: bool = False
    address_from: str = THE_URL
    login_from: str = THE_URL
    groups_again: bool = False
    runner_concurrency: int = 0
    links: str = ""
    returns: bool = False

    def __repr__(self) -> str:
        return f"<StreamOptions of run {self.run_id} on {redact_url(self.url)}>"

    @property
    def client_options(self) -> dict[str, Any]:
        """What a client of the library is opened with besides the URL."""
        if not self.links:
            return {}
        ports = dict(pair.split(":") for pair in self.links.split(","))
        return {"address_remap": partial(_linked, {int(port): int(link) for port, link in ports.items()})}

    @property
    def waits(self) -> bool:
        """Whether a message counts only when more than the primary's memory has it."""
        return bool(self.wait_replicas) or self.wait_aof != "none"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """`options` as they were given.

        Raises:
            InputError: if one is unknown, missing or of the wrong type.
        """
        types = get_type_hints(cls)
        for name, value in options.items():
            kind = types.get(name)
            if kind is None or not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
                raise InputError(f"redis-streams has no option {name} of that type; its options are {', '.join(types)}")
        if not {"url", "run_id"} <= options.keys():
            raise InputError("redis-streams needs the options url and run_id")
        return cls(**options)


def _linked(ports: Mapping[int, int], address: tuple[Any, Any]) -> tuple[Any, int]:
    """The address of a link in place of that of a server; one that is no server's stays."""
    link = ports.get(int(address[1]))
    return address if link is None else (HOST, link)
