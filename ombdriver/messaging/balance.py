"""Hash tags for the partitions of a topic such that every primary of a cluster gets its even share of them.

Pure. Natural tags spread fairly, not evenly: of `{orders:0}` to `{orders:7}` over three primaries one gets four.
"""

from itertools import count

from ombdriver.messaging.slots import SlotMap, slot_of


def balanced_tags(topic: str, partitions: int, slots: SlotMap) -> tuple[str, ...]:
    """The tag of each partition: `topic:p`, or `topic:p/s` with the smallest salt s that leads to the primary due.

    Partition p is due at primary p modulo their number, in the order of their lowest slots; so shares differ by one
    at most, and everybody who sees the same slots chooses the same tags. The slash keeps a salted tag apart from the
    natural ones of a topic whose name has a colon.

    Raises:
        ValueError: if no primary has a slot.
    """
    primaries = slots.primaries
    if not primaries:
        raise ValueError("no primary has a slot")
    tags = []
    for partition in range(partitions):
        natural = f"{topic}:{partition}"
        due = primaries[partition % len(primaries)]
        tag = natural
        for salt in count():
            if slots.node_of(slot_of(tag.encode())) == due:
                break
            tag = f"{natural}/{salt}"
        tags.append(tag)
    return tuple(tags)
