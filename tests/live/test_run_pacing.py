"""How messages are paced, on a real server: batches leave as batches, and a worker may spin."""

import os

import pytest
from processes import Place, sound

WORKLOAD = """
{topics: 1, partitionsPerTopic: 1, messageSize: 100, subscriptionsPerTopic: 0, consumerPerSubscription: 1,
producersPerTopic: 1, producerRate: 1000, warmupDuration: 0s, testDuration: 2s}
"""
SETUP = "{{name: {name}, driver: redis-streams, server: {{engine: valkey}}, client: {client}}}"


def test_a_batch_leaves_in_one_write(place: Place) -> None:
    """Twenty messages every 20 ms; a machine that is busy makes it more at a time, and never fewer."""
    place.write(WORKLOAD)
    (place.folder / "s.yaml").write_text(SETUP.format(name="b", client="{pacing: batched, batchInterval: 20ms}"))

    finished = place.run("run", "w.yaml", "--setup", "s.yaml", "--plain")

    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    assert result["totals"]["published"] == 2000
    written = result["messagesPerWrite"]
    assert written["writes"] <= 100
    assert written["mean"] * written["writes"] == pytest.approx(2000)
    assert written["p99"] >= 20
    assert f"messages per write: {written['mean']:.2f} on average" in finished.stdout
    assert result["setup"]["client"] == {"pacing": "batched", "batchInterval": "20ms"}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="spinning is refused on one processor")
def test_a_worker_that_spins_is_not_told_to_have_too_much_to_do(place: Place) -> None:
    """It takes its core whatever there is to do, and sends what is due."""
    place.write(WORKLOAD)
    (place.folder / "s.yaml").write_text(SETUP.format(name="s", client="{pacing: spin}"))

    finished = place.run("run", "w.yaml", "--setup", "s.yaml", "--quiet")

    assert sound(finished.returncode), finished.stderr
    (result,) = place.results()
    assert result["totals"]["published"] == 2000
    assert "coreBusy" not in {each["rule"] for each in result["verdict"]["reasons"]}
    assert result["messagesPerWrite"]["writes"] <= 2000


def test_spinning_is_refused_where_it_would_leave_no_core(place: Place) -> None:
    """Before anything is started; with as many workers that spin as there are processors there is none left."""
    cores = len(os.sched_getaffinity(0))
    place.write(WORKLOAD.replace("producersPerTopic: 1", f"producersPerTopic: {cores}"))
    (place.folder / "s.yaml").write_text(SETUP.format(name="s", client="{pacing: spin}"))

    finished = place.run("run", "w.yaml", "--setup", "s.yaml", "--quiet", "--workers", str(cores))

    assert finished.returncode == 2
    assert f"client.pacing: spin takes a core for each process that sends ({cores} here)" in finished.stderr
    assert "write pacing: adaptive" in finished.stderr
