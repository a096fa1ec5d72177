"""Slot maps: read from CLUSTER SLOTS in all its shapes, asked by key, changed by MOVED."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.messaging.transport.topology import SLOTS, Node, SlotMap, parse_slots, slot_of

ONE, TWO, THREE = Node("10.0.0.1", 7000), Node("10.0.0.2", 7000), Node("::1", 7001)
THIRDS = [
    [5461, 10922, [b"10.0.0.2", 7000, b"id2", []]],
    [0, 5460, [b"10.0.0.1", 7000, b"id1", [b"hostname", b"one"]], [b"10.0.0.9", 7000, b"id9", []]],
    [10923, 16383, [b"::1", 7001, b"id3", []]],
]


def test_a_map_knows_the_primary_of_each_slot() -> None:
    """Primaries stand in the order of their lowest slots, whatever the order of the reply."""
    slots = parse_slots(THIRDS, "seed")

    assert slots.primaries == (ONE, TWO, THREE)
    assert [slots.node_of(slot) for slot in (0, 5460, 5461, 10922, 10923, 16383)] == [ONE, ONE, TWO, TWO, THREE, THREE]
    assert slots.replicas == {Node("10.0.0.9", 7000)}
    assert slots.is_complete
    assert repr(slots) == "<SlotMap 10.0.0.1:7000, 10.0.0.2:7000, [::1]:7001>"


@pytest.mark.parametrize(
    ("told", "node"),
    [
        ([b"", 7000], Node("seed", 7000)),
        ([None, 7000, b"id"], Node("seed", 7000)),
        (["host", 7000, "id", []], Node("host", 7000)),
        ([b"?", 7000, b"id", [b"ip", b"10.1.1.1"]], Node("10.1.1.1", 7000)),
        ([b"?", 7000, b"id", {b"ip": b"10.1.1.1"}], Node("10.1.1.1", 7000)),
        ([b"?", 7000, b"id"], Node("seed", 7000)),
        ([b"2001:db8::1", 7000, b"id", []], Node("2001:db8::1", 7000)),
    ],
)
def test_a_host_may_be_told_in_several_ways(told: list[object], node: Node) -> None:
    """Empty or nil: as the server that was asked; an unknown name: by its address."""
    assert parse_slots([[0, 16383, told]], "seed").primaries == (node,)


def test_servers_may_be_reached_elsewhere_than_they_say() -> None:
    """As through a tunnel."""
    slots = parse_slots(THIRDS, "seed", lambda node: Node("localhost", node.port))

    assert slots.primaries == (Node("localhost", 7000), Node("localhost", 7001))


def test_slots_that_nobody_has_are_told() -> None:
    """A map may have gaps."""
    slots = parse_slots([[0, 99, [b"h", 1]]], "seed")

    assert slots.node_of(100) is None
    assert not slots.is_complete
    assert repr(slots) == "<SlotMap h:1, not all slots>"
    assert parse_slots([], "seed").primaries == ()


@pytest.mark.parametrize("reply", [[[0]], [[0, "x", [b"h", 1]]], [[0, 1, None]], 7, [[0, 16384, [b"h", 1]]]])
def test_a_shape_that_is_not_known_is_refused(reply: list[object]) -> None:
    """Rather than half read."""
    with pytest.raises(ValueError, match="CLUSTER SLOTS"):
        parse_slots(reply, "seed")


def test_moved_changes_one_slot() -> None:
    """In a new map; to a server that had none, too, and from one that then has none."""
    before = parse_slots(THIRDS, "seed")
    new = Node("10.0.0.4", 7000)
    after = before.moved(3, new)

    assert (after.node_of(3), after.node_of(4), before.node_of(3)) == (new, ONE, ONE)
    assert after.primaries == (ONE, new, TWO, THREE)
    assert after != before
    assert after.moved(3, ONE) == before
    assert parse_slots([[0, 0, [b"a", 1]], [1, 16383, [b"b", 1]]], "").moved(0, Node("b", 1)).primaries == (
        Node("b", 1),
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, SLOTS - 1), st.integers(0, 4)), max_size=20))
def test_a_map_is_the_sum_of_what_was_told(moves: list[tuple[int, int]]) -> None:
    """Each slot is where it was said to be last, and two ways to the same places give equal maps."""
    told: dict[int, Node] = {}
    slots = parse_slots([[0, SLOTS - 1, [b"n", 9]]], "")
    for slot, number in moves:
        told[slot] = Node("n", number)
        slots = slots.moved(slot, told[slot])
    direct: SlotMap = parse_slots([[0, SLOTS - 1, [b"n", 9]]], "")
    for slot, node in sorted(told.items()):
        direct = direct.moved(slot, node)

    assert slots == direct
    assert all(slots.node_of(slot) == node for slot, node in told.items())


def test_the_slot_is_that_of_the_hash_tag() -> None:
    """As the cluster's specification has it; an empty tag does not count."""
    assert slot_of(b"123456789") == 12739
    assert slot_of(b"{123456789}:placement") == 12739
    assert slot_of(b"x{123456789}{y}") == 12739
    assert slot_of(b"{}x") != slot_of(b"{}y")
