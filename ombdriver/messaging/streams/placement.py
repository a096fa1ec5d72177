"""Partition placement: where the partitions of a topic are in a cluster, evenly over its primaries.

Natural hash tags spread fairly, not evenly: of `{orders:0}` to `{orders:7}` over three primaries one gets four. So the
tags are chosen, by `balanced_tags`, which is pure; once, since they are recorded on the server and read from there by
all others. Recorded, they hold after slots have moved too.
"""

import json
from itertools import count

from ombdriver.messaging.errors import MessagingError, MessagingValueError, NotSentError
from ombdriver.messaging.streams.topic import Topic
from ombdriver.messaging.transport.router import Router
from ombdriver.messaging.transport.topology import SlotMap, slot_of

TURN_KEY = "placement:turn"
"""Counts the partitions that were placed so far, so that the next topic begins where the last one ended."""
_ATTEMPTS = 3


def placement_key(name: str) -> str:
    """The key of the record of topic `name`: JSON, the hash tag of each partition."""
    return f"{{{name}}}:placement"


async def balanced_topic(router: Router, name: str, partitions: int, first: int | None = None) -> Topic:
    """The topic, its partitions spread evenly over the primaries of the cluster, the same for everybody who asks.

    Topics together are spread evenly too: each begins at the primary after the last one of the topic that was placed
    before it. On a server that is no cluster the keys are the natural ones, and nothing is recorded.

    Args:
        router: the connections.
        name: of the topic.
        partitions: how many it has.
        first: the turn of its first partition, if nobody has recorded it yet; None takes the next one of the server's
            count, `TURN_KEY`.

    Raises:
        MessagingValueError: if the name or the number can't be, or another number of partitions is recorded.
        MessagingError: if the record can't be read.
        redis.exceptions.RedisError: if the cluster can't be asked.
    """
    natural = Topic(name, partitions)
    await router.discover()
    slots = router.slots
    if slots is None:
        return natural
    key = placement_key(name).encode()
    found = await router.execute_idempotent(key, "GET", key)
    if found is not None:
        return _topic_of(name, partitions, found)
    if first is None:
        turn = TURN_KEY.encode()  # counted twice, it is only another primary's turn
        first = int(await router.execute_idempotent(turn, "INCRBY", turn, partitions)) - partitions
    record = json.dumps(balanced_tags(name, partitions, slots, first))
    for _ in range(_ATTEMPTS):  # a failover between the two may lose the record
        await router.execute_idempotent(key, "SET", key, record, "NX")
        found = await router.execute_idempotent(key, "GET", key)
        if found is not None:
            return _topic_of(name, partitions, found)
    raise NotSentError(f"{placement_key(name)} could not be recorded: it is gone each time; try again")


def _topic_of(name: str, partitions: int, record: bytes) -> Topic:
    try:
        tags = json.loads(record)
        if not isinstance(tags, list):
            raise ValueError("no list")
        if len(tags) == partitions:
            return Topic(name, partitions, tuple(tags))
    except (ValueError, TypeError) as error:
        raise MessagingError(
            f"{placement_key(name)} holds no placement of a topic: {error}; delete it if nothing of ours is there"
        ) from error
    raise MessagingValueError(
        f"topic {name!r} is recorded with {len(tags)} partitions, not {partitions}; give {len(tags)}, "
        f"or delete {placement_key(name)} with the streams of the topic"
    )


def balanced_tags(topic: str, partitions: int, slots: SlotMap, first: int = 0) -> tuple[str, ...]:
    """The tag of each partition: `topic:p`, or `topic:p/s` with the smallest salt s that leads to the primary due.

    Partition p is due at primary p + first modulo their number, in the order of their lowest slots; so shares of a
    topic differ by one at most, and everybody who sees the same slots chooses the same tags. The slash keeps a salted
    tag apart from the natural ones of a topic whose name has a colon.

    Args:
        topic: its name.
        partitions: how many it has.
        slots: which primary has which slots.
        first: the turn of the first partition: with that of the topic before it, plus its partitions, many topics
            together are spread evenly too.

    Raises:
        ValueError: if no primary has a slot.
    """
    primaries = slots.primaries
    if not primaries:
        raise ValueError("no primary has a slot")
    tags = []
    for partition in range(partitions):
        natural = f"{topic}:{partition}"
        due = primaries[(first + partition) % len(primaries)]
        tag = natural
        for salt in count():
            if slots.node_of(slot_of(tag.encode())) == due:
                break
            tag = f"{natural}/{salt}"
        tags.append(tag)
    return tuple(tags)
