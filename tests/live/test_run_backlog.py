"""A backlog is built while consumers pause, and drained while producers go on; every message of it is accounted for."""

import signal

import pytest
from processes import Place, sound

MESSAGES = 5_243
"""0.01 GiB of 1 KiB over two groups."""
WORKLOAD = """
topics: 1
partitionsPerTopic: 2
messageSize: 1KiB
subscriptionsPerTopic: 2
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 5000
consumerBacklogSizeGB: 0.01
warmupDuration: 0s
testDuration: 1s
sampleInterval: 500ms
"""


def test_a_backlog_is_drained_and_accounted_for(place: Place) -> None:
    """To the message: each group had all of it before it, got all of it once, and the fresh messages besides."""
    place.write(WORKLOAD)
    finished = place.run("run", "w.yaml", "--quiet")

    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    drain = result["backlogDrain"]
    assert drain["messages"] == drain["askedMessages"] == 2 * MESSAGES
    assert drain["caughtUp"] is True
    assert 0 < drain["drainSeconds"] == max(each["drainSeconds"] for each in drain["subscriptions"])
    assert drain["buildSeconds"] >= MESSAGES / 5000 - 0.001
    for each in drain["subscriptions"]:
        assert each["delivery"]["acknowledged"] == each["delivery"]["received"] == each["messages"] == MESSAGES
        assert each["backlogLatency"]["endToEnd"]["count"] == MESSAGES
        assert each["receiveRate"] * each["drainSeconds"] >= MESSAGES - drain["level"]
        # The last message of the backlog was sent before the resume, and waited for it; the first one for longer.
        assert each["backlogLatency"]["endToEndResponse"]["max"] > 1000 * MESSAGES / 5000
        assert each["freshLatency"]["endToEndResponse"]["count"] > 0
    for account in result["delivery"]:
        assert account["acknowledged"] == account["received"] == result["totals"]["published"]
    assert result["totals"]["published"] >= 5000
    assert drain["publishDuring"]["publish"]["count"] + drain["publishAfter"]["publish"]["count"] >= 5000
    assert [each["kind"] for each in result["caveats"] if each["kind"] in ("trimmingHeld", "undelivered")] == []
    assert "Backlog, drained in the measured window" in finished.stdout


def test_a_drain_that_never_ends_has_its_time(place: Place) -> None:
    """Consumers are slower than producers: the window is prolonged by the drain's time-out, and that is told."""
    place.write(WORKLOAD.replace("producerRate: 5000", "producerRate: 2000\nconsumerWork: 1ms\ndrainTimeout: 1s"))
    finished = place.run("run", "w.yaml", "--quiet", "--set", "workload.consumerBacklogSizeGB=0.004")

    assert finished.returncode == 3, finished.stderr
    (result,) = place.results()
    drain = result["backlogDrain"]
    assert drain["caughtUp"] is False
    assert drain["left"] > drain["level"]
    assert drain["drainSeconds"] > 1.5
    assert result["totals"]["published"] + result["totals"]["unsent"] == 4000  # 1 s of the test and 1 s more
    rules = [each["rule"] for each in result["verdict"]["reasons"]]
    assert "backlogDrained" in rules
    assert not {"backlogTrend", "latencyTrend"} & set(rules)
    for each in (*result["delivery"], *(each["delivery"] for each in drain["subscriptions"])):
        fates = ("received", "lost", "trimmed", "undelivered")
        assert each["acknowledged"] + each["recovered"] == sum(each[fate] for fate in fates)
        assert each["lost"] == each["trimmed"] == 0
    assert "did not drain its backlog" in finished.stdout


def test_a_backlog_larger_than_memory_is_refused(place: Place) -> None:
    """Before anything is created, with the way out; --force starts it, and the result says so."""
    place.write(WORKLOAD)
    place.write(
        "name: tight\ndriver: redis-streams\nserver: {engine: valkey, config: {maxmemory: 16mb}}\n", "tight.yaml"
    )
    refused = place.run("run", "w.yaml", "--setup", "tight.yaml", "--quiet")

    assert refused.returncode == 1
    assert "maxmemory is 16 MiB" in refused.stderr
    assert "consumerBacklogSizeGB" in refused.stderr
    assert "--force starts the run all the same" in refused.stderr
    assert place.results() == []

    forced = place.run("run", "w.yaml", "--setup", "tight.yaml", "--quiet", "--force")
    assert sound(forced.returncode), forced.stderr
    (result,) = place.results()
    assert "forced" in [each["kind"] for each in result["caveats"]]
    assert result["backlogDrain"]["caughtUp"] is True


@pytest.mark.parametrize(("stage", "stored"), [("build", False), ("catch-up", True)])
def test_a_signal_ends_it(place: Place, stage: str, stored: bool) -> None:
    """While it is built nothing has been measured; while it is drained there is a partial result; nothing is left."""
    place.write(WORKLOAD.replace("testDuration: 1s", "testDuration: 30s\nconsumerWork: 150us"))
    with place.start("run", "w.yaml", "--plain") as run:
        run.until(stage)
        run.send(signal.SIGINT)
        code, _, stderr = run.end()

        assert code == 130
        assert run.alone()
    if not stored:
        assert "interrupted before anything was measured; there is no result" in stderr
        return
    (result,) = place.results()
    assert result["partial"] is True
    assert result["verdict"]["reasons"][0]["rule"] == "interrupted"
    assert result["backlogDrain"]["caughtUp"] is False
    assert "backlogDrained" in [each["rule"] for each in result["verdict"]["notJudged"]]
