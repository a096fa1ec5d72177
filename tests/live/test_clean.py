"""`ombdriver clean`: the leftovers of runs that were killed outright go, by run id; nothing else does."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import redis
from processes import Place

from ombdriver.bench.drivers.api import TopicSpec
from ombdriver.bench.drivers.redis_streams.driver import RedisStreamsDriver, open_driver
from ombdriver.bench.drivers.redis_streams.runs import ALIVE_S, renew
from ombdriver.bench.run.cleanup import clean
from ombdriver.errors import InputError, RunError

FOREIGN: dict[str, str] = {
    "other": "1",
    "{ombdriver-alive002-0000:7}": "2",
    "ombdriver:mine": "3",
    "ombdriver-dead0001-0000": "4",
    "{ombdriver-dead0001-9999:0}": "5",
}
"""Keys of others, some of them with names much like ours."""

WHOLE = {"host": "h", "pid": "1", "started": "2026-01-01T00:00:00+00:00"}
"""What a record of ours has beside its topics."""


@pytest.fixture
def raw(server_url: str) -> Iterator[redis.Redis]:
    """The test's own eyes on each server, with keys of others on it."""
    with redis.Redis.from_url(server_url, decode_responses=True) as client:
        client.mset(FOREIGN)
        yield client


class Runs:
    """Runs that left something: each with a topic of two partitions."""

    def __init__(self, url: str, raw: redis.Redis) -> None:
        self._url, self._raw = url, raw
        self.drivers: list[RedisStreamsDriver] = []

    async def make(self, run_id: str, *, alive: bool) -> None:
        """A run that is alive, or that has ended and could not delete what it made."""
        driver = await open_driver({"url": self._url, "run_id": run_id})
        self.drivers.append(driver)
        await driver.create_topics([TopicSpec(f"ombdriver-{run_id}-0000", 2)], ["g"])
        if not alive:
            await driver.aclose()

    def keys(self) -> set[str]:
        """All keys that are not of others."""
        return set(self._raw.scan_iter()) - set(FOREIGN)

    @staticmethod
    def of(run_id: str, *, alive: bool) -> set[str]:
        """The keys of a run."""
        streams = {f"{{ombdriver-{run_id}-0000:{partition}}}" for partition in range(2)}
        return streams | {f"ombdriver:run:{run_id}"} | ({f"ombdriver:alive:{run_id}"} if alive else set())


@pytest.fixture
async def runs(server_url: str, raw: redis.Redis) -> AsyncIterator[Runs]:
    """Keys of others have to be there at the end."""
    made = Runs(server_url, raw)
    yield made
    for driver in made.drivers:
        await driver.aclose()
    assert dict(zip(FOREIGN, raw.mget(list(FOREIGN)), strict=True)) == FOREIGN


async def test_dead_runs_go_and_live_ones_are_spared(server_url: str, runs: Runs) -> None:
    """A line for each, that says what became of it."""
    await runs.make("dead0001", alive=False)
    await runs.make("alive002", alive=True)
    await runs.make("dead0003", alive=False)

    lines = await clean(server_url, None, dry_run=False)

    assert runs.keys() == runs.of("alive002", alive=True)
    assert len(lines) == 3
    assert {line.split()[1] for line in lines if "2 of 2 streams deleted" in line} == {"dead0001", "dead0003"}
    (spared,) = [line for line in lines if "left alone" in line]
    assert "run alive002" in spared
    assert "--run-id alive002 deletes it anyway" in spared


async def test_a_run_whose_mark_could_not_be_renewed_is_spared_while_it_is_there(
    server_url: str, runs: Runs, raw: redis.Redis
) -> None:
    """Its connection bears its id; without that, its consumers read."""
    await runs.make("alive002", alive=True)
    raw.delete("ombdriver:alive:alive002")

    (by_connection,) = await clean(server_url, None, dry_run=False)
    await runs.drivers[0].aclose()
    raw.delete("ombdriver:alive:alive002")
    stream = "{ombdriver-alive002-0000:1}"
    raw.xadd(stream, {"f": "v"})
    raw.xreadgroup("g", "c", {stream: ">"})
    (by_consumer,) = await clean(server_url, None, dry_run=False)

    assert "left alone, it has a connection to the server" in by_connection
    assert "left alone, consumers of it have read" in by_consumer


async def test_a_mark_is_renewed_on_a_server_that_is_full(server_url: str, runs: Runs, raw: redis.Redis) -> None:
    """By a command that needs no memory."""
    await runs.make("alive002", alive=True)
    raw.expire("ombdriver:alive:alive002", 1000)
    raw.config_set("maxmemory", 1)
    try:
        await renew(runs.drivers[0]._control, "alive002")
        assert 0 < raw.ttl("ombdriver:alive:alive002") <= ALIVE_S
    finally:
        raw.config_set("maxmemory", 0)


async def test_a_refusal_that_passes_is_waited_out_by_the_deletion(
    server_url: str, runs: Runs, raw: redis.Redis
) -> None:
    """A server that is busy with a script refuses everything; once it is done, nothing is left."""
    await runs.make("alive002", alive=True)
    raw.config_set("busy-reply-threshold", 1)
    busy = threading.Thread(target=_spin, args=(raw,))
    busy.start()
    try:
        while not _is_busy(raw):
            assert busy.is_alive()
        deleting = asyncio.create_task(runs.drivers[0].delete_created())
        done, _ = await asyncio.wait({deleting}, timeout=0.3)
        assert not done
    finally:
        raw.script_kill()
        busy.join()
        raw.config_set("busy-reply-threshold", 5000)

    assert await deleting == 2
    assert runs.keys() == set()


def _is_busy(raw: redis.Redis) -> bool:
    try:
        raw.ping()
    except redis.ResponseError:  # BUSY
        return True
    return False


def _spin(raw: redis.Redis) -> None:
    with contextlib.suppress(redis.ResponseError):  # it is killed
        raw.eval("while true do end", 0)


async def test_a_run_that_is_named_goes_alone_even_if_it_is_alive(server_url: str, runs: Runs) -> None:
    """The user knows better."""
    await runs.make("dead0001", alive=False)
    await runs.make("alive002", alive=True)

    (line,) = await clean(server_url, "alive002", dry_run=False)

    assert "run alive002" in line
    assert "2 of 2 streams deleted" in line
    assert runs.keys() == runs.of("dead0001", alive=False)


async def test_a_dry_run_deletes_nothing(server_url: str, runs: Runs) -> None:
    """It tells what would go."""
    await runs.make("dead0001", alive=False)
    before = runs.keys()

    (line,) = await clean(server_url, None, dry_run=True)

    assert "2 streams would be deleted" in line
    assert runs.keys() == before == runs.of("dead0001", alive=False)


async def test_streams_that_are_gone_already_are_no_fault(server_url: str, runs: Runs, raw: redis.Redis) -> None:
    """How many there were is told, and the record goes too."""
    await runs.make("dead0001", alive=False)
    raw.delete("{ombdriver-dead0001-0000:1}")

    (line,) = await clean(server_url, None, dry_run=False)

    assert "1 of 2 streams deleted" in line
    assert runs.keys() == set()


async def test_a_record_that_names_streams_of_others_deletes_only_its_own(
    server_url: str, runs: Runs, raw: redis.Redis
) -> None:
    """A stream has to bear the run's id, whatever the record says."""
    await runs.make("dead0001", alive=False)
    raw.hset("ombdriver:run:dead0001", "topics", '[["ombdriver-alive002-0000", 8], ["ombdriver-dead0001-0000", 2]]')

    await clean(server_url, None, dry_run=False)

    assert runs.keys() == set()


async def test_nothing_to_clean_is_told(server_url: str, runs: Runs) -> None:
    """And a run that the server does not know is an error that names those it knows."""
    assert await clean(server_url, None, dry_run=False) == [f"{server_url}: no run has left anything"]
    await runs.make("dead0001", alive=False)

    with pytest.raises(RunError, match="has no record of run nosuchid; it knows: dead0001"):
        await clean(server_url, "nosuchid", dry_run=False)
    assert runs.keys() == runs.of("dead0001", alive=False)


@pytest.mark.parametrize(
    "record",
    [
        {"host": "h"},
        {"topics": '[["ombdriver-broken01-0", 1]]'},
        WHOLE | {"topics": "no json"},
        WHOLE | {"topics": "[1]"},
        WHOLE | {"topics": "[]"},
        WHOLE | {"topics": '[["ombdriver-broken01-0", "x"]]'},
        WHOLE | {"topics": '[["ombdriver-broken01-0", 1e999]]'},
        WHOLE | {"topics": '[["ombdriver-broken01-0", 100000000000]]'},
        WHOLE | {"topics": '[["ombdriver-broken01-0", 60000], ["ombdriver-broken01-1", 60000]]'},
        WHOLE | {"topics": '[["ombdriver-alive002-0000", 8]]'},
    ],
)
async def test_a_record_that_can_not_be_read_keeps_no_other_from_being_cleaned(
    server_url: str, runs: Runs, raw: redis.Redis, record: dict[str, str]
) -> None:
    """Somebody else may have a key of that name; what can't be understood is left as it is."""
    raw.hset("ombdriver:run:broken01", items=[word for pair in record.items() for word in pair])
    raw.set("ombdriver:run:broken02", "not even a hash")
    await runs.make("dead0001", alive=False)

    lines = await clean(server_url, None, dry_run=False)

    assert any("run dead0001" in line and "2 of 2 streams deleted" in line for line in lines)
    assert runs.keys() == {"ombdriver:run:broken01", "ombdriver:run:broken02"}


async def test_what_is_not_utf_8_is_left_or_shown(server_url: str, runs: Runs, raw: redis.Redis) -> None:
    """A key that can't be a run's is left; a record's text is shown with what can be read of it."""
    odd = b"ombdriver:run:\xff"
    raw.set(odd, "1")
    await runs.make("dead0001", alive=False)
    raw.hset("ombdriver:run:dead0001", "host", b"h\xff")

    (line,) = await clean(server_url, None, dry_run=False)

    assert "run dead0001 (on h\ufffd, " in line
    assert raw.delete(odd) == 1
    assert runs.keys() == set()


async def test_a_url_that_names_no_server_is_bad_input() -> None:
    """Known without connecting."""
    with pytest.raises(InputError, match="--url"):
        await clean("http://nowhere", None, dry_run=False)


def test_a_run_that_was_killed_outright_is_cleaned_up_after(place: Place, valkey_url: str) -> None:
    """From the command line: killed with SIGKILL, then found by its record and removed; foreign keys stay."""
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client:
        client.set("other", "1")
        with place.start("run", "w.yaml", "--url", valkey_url, "--duration", "10m", "--plain") as run:
            run.until("measure")
            run.send(signal.SIGKILL)
            run.end()
            assert run.alone()
        (record,) = client.keys("ombdriver:run:*")
        run_id = record.rpartition(":")[2]
        assert len(client.keys("{ombdriver-*")) == 1

        spared = place.run("clean", "--url", valkey_url)
        client.delete(f"ombdriver:alive:{run_id}")  # as a minute does
        for stream in client.scan_iter("{ombdriver-*"):
            for group in client.xinfo_groups(stream):
                for consumer in client.xinfo_consumers(stream, group["name"]):
                    client.xgroup_delconsumer(stream, group["name"], consumer["name"])
        cleaned = place.run("clean", "--url", valkey_url)
        again = place.run("clean", "--url", valkey_url)

        assert (spared.returncode, cleaned.returncode, again.returncode) == (0, 0, 0)
        assert "left alone" in spared.stdout
        assert f"run {run_id}" in cleaned.stdout
        assert "1 of 1 stream deleted" in cleaned.stdout
        assert "no run has left anything" in again.stdout
        assert client.keys() == ["other"]
