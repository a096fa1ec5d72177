"""When servers that stand together are a whole, from what they say of themselves."""

import pytest

from ombdriver.bench.servers.formation import (
    info_fields,
    pairs,
    slot_owner,
    why_no_cluster,
    why_not_replicating,
    why_not_watching,
)

PRIMARY = info_fields("# Replication\r\nrole:master\r\nconnected_slaves:1\r\nslave0:ip=1,port=2,state=online,lag=0\r\n")
REPLICA = {"master_link_status": "up", "aof_rewrite_in_progress": "0"}
MASTER = {"flags": "master", "num-other-sentinels": "2"}
KNOWN = {"flags": "slave", "master-link-status": "ok"}
CLUSTER = {"cluster_state": "ok", "cluster_slots_assigned": "16384", "cluster_slots_ok": "16384"}
NODES = """\
a 127.0.0.1:1@2 myself,master - 0 0 1 connected 0-8191
b 127.0.0.1:3@4 master - 0 0 2 connected 8192-16383
c 127.0.0.1:5@6 slave a 0 0 1 connected
"""


def test_replicas_that_are_linked_lack_nothing() -> None:
    """On both sides of the link."""
    assert why_not_replicating(PRIMARY, {"replica-1-1": REPLICA}) is None
    assert why_not_replicating({"connected_slaves": "0"}, {}) is None


@pytest.mark.parametrize(
    ("primary", "replica", "words"),
    [
        (PRIMARY, {"master_link_status": "down"}, "replica-1-1 is not linked to its primary (master_link_status: down"),
        (PRIMARY, REPLICA | {"aof_rewrite_in_progress": "1"}, "replica-1-1 is still writing"),
        ({"connected_slaves": "0"}, REPLICA, "the primary has 0 of 1 replicas"),
        (PRIMARY | {"slave0": "state=send_bulk"}, REPLICA, "0 of 1 replicas are online"),
    ],
)
def test_a_replica_that_is_not_linked_yet_is_named(
    primary: dict[str, str], replica: dict[str, str], words: str
) -> None:
    """With what its server says."""
    assert words in (why_not_replicating(primary, {"replica-1-1": replica}) or "")


def test_a_sentinel_that_knows_all_lacks_nothing() -> None:
    """The master, its replicas, and the other Sentinels."""
    assert why_not_watching(MASTER, [KNOWN, KNOWN], 2) is None


@pytest.mark.parametrize(
    ("master", "replicas", "words"),
    [
        (MASTER | {"flags": "s_down,master"}, [KNOWN], "takes its master for s_down,master"),
        (MASTER | {"num-other-sentinels": "1"}, [KNOWN], "knows 1 of 2 other Sentinels"),
        (MASTER, [], "knows 0 of 1 replicas to be linked"),
        (MASTER, [KNOWN | {"master-link-status": "err"}], "knows 0 of 1 replicas to be linked"),
    ],
)
def test_what_a_sentinel_does_not_know_yet_is_told(
    master: dict[str, str], replicas: list[dict[str, str]], words: str
) -> None:
    """One thing at a time."""
    assert why_not_watching(master, replicas, 1) == words


def test_a_node_that_sees_all_of_its_cluster_lacks_nothing() -> None:
    """All slots, all nodes, and as many primaries as there are to be."""
    assert why_no_cluster(CLUSTER, NODES, 3, 3, 2) is None


@pytest.mark.parametrize(
    ("info", "nodes", "words"),
    [
        (CLUSTER | {"cluster_state": "fail"}, NODES, "says cluster_state:fail"),
        (CLUSTER | {"cluster_slots_ok": "8192"}, NODES, "knows who serves 8192 of 16384 slots"),
        (CLUSTER, NODES.replace("master - 0 0 2", "master,fail? - 0 0 2"), "is connected to 2 of 3 nodes"),
        (CLUSTER, NODES.replace("1 connected\n", "1 disconnected\n"), "is connected to 2 of 3 nodes"),
        (CLUSTER, NODES.replace("slave a", "master -"), "takes 3 of 3 nodes for primaries, in place of 2"),
        (CLUSTER, NODES, "tells clients of 2 of 3 nodes"),
        (CLUSTER, "", "is connected to 0 of 3 nodes"),
    ],
)
def test_what_a_node_does_not_see_yet_is_told(info: dict[str, str], nodes: str, words: str) -> None:
    """One thing at a time."""
    assert why_no_cluster(info, nodes, 2, 3, 2) == words


MOVING = """\
a 127.0.0.1:1@2,host,shard-id=x myself,master - 0 0 1 connected 0-99 105 200-8191 [105->-b] [300-<-b]
b 127.0.0.1:3@4 master - 0 0 2 connected 100-104 8192-16383
c 127.0.0.1:5@6 slave,fail a 0 0 1 disconnected
"""


@pytest.mark.parametrize(
    ("slot", "owner"),
    [
        (0, (1, True)),
        (99, (1, True)),
        (100, (3, False)),
        (105, (1, True)),
        (106, (None, False)),
        (300, (1, True)),
        (16383, (3, False)),
    ],
)
def test_who_has_a_slot_is_read_from_what_a_node_says(slot: int, owner: tuple[int | None, bool]) -> None:
    """Whoever a slot is on its way from has it still; single slots and ranges alike, and host names are passed over."""
    assert slot_owner(MOVING, slot) == owner


def test_names_and_values_in_turn_are_fields() -> None:
    """What is no list has none."""
    assert pairs(["a", "1", "b", 2]) == {"a": "1", "b": "2"}
    assert pairs(None) == {}
