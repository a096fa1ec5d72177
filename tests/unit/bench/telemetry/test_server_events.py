"""What two samples of a server tell of the time between them."""

from itertools import pairwise

import pytest

from ombdriver.bench.drivers.sample import ServerSample
from ombdriver.bench.telemetry.server import events_between

QUIET = {
    "forks": 0,
    "saves": 0,
    "rewrites": 0,
    "saving": 0,
    "rewriting": 0,
    "lastForkMicros": 0,
    "replicas": 0,
    "evictedKeys": 0,
    "delayedFsyncs": 0,
    "uptimeSeconds": 60,
}


def sample(**changed: float) -> ServerSample:
    """A server at rest, but for what is changed."""
    return ServerSample(QUIET | changed, "a1")


def kinds(*samples: ServerSample) -> list[list[str]]:
    """The kinds of events from each sample to the next."""
    going_on: set[str] = set()
    return [[kind for kind, _ in events_between(before, now, going_on)] for before, now in pairwise(samples)]


def test_nothing_happens_at_a_server_at_rest() -> None:
    """Nor at one that tells nothing."""
    assert kinds(sample(), sample(uptimeSeconds=61), ServerSample(), ServerSample()) == [[], [], []]


def test_a_server_that_tells_nothing_any_more_did_nothing() -> None:
    """The right to ask was taken away in the midst of a save, and given back."""
    saving = sample(saving=1, forks=1, lastForkMicros=312, replicas=1)
    older = ServerSample({"lastForkMicros": 312, "uptimeSeconds": 1})

    assert kinds(saving, ServerSample(), saving) == [[], []]
    assert kinds(older, ServerSample(), older) == [[], []]


def test_a_save_begins_with_a_fork_and_ends() -> None:
    """Three samples."""
    began = sample(forks=1, saving=1, lastForkMicros=312)
    ended = sample(forks=1, saves=1, lastForkMicros=312)

    assert kinds(sample(), began, ended, ended) == [["fork", "saveBegan"], ["saveEnded"], []]
    assert ("fork", "the server forked once; the last fork held it up for 312 µs") in events_between(
        sample(), began, set()
    )


def test_a_save_that_fell_between_two_samples_is_told() -> None:
    """By the counters alone."""
    assert kinds(sample(), sample(forks=1, saves=1)) == [["fork", "saveEnded"]]


def test_one_save_after_another_is_told() -> None:
    """The flag is set at both samples."""
    assert kinds(sample(saving=1, forks=1), sample(saving=1, forks=2, saves=1)) == [["fork", "saveEnded", "saveBegan"]]


def test_a_rewrite_of_the_append_only_file_is_told() -> None:
    """Its beginning and its end."""
    began = sample(forks=1, rewriting=1)

    assert kinds(sample(), began, sample(forks=1, rewrites=1)) == [["fork", "rewriteBegan"], ["rewriteEnded"]]


def test_a_fork_is_noticed_on_servers_that_do_not_count_them() -> None:
    """By a new duration of the last one."""
    before = ServerSample({"lastForkMicros": 0, "uptimeSeconds": 1})
    after = ServerSample({"lastForkMicros": 77, "uptimeSeconds": 2})

    assert kinds(before, after, after) == [["fork"], []]


@pytest.mark.parametrize(("figure", "kind"), [("evictedKeys", "evictionsBegan"), ("delayedFsyncs", "fsyncDelayed")])
def test_what_goes_on_is_told_when_it_begins(figure: str, kind: str) -> None:
    """And again when it begins again."""
    samples = [sample(**{figure: value}) for value in (0, 3, 9, 9, 10)]

    assert kinds(*samples) == [[kind], [], [], [kind]]


def test_replicas_that_come_and_go_are_told() -> None:
    """With both numbers."""
    assert list(events_between(sample(), sample(replicas=2), set())) == [
        ("replicasChanged", "the number of connected replicas went from 0 to 2")
    ]


def test_another_start_of_the_server_is_told_and_nothing_else() -> None:
    """Its counters begin anew; known by its id, or by its uptime."""
    anew = ServerSample(QUIET | {"forks": 5, "uptimeSeconds": 100}, "b2")

    assert kinds(sample(), anew) == [["restarted"]]
    assert kinds(sample(), sample(uptimeSeconds=0, forks=2)) == [["restarted"]]
