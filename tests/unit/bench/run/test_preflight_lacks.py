"""What a setup asks for and a server lacks is told before anything is created, with the version that has it."""

import pytest

from ombdriver.bench.run.preflight import lacks
from ombdriver.bench.spec.setup import Needs


@pytest.mark.parametrize(
    ("facts", "needs", "fault"),
    [
        ({"redisVersion": "5.0.14"}, Needs(minid=True), "came with Redis 6.2"),
        ({"hasXackdel": False}, Needs(xackdel=True), "which Redis has from 8.2 on (Valkey has not)"),
        ({"replicas": 1}, Needs(replicas=2), "waitReplicas is 2, and the server has 1 replicas"),
        ({"mode": "cluster"}, Needs(), "write redis+cluster://HOST:PORT"),
        ({"mode": "standalone"}, Needs(cluster=True), "stands alone"),
        ({"mode": "sentinel"}, Needs(), "write redis+sentinel://HOST:PORT/MASTER"),
    ],
)
def test_what_a_server_lacks_is_told_with_the_way_out(facts: dict[str, object], needs: Needs, fault: str) -> None:
    """One sentence for each."""
    (found,) = lacks(facts, needs)

    assert fault in found


@pytest.mark.parametrize(
    ("facts", "needs"),
    [
        ({}, Needs(minid=True, xackdel=True, replicas=1, cluster=True)),
        ({"redisVersion": "7.2.4", "hasXackdel": True, "replicas": 2, "mode": "cluster"}, Needs(True, True, 2, True)),
        ({"redisVersion": "5.0.1", "hasXackdel": False, "replicas": 0, "mode": "standalone"}, Needs()),
        ({"redisVersion": "?"}, Needs(minid=True)),
    ],
)
def test_what_is_there_or_not_known_is_no_fault(facts: dict[str, object], needs: Needs) -> None:
    """A driver that tells nothing of it is not judged."""
    assert lacks(facts, needs) == []
