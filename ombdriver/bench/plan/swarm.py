"""Where latencies are counted within hosts alone: who reads where, and which messages count there. Pure.

Every message is read by whoever its group gives it to, on whatever host. Of those that another host has sent a worker
counts that they came, and nothing that two clocks would have to agree on.
"""

from collections import Counter
from collections.abc import Sequence

from ombdriver.bench.plan.plan import ConsumerAssignment, ProducerAssignment
from ombdriver.errors import InputError


def hosts_of_readers(
    producers: Sequence[ProducerAssignment], readers: Sequence[ConsumerAssignment], sending: Sequence[int], hosts: int
) -> list[int]:
    """The host of each reader: one that sends to a topic of it, and of these the one with the fewest readers.

    Args:
        producers: of the run, rising by index.
        readers: of the run.
        sending: the host of each process that sends; producers are dealt out to these in turn.
        hosts: how many there are.

    Raises:
        InputError: if a host would not send, or not read.
    """
    senders: dict[str, set[int]] = {}
    for place, each in enumerate(producers):
        senders.setdefault(each.topic.name, set()).add(sending[place % len(sending)])
    taken: Counter[int] = Counter()
    found = []
    for reader in readers:
        near = set().union(*(senders.get(topic.name, ()) for topic in reader.topics))
        host = min(near, key=lambda each: (taken[each], each), default=0)
        taken[host] += 1
        found.append(host)
    if lacking := hosts - len(set(sending) & set(taken)):
        raise InputError(
            f"--placement swarm: {lacking} of {hosts} hosts would not both send and read what they send (producers:"
            f" {len(producers):,}, readers: {len(readers):,}); give the workload {hosts} or more of both"
            " (producersPerTopic, consumerPerSubscription), ask for fewer hosts, or write --placement mixed"
        )
    return found


def counted_producers(producers: Sequence[ProducerAssignment], sending: Sequence[int], host: int) -> tuple[int, ...]:
    """The numbers of the producers on a host, whose messages count there. Args: see `hosts_of_readers`."""
    return tuple(each.index for place, each in enumerate(producers) if sending[place % len(sending)] == host)
