"""`make study-claims`: what is said of Redis Streams, measured here; the claims and verdicts of docs/studies/claims.md.

A claim is measured by `ombdriver run`, or by what its commands cost the server by its own clock. All of them take some
ten minutes; `--only NAME` measures one again and leaves the others as they were.
"""

import argparse
import asyncio
import random
import shlex
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.report import units
from ombdriver.bench.results import store
from ombdriver.bench.results.result import Result
from ombdriver.bench.servers.private_server import PrivateServer
from tests.marked import around, put_into
from tests.studies import page
from tests.studies.command_costs import Client, costs, memory, send

PAGE, DATA = page.STUDIES / "claims.md", page.STUDIES / "claims.json"
COMMAND = "study-claims"
Figures = Mapping[str, float]

HOLDS, PARTLY, FAILS = "holds here", "holds in part", "does not hold here"
UNKNOWN = "can't be judged, since no run is `VALID`"
REDIS_DOCS = "https://redis.io/docs/latest"
ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody says, and how it is measured.

    Attributes:
        title: in a few words.
        says: the claim, as its source has it or in fewer words.
        address: of the source.
        command: what measures it; what begins with `ombdriver` is run as it stands.
        measure: gives the figures, each with the name that `told` knows.
        told: the figures in a sentence, and whether the claim holds.
        limits: what the figures don't say.
    """

    title: str
    says: str
    address: str
    command: str
    measure: Callable[[str], Awaitable[Figures]]
    told: Callable[[Figures], tuple[str, str]]
    limits: str


async def run(command: str, *, output: Path) -> list[Result]:
    """The results of a command line of ombdriver.

    Raises:
        SystemExit: if it ends without results.
    """
    words = [*shlex.split(command)[1:], "--plain", "--output", str(output)]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "ombdriver", *words)
    if await process.wait() not in (0, 3):
        sys.exit(f"this gave no results: {command}")
    return [each.result for each in store.load_all([str(output)])]


async def results_of(command: str) -> list[Result]:
    """The same, in a folder that is removed."""
    with tempfile.TemporaryDirectory(prefix="ombdriver-") as name:
        return await run(command, output=Path(name) / "results")


def valid(results: Sequence[Result]) -> dict[str, float]:
    """How many runs there were, and how many were VALID."""
    fine = [each for each in results if each.verdict and each.verdict.status == "VALID"]
    return {"runs": len(results), "validRuns": len(fine)}


def verdicts(figures: Figures) -> str:
    """How many runs were VALID, in words."""
    return f"{figures['validRuns']:.0f} of {units.many(int(figures['runs']), 'run')} `VALID`"


class Server:
    """A private server and a client of it, for what commands cost."""

    async def __aenter__(self) -> Client:
        self._server = await PrivateServer.start()
        self._client = Client.from_url(self._server.url, protocol=2)
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        await self._server.stop()


# --- latency of a group -----------------------------------------------------------------------------------------------


async def group_latency(command: str) -> Figures:
    """How many messages reached a consumer within 1 and 2 ms."""
    results = await results_of(command)
    histogram = Histogram.decode(results[0].histograms["families"]["endToEnd"])
    one, two = histogram.upto([1_000_000, 2_000_000])
    p999 = results[0].summary("endToEnd").ms("p99.9") or 0.0
    count = max(histogram.count, 1)
    return valid(results) | {"within1ms": one / count, "within2ms": two / count, "p99.9": p999}


def group_latency_told(figures: Figures) -> tuple[str, str]:
    """The claim is 99.9 % within 2 ms."""
    text = (
        f"{figures['within1ms']:.2%} of the messages within 1 ms, {figures['within2ms']:.2%} within 2 ms;"
        f" p99.9 {units.latency(figures['p99.9'])}; {verdicts(figures)}."
    )
    holds = HOLDS if figures["within2ms"] >= 0.999 else PARTLY if figures["within2ms"] >= 0.99 else FAILS
    return text, holds


# --- pending entries --------------------------------------------------------------------------------------------------

PENDING = 2_000_000


async def pending_cost(_: str) -> Figures:
    """XREADGROUP and XACK of a message, in a group with nothing pending and in one with `PENDING` entries."""
    async with Server() as client:
        for group in ("clear", "stuck"):
            await client.xgroup_create("stream", group, id="0", mkstream=True)
        await send(client, [("XADD", "stream", "*", "payload", "x" * 20)] * PENDING)
        await send(
            client, [("XREADGROUP", "GROUP", "stuck", "c", "COUNT", 1000, "STREAMS", "stream", ">")] * (PENDING // 1000)
        )
        await client.xgroup_setid("stream", "clear", "$")
        each: dict[str, list[float]] = {"clear": [], "stuck": []}
        for _round in range(ROUNDS):
            await send(client, [("XADD", "stream", "*", "payload", "x" * 20)] * 1000)
            for group, told in each.items():
                told.append(await _read_and_acknowledge(client, group, 1000))
        return {f"{group}Micros": round(median(told), 3) for group, told in each.items()}


async def _read_and_acknowledge(client: Client, group: str, count: int) -> float:
    """What handing `count` messages over one by one and taking their acknowledgements costs the server, in µs each."""
    await client.config_resetstat()
    identifiers: list[bytes] = []
    for _ in range(count // 500):
        async with client.pipeline(transaction=False) as pipeline:
            for _ in range(500):
                pipeline.execute_command("XREADGROUP", "GROUP", group, "c", "COUNT", 1, "STREAMS", "stream", ">")
            for reply in await pipeline.execute():
                identifiers += [identifier for _, entries in reply for identifier, _ in entries]
    await send(client, [("XACK", "stream", group, identifier) for identifier in identifiers])
    stats = await client.info("commandstats")
    return float(sum(stats[f"cmdstat_{name}"]["usec"] for name in ("xreadgroup", "xack")) / count)


def pending_told(figures: Figures) -> tuple[str, str]:
    """The claim is that it does not matter."""
    ratio = figures["stuckMicros"] / figures["clearMicros"]
    text = (
        f"XREADGROUP and XACK of one message cost the server {figures['clearMicros']:.2f} µs with nothing pending,"
        f" {figures['stuckMicros']:.2f} µs with {PENDING:,} entries pending: {ratio:.2f} times as much."
    )
    return text, HOLDS if ratio <= 1.25 else PARTLY if ratio <= 2 else FAILS


# --- length of the stream ---------------------------------------------------------------------------------------------

LENGTHS = (1_000, 10_000, 100_000, 300_000)


async def length_cost(_: str) -> Figures:
    """XADD of 1 KiB to streams of several lengths."""
    payload = "x" * 1024
    async with Server() as client:
        for length in LENGTHS:
            await send(client, [("XADD", f"stream-{length}", "*", "payload", payload)] * length)
        found = await costs(
            client,
            {
                str(length): lambda length=length: [("XADD", f"stream-{length}", "*", "payload", payload)] * 500  # type: ignore[misc]
                for length in LENGTHS
            },
            ROUNDS,
        )
    return {f"at{length}": found[str(length)] for length in LENGTHS}


def length_told(figures: Figures) -> tuple[str, str]:
    """O(1): the longest costs as much as the shortest."""
    ratio = figures[f"at{LENGTHS[-1]}"] / figures[f"at{LENGTHS[0]}"]
    costs_told = ", ".join(f"{figures[f'at{length}']:.2f} µs at {length:,}" for length in LENGTHS)
    longer = LENGTHS[-1] // LENGTHS[0]
    text = f"By entries in the stream: {costs_told}; {ratio:.2f} times as much at {longer} times the length."
    return text, HOLDS if ratio <= 1.25 else PARTLY if ratio <= 2 else FAILS


# --- trimming ---------------------------------------------------------------------------------------------------------

KEPT = 10_000


async def trim_cost(_: str) -> Figures:
    """XADD of 100 B that keeps some 10,000 entries, exactly and about, and one that trims nothing."""
    payload = "x" * 100
    forms: dict[str, tuple[str | int, ...]] = {
        "exact": ("MAXLEN", "=", KEPT),
        "about": ("MAXLEN", "~", KEPT),
        "none": (),
    }
    async with Server() as client:
        for name in forms:
            await send(client, [("XADD", name, "*", "payload", payload)] * KEPT)
        found = await costs(
            client,
            {
                name: lambda name=name, form=form: [("XADD", name, *form, "*", "payload", payload)] * 2000  # type: ignore[misc]
                for name, form in forms.items()
            },
            ROUNDS,
        )
    return {f"{name}Micros": value for name, value in found.items()}


def trim_told(figures: Figures) -> tuple[str, str]:
    """Much more efficient: what trimming itself costs is at most half."""
    exact, about = (figures[name] - figures["noneMicros"] for name in ("exactMicros", "aboutMicros"))
    text = (
        f"An XADD costs the server {figures['noneMicros']:.2f} µs without trimming, {figures['aboutMicros']:.2f} µs"
        f" with `MAXLEN ~ {KEPT}`, {figures['exactMicros']:.2f} µs with `MAXLEN = {KEPT}`."
    )
    return text, HOLDS if about <= exact / 2 else PARTLY if about < exact else FAILS


# --- readers ----------------------------------------------------------------------------------------------------------

GROUPS = (1, 3, 10, 30)


async def group_cost(command: str) -> Figures:
    """What a message costs the server by the number of groups that wait for it."""
    results = await results_of(command)
    found = {}
    for each in results:
        assert each.telemetry is not None
        cores = each.telemetry["summary"]["serverCpu"]["mean"]
        found[f"with{each.subscriptions_per_topic}"] = round(1e6 * cores / each.mean_rate("publishRate"), 1)
    return valid(results) | found


def group_cost_told(figures: Figures) -> tuple[str, str]:
    """O(N): from 10 to 30 groups each costs about as much as from 1 to 3."""
    few = (figures["with3"] - figures["with1"]) / 2
    many = (figures["with30"] - figures["with10"]) / 20
    told = ", ".join(f"{figures[f'with{count}']:.0f} µs with {units.many(count, 'group')}" for count in GROUPS)
    text = (
        f"A message costs the server {told}: {few:.0f} µs for each group from 1 to 3, {many:.0f} µs from 10 to 30;"
        f" {verdicts(figures)}."
    )
    return text, HOLDS if many <= 1.5 * few else PARTLY if many <= 3 * few else FAILS


# --- disk -------------------------------------------------------------------------------------------------------------


async def fsync_cost(command: str) -> Figures:
    """The median publish latency without a disk and with one fsync before each reply."""
    results = await results_of(command)
    found = {}
    for name, key in (("valkey-no-persistence", "memoryMs"), ("valkey-aof-always", "diskMs")):
        values = [
            each.summary("publishResponse").ms("p50") or 0.0 for each in results if each.setup.get("name") == name
        ]
        found[key] = round(median(values), 4)
    return valid(results) | found


def fsync_told(figures: Figures) -> tuple[str, str]:
    """Very very slow is taken for ten times as slow."""
    ratio = figures["diskMs"] / figures["memoryMs"]
    text = (
        f"p50 of the publish response {units.latency(figures['memoryMs'])} without a disk,"
        f" {units.latency(figures['diskMs'])} with `appendfsync always`: {ratio:.1f} times as long;"
        f" {verdicts(figures)}."
    )
    return text, HOLDS if ratio >= 10 else PARTLY if ratio >= 2 else FAILS


# --- memory -----------------------------------------------------------------------------------------------------------

MATCHES = 200_000


async def memory_of_matches(_: str) -> Figures:
    """The same matches of two players as entries of a stream, and as hashes with a sorted set of their ids."""
    chance = random.Random(1)
    matches = [(a := chance.randrange(1000), chance.randrange(1000), a) for _ in range(MATCHES)]
    async with Server() as client:
        start = await memory(client)
        await send(
            client,
            [("XADD", "matches", "*", "player-a", a, "player-b", b, "winner", winner) for a, b, winner in matches],
        )
        stream = await memory(client) - start
        start = await memory(client)
        await send(
            client,
            [
                command
                for at, (a, b, winner) in enumerate(matches)
                for command in (
                    ("ZADD", "by-time", 1_553_254_144_387 + at, at),
                    ("HSET", f"match:{at}", "player-a", a, "player-b", b, "winner", winner),
                )
            ],
        )
        hashes = await memory(client) - start
    return {"streamBytes": stream / MATCHES, "hashBytes": hashes / MATCHES}


def memory_told(figures: Figures) -> tuple[str, str]:
    """The claim is 13 times, and 16.8 bytes an entry."""
    ratio = figures["hashBytes"] / figures["streamBytes"]
    text = (
        f"{figures['streamBytes']:.1f} bytes a match in the stream, {figures['hashBytes']:.0f} bytes in a sorted set"
        f" and hashes: {ratio:.1f} times as much."
    )
    return text, HOLDS if ratio >= 10 else PARTLY if ratio >= 3 else FAILS


CLAIMS: Mapping[str, Claim] = {
    "group-latency": Claim(
        "99.9 % within 2 ms",
        "10,000 messages a second, ten consumers of one group, a machine with two cores:"
        ' "99.9% of requests have a latency <= 2 milliseconds".',
        f"{REDIS_DOCS}/develop/data-types/streams/#latency-tests-results",
        "ombdriver run 1kb-8consumers --set workload.consumerPerSubscription=10 --set workload.messageSize=100B"
        " --rate 10k --warmup 5s --duration 20s",
        group_latency,
        group_latency_told,
        "The source read up to 10,000 messages at a time by unhurried programs in Ruby, and tells neither version nor"
        " machine; here messages are read as they come. Its times are whole milliseconds of two clocks' readings.",
    ),
    "pending": Claim(
        "Millions of unacknowledged messages do not matter",
        '"Adding a few million unacknowledged messages to the stream does not change the gist of the benchmark".',
        f"{REDIS_DOCS}/develop/data-types/streams/#latency-tests-results",
        "make study-claims CLAIMS_ARGS='--only pending'",
        pending_cost,
        pending_told,
        "Time alone: each pending entry takes memory, and a consumer that starts again reads them all (XREADGROUP with"
        " an id, XAUTOCLAIM), which this does not measure.",
    ),
    "length": Claim(
        "XADD is O(1)",
        'XADD: "O(1) when adding a new entry", however long the stream is.',
        f"{REDIS_DOCS}/commands/xadd/",
        "make study-claims CLAIMS_ARGS='--only length'",
        length_cost,
        length_told,
        "1 KiB entries, and streams that fit into memory. A rewrite of the append-only file or a snapshot of a long"
        " stream forks the server, which is no part of XADD.",
    ),
    "trimming": Claim(
        "MAXLEN ~ is much cheaper than MAXLEN =",
        'Of `~`: "the trimming is performed only when we can remove a whole node. This makes it much more efficient".',
        f"{REDIS_DOCS}/develop/data-types/streams/#capped-streams",
        "make study-claims CLAIMS_ARGS='--only trimming'",
        trim_cost,
        trim_told,
        "100 B entries, 10,000 kept, one entry out for each that comes in. What is compared is what each form adds to"
        " an XADD that trims nothing.",
    ),
    "groups": Claim(
        "What waits for a message costs its XADD O(N)",
        'XREAD: "XADD will pay the O(N) time in order to serve the N clients blocked on the stream".',
        f"{REDIS_DOCS}/commands/xread/",
        "ombdriver run 1kb-low-rate --sweep workload.subscriptionsPerTopic=1,3,10,30 --rate 500"
        " --warmup 3s --duration 10s",
        group_cost,
        group_cost_told,
        "All that a message costs the server is counted: reading commands, replies and acknowledgements too. Groups are"
        " read by XREADGROUP with BLOCK.",
    ),
    "fsync": Claim(
        "appendfsync always is very, very slow",
        '"`fsync` every time new commands are appended to the AOF. Very very slow, very safe."',
        f"{REDIS_DOCS}/operate/oss_and_stack/management/persistence/",
        "ombdriver run 1kb-3groups --setup valkey-no-persistence --setup valkey-aof-always --repeats 3 --warmup 3s"
        " --duration 10s",
        fsync_cost,
        fsync_told,
        '"Very very slow" has no number; ten times is taken for it. The disk is a virtual one. Messages that come'
        " while an fsync is under way share the next one, so at higher rates it costs each of them less. Three runs of"
        " each: a ratio, no claim of a comparison; [the study of durability](durability.md) has ten.",
    ),
    "memory": Claim(
        "A stream takes 13 times less memory than a sorted set with hashes",
        'One million matches of two players: "Sorted Set + Hash memory usage = 220 MB", "Stream memory usage ='
        ' 16.8 MB".',
        "http://antirez.com/news/128",
        "make study-claims CLAIMS_ARGS='--only memory'",
        memory_of_matches,
        memory_told,
        f"{MATCHES:,} matches with small numbers, the server's `used_memory` before and after. Entries whose fields"
        " differ from one to the next gain less.",
    ),
}


def judged(claim: Claim, figures: Figures) -> tuple[str, str]:
    """Its figures in a sentence, and whether it holds; runs of which none is VALID tell of this machine alone."""
    text, verdict = claim.told(figures)
    return text, UNKNOWN if figures.get("runs") and not figures["validRuns"] else verdict


def render(figures: Mapping[str, Mapping[str, float | str]]) -> str:
    """The part of the page that the figures make; as Markdown. A claim that was not measured is said to be so."""
    lines = ["| claim | verdict |", "|---|---|"]
    parts: list[str] = []
    for name, claim in CLAIMS.items():
        measured = figures.get(name)
        if measured is None:
            text, verdict = "Not yet.", "is not measured"
        else:
            text, verdict = judged(claim, {key: each for key, each in measured.items() if not isinstance(each, str)})
            text = f"{text} {measured['machine']}"
        lines.append(f"| {claim.title} | {verdict} |")
        parts += [
            f"## {claim.title}",
            "",
            f"**Said.** {claim.says} [Source]({claim.address})",
            "",
            f"    {claim.command}",
            "",
            f"**Measured.** {text}",
            f"So it **{verdict}**.",
            "",
            f"**Limits.** {claim.limits}",
            "",
        ]
    return "\n".join([*lines, "", *parts[:-1]]) + "\n"


async def measure(
    names: Sequence[str], figures: Mapping[str, Mapping[str, float | str]]
) -> dict[str, Mapping[str, float | str]]:
    """The figures with those of these claims made anew."""
    found = dict(figures)
    server = await _server()
    for name in names:
        sys.stdout.write(f"{name}: {CLAIMS[name].command}\n")
        sys.stdout.flush()
        measured = await CLAIMS[name].measure(CLAIMS[name].command)
        found[name] = {**measured, "machine": page.machine(server)}
    return found


async def _server() -> str:
    async with Server() as client:
        told = await client.info("server")
    return f"Valkey {told['valkey_version']}" if "valkey_version" in told else f"Redis {told['redis_version']}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the claims, keeps their figures, and makes the page's part of them."""
    parser = argparse.ArgumentParser(prog="make study-claims", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--only", action="append", choices=CLAIMS, metavar="NAME", help=f"one of {', '.join(CLAIMS)}; repeatable"
    )
    parser.add_argument(
        "--render", action="store_true", help="measure nothing, and make the page of the figures that there are"
    )
    parser.add_argument("--page", type=Path, default=PAGE, metavar="PAGE", help="where the text goes")
    parser.add_argument("--data", type=Path, default=DATA, metavar="FILE", help="where the figures are kept")
    options = parser.parse_args(arguments)
    around(options.page, COMMAND)  # rather than after all runs
    figures = page.load(options.data)
    for name in [] if options.render else options.only or list(CLAIMS):
        figures = asyncio.run(measure([name], figures))  # kept one by one: an end in between loses one
        page.save(options.data, figures)
    text = render(figures)
    sys.stdout.write(text)
    put_into(options.page, COMMAND, text)


if __name__ == "__main__":
    main()
