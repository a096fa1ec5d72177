"""Balanced placement: even shares, tags that lead to the right primary, the same for everybody."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.messaging import MessagingValueError, Topic
from ombdriver.messaging.streams.placement import balanced_tags
from ombdriver.messaging.transport.topology import SLOTS, SlotMap, parse_slots, slot_of


def ranges(ends: list[int], names: list[str]) -> SlotMap:
    """A map in which primary n has the slots up to `ends[n]`, the last one all the rest."""
    bounds = [0, *sorted(ends), SLOTS]
    return parse_slots([[a, b - 1, [n, 1]] for a, b, n in zip(bounds, bounds[1:], names, strict=False)], "")


maps = st.lists(st.integers(200, SLOTS - 200), max_size=5, unique=True).map(
    lambda ends: ranges([end for end in ends if end], [f"h{n}" for n in range(len(ends) + 1)])
)


@settings(max_examples=50, deadline=None)
@given(maps, st.integers(1, 40), st.text("abcXYZ-.:0123", min_size=1, max_size=12), st.integers(0, 50))
def test_every_primary_gets_its_even_share(slots: SlotMap, partitions: int, name: str, first: int) -> None:
    """Shares differ by one at most; each tag lies where it is due; each tag belongs to one partition alone."""
    tags = balanced_tags(name, partitions, slots, first)
    owners = [slots.node_of(slot_of(f"{{{tag}}}".encode())) for tag in tags]

    shares = Counter(owners)
    assert len(tags) == partitions
    assert max(shares.values()) - min(shares[node] for node in slots.primaries) <= 1
    assert owners == [slots.primaries[(first + p) % len(slots.primaries)] for p in range(partitions)]
    assert len(set(tags)) == partitions
    assert tags == balanced_tags(name, partitions, slots, first)
    assert Topic(name, partitions, tags).keys == tuple(f"{{{tag}}}" for tag in tags)


@settings(max_examples=50, deadline=None)
@given(maps, st.lists(st.integers(1, 7), min_size=1, max_size=12))
def test_topics_that_follow_each_other_are_spread_evenly_together(slots: SlotMap, sizes: list[int]) -> None:
    """Each begins where the one before it ended: also many topics of one partition have even shares."""
    shares: Counter[object] = Counter()
    placed = 0
    for at, partitions in enumerate(sizes):
        tags = balanced_tags(f"t{at}", partitions, slots, placed)
        shares.update(slots.node_of(slot_of(tag.encode())) for tag in tags)
        placed += partitions

    assert max(shares.values()) - min(shares[node] for node in slots.primaries) <= 1


def test_it_depends_on_the_ranges_and_not_on_who_has_them() -> None:
    """A failover, which changes addresses alone, changes nothing."""
    ends = [5461, 10923]

    assert balanced_tags("t", 20, ranges(ends, ["a", "b", "c"])) == balanced_tags(
        "t", 20, ranges(ends, ["z", "y", "x"])
    )


def test_natural_tags_are_kept_where_they_fit() -> None:
    """The smallest salt, none if it can be."""
    tags = balanced_tags("orders", 8, ranges([5461, 10923], ["a", "b", "c"]))

    assert balanced_tags("orders", 8, ranges([], ["a"])) == tuple(f"orders:{p}" for p in range(8))
    assert any(tag == f"orders:{p}" for p, tag in enumerate(tags))
    assert all(tag.startswith(f"orders:{p}") for p, tag in enumerate(tags))


def test_without_primaries_there_is_no_placement() -> None:
    """Rather than an endless search."""
    with pytest.raises(ValueError, match="no primary"):
        balanced_tags("t", 1, parse_slots([], ""))


@pytest.mark.parametrize("tags", [("a",), ("a", "a"), ("a", ""), ("a", "{b}"), ["a", "b"], ("a", 1)])
def test_tags_that_can_not_be_are_refused(tags: tuple[str, ...]) -> None:
    """One text for each partition, without braces."""
    with pytest.raises(MessagingValueError, match="tags"):
        Topic("t", 2, tags)
