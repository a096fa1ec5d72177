"""The studies measure what they say, on a real server: with few messages, and with a stand-in for OMB's own program."""

import json
import sys
import textwrap
from pathlib import Path

import pytest

from tests.studies import claims, omb

KEYS = {key: 2.0 for _, key, _ in omb.ROWS.values() if key}


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A folder whose `bin/benchmark` does to a server what OMB does: it acknowledges nothing, and ends by a message."""
    program = tmp_path / "stand_in.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import sys
            import redis
            config = dict(line.split(": ") for line in open(sys.argv[2]).read().splitlines())
            client = redis.Redis("127.0.0.1", int(config["redisPort"]))
            client.xgroup_create("topic", "group", "0", mkstream=True)
            print({omb.ENDS!r}, flush=True)  # of the warm-up
            client.xadd("topic", {{"payload": "early"}})
            client.xreadgroup("group", "consumer", {{"topic": ">"}}, block=0)
            print({omb.BEGINS!r}, flush=True)
            for at in range(20):
                client.xadd("topic", {{"payload": at}})
                client.xreadgroup("group", "consumer", {{"topic": ">"}}, block=0)
            print({omb.ENDS!r}, flush=True)
            client.xreadgroup("group", "consumer", {{"topic": ">"}}, block=0)
            open(sys.argv[4], "w").write({json.dumps(KEYS | {omb.QUANTILES: {"0.0": 1.0}})!r})
            """
        )
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "benchmark").write_text(f'exec "{sys.executable}" "{program}" "$@"\n')
    return tmp_path


async def test_a_run_of_omb_is_told_with_the_servers_account(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it stored, what is pending, and that it did not end by itself."""
    monkeypatch.setattr(omb, "PATIENCE_S", 0.3)

    result, account = await omb.Omb(stand_in, hangs=False).run()

    assert omb.of_omb(result)["publish p50"] == 2.0
    assert (account.keys, account.entries, account.pending, account.ended) == (1, 21, 21, False)
    assert account.within_the_same_ms <= account.handed <= account.pending


async def test_what_was_handed_over_in_the_millisecond_of_its_id_is_counted() -> None:
    """By the server's own times: a transaction has one time, and what is read in a later millisecond has another."""
    async with claims.Server() as client:
        await client.xgroup_create("topic", "group", "0", mkstream=True)
        read = ("XREADGROUP", "GROUP", "group", "consumer", "STREAMS", "topic", ">")
        for _ in range(3):
            async with client.pipeline(transaction=True) as together:
                together.xadd("topic", {"payload": "at once"})
                together.execute_command(*read)
                await together.execute()
        for _ in range(2):
            stored_ms = int((await client.xadd("topic", {"payload": "later"})).partition(b"-")[0])
            while await now_ms(client) <= stored_ms:
                pass
            await client.execute_command(*read)

        told = await omb.account(client, 0, ended=True)

        assert (told.entries, told.pending, told.handed, told.within_the_same_ms) == (5, 5, 5, 3)
        later = await omb.account(client, await now_ms(client) + 1, ended=True)
        assert (later.entries, later.pending, later.handed) == (0, 5, 0)


async def now_ms(client: claims.Client) -> int:
    """The server's time of day."""
    seconds, micros = await client.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def test_an_omb_that_fails_is_told_with_its_last_lines(tmp_path: Path) -> None:
    """Rather than waited for."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "benchmark").write_text("echo no such driver; exit 1\n")

    with pytest.raises(SystemExit, match="no such driver"):
        await omb.Omb(tmp_path, hangs=False).run()


@pytest.mark.parametrize("name", ["pending", "length", "trimming", "memory"])
async def test_what_commands_cost_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each figure is there and above 0, and a verdict follows."""
    monkeypatch.setattr(claims, "ROUNDS", 2)
    monkeypatch.setattr(claims, "PENDING", 5000)
    monkeypatch.setattr(claims, "LENGTHS", (100, 1000))
    monkeypatch.setattr(claims, "KEPT", 1000)
    monkeypatch.setattr(claims, "MATCHES", 2000)
    claim = claims.CLAIMS[name]

    figures = await claim.measure(claim.command)

    assert min(figures.values()) > 0
    assert claim.told(figures)[1] in (claims.HOLDS, claims.PARTLY, claims.FAILS)
