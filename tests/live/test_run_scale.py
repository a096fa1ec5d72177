"""What a run takes of a server and of its own machine when there is much of something: topics, or messages."""

import pytest
import redis
from processes import Place, sound

from ombdriver.bench.plan.plan import STREAMS_PER_READER

TOPICS = 1_000
MANY_TOPICS = f"""
topics: {TOPICS}
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 2000
warmupDuration: 0s
testDuration: 3s
"""
MANY_MESSAGES = """
topics: 1
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 20000
warmupDuration: 4s
testDuration: 12s
"""


@pytest.mark.timeout(120)
def test_a_thousand_topics_share_reads_and_connections(place: Place, valkey_url: str) -> None:
    """A group bears the same name on every topic, so a read covers many streams: connections stay in the tens."""
    place.write(MANY_TOPICS)
    with redis.Redis.from_url(valkey_url, decode_responses=True) as server:
        others = {client["id"] for client in server.client_list()}
    with (
        redis.Redis.from_url(valkey_url, decode_responses=True) as server,
        place.start("run", "w.yaml", "--url", valkey_url, "--plain") as run,
    ):
        run.until("measure")
        connections = [client for client in server.client_list() if client["id"] not in others]
        reading = [client for client in connections if client["cmd"] == "xreadgroup"]
        code, _, told = run.end()

    assert sound(code), told
    (result,) = place.results()
    assert result["totals"]["published"] == result["totals"]["received"] == 6_000
    # Besides the readers: sending and acknowledging in each worker, and the parent's own.
    assert len(reading) == -(-TOPICS // STREAMS_PER_READER)
    assert len(connections) < 40


@pytest.mark.timeout(120)
def test_the_memory_of_a_worker_does_not_grow_with_the_messages_sent(place: Place) -> None:
    """A quarter of a million messages after the warm-up leave next to nothing behind: no list grows with them."""
    place.write(MANY_MESSAGES)

    finished = place.run("run", "w.yaml", "--plain")

    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    assert result["totals"]["published"] == result["totals"]["received"] == 240_000
    growth = {each["role"]: each["rssGrowthBytes"] / 240_000 for each in result["environment"]["workers"]}
    assert max(growth.values()) < 16, f"bytes a message: {growth}"
