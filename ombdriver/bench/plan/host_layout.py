"""Which worker is on which host, where a run has several. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ombdriver.errors import InputError

Placement = Literal["mixed", "split", "swarm"]
"""`mixed`: every host sends and reads; `split`: some hosts send, and the others read; `swarm`: every host sends and
reads, and end-to-end latencies are of messages that a host has sent to itself (`plan.swarm`)."""
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)
MOST_HOSTS, MOST_WORKERS_PER_HOST = 1000, 64


@dataclass(frozen=True, slots=True)
class HostLayout:
    """The hosts of a run.

    Attributes:
        hosts: how many.
        workers_per_host: processes on each of them at most.
        placement: see `Placement`.
    """

    hosts: int
    workers_per_host: int
    placement: Placement

    @property
    def within_hosts(self) -> bool:
        """Whether end-to-end latencies are within one host each, so that no two clocks are compared."""
        return self.placement == "swarm" or self.hosts == 1

    def to_json(self) -> dict[str, Any]:
        """The `environment.layout` of a result."""
        return {"hosts": self.hosts, "workersPerHost": self.workers_per_host, "placement": self.placement}

    def errors(self) -> list[str]:
        """What is wrong with it by itself, for the command line."""
        found = []
        for name, value, most in (
            ("--hosts", self.hosts, MOST_HOSTS),
            ("--workers-per-host", self.workers_per_host, MOST_WORKERS_PER_HOST),
        ):
            if not 1 <= value <= most:
                found.append(f"{name}: {value} is out of range; write 1 to {most:,}")
        if self.placement != "split" and self.workers_per_host == 1:
            found.append(
                "--workers-per-host: 1 is too few where each host sends and reads, which are never one process; write 2"
                " or more, or --placement split"
            )
        if self.placement == "split" and self.hosts == 1:
            found.append("--hosts: 1 is too few where hosts either send or read; write 2 or more, or --placement mixed")
        return found

    def places(self, groups: int, producers: int, readers: int) -> tuple[list[int], list[int]]:
        """The host of each process that sends, and of each that reads; neighbours are on different hosts.

        A delivered message costs about as much as a sent one, and each is delivered once to every group: by that, hosts
        (or the processes of each) are dealt out.

        Args:
            groups: how many subscriptions get every message.
            producers: how many there are.
            readers: how many there are.

        Raises:
            InputError: if a host would have nothing to do.
        """
        hosts, each = list(range(self.hosts)), self.workers_per_host
        senders, receivers = (hosts if producers else []), (hosts if readers else [])
        sending = reading = each
        if producers and readers:
            if self.placement == "split":
                first = min(max(1, round(self.hosts / (1 + groups))), self.hosts - 1)
                senders, receivers = hosts[:first], hosts[first:]
            else:
                sending = min(max(1, round(each / (1 + groups))), each - 1)
                reading = each - sending
        places = (senders * sending)[:producers], (receivers * reading)[:readers]
        if idle := set(hosts) - {*places[0], *places[1]}:
            raise InputError(
                f"--hosts: {len(idle)} of {self.hosts} hosts would have nothing to do (producers: {producers:,},"
                f" readers: {readers:,}); ask for fewer hosts, or give the workload more of both"
            )
        return places


def told_layout(layout: Mapping[str, Any] | None) -> str:
    """Where the workers of a result were, by its `environment.layout`; a result without one is of one machine."""
    if not layout:
        return "this machine"
    return f"{layout['hosts']} hosts ({layout['placement']}, {layout['workersPerHost']} workers each)"
