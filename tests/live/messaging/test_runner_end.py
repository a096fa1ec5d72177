"""How a runner ends: told to, by signals, by cancellation, by a kill; nothing is lost, and little comes twice."""

import asyncio
import gc
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio
from pending import STREAM, abandon, deliver, holds, idle_ms
from proxy import CHUNK, Link, Proxy
from running import met, running, send, settled
from topologies import until

from ombdriver import MessagingError, MQClient
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.topics.consumer import session
from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.runner.retry import RetryPolicy

WORKER = Path(__file__).parent / "programs" / "worker.py"


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[MQClient]:
    """A client of the server."""
    async with MQClient(redis_url=server_url) as made:
        yield made


class Worker:
    """A runner in a process of its own.

    Attributes:
        seen: what it has begun.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.seen: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.seen.append(line.decode().strip())

    async def ended(self) -> int:
        """Waits for its end, and gives its exit code."""
        code = await self.process.wait()
        await self._reading
        return code


@asynccontextmanager
async def worker(
    url: str,
    concurrency: int = 8,
    visibility_ms: int = 1_000,
    drain_s: float = 30,
    name: str = "",
    ordering: str = "none",
) -> AsyncIterator[Worker]:
    """A worker; killed at the end if it is there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(WORKER),
        url,
        str(concurrency),
        str(visibility_ms),
        str(drain_s),
        name,
        ordering,
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    made = Worker(process)
    try:
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await made.ended()


# -- killed ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordering", ["none", "key"])
@pytest.mark.parametrize("name", ["", "lasting"])
async def test_a_handler_that_kills_its_process_is_caught(
    client: MQClient, raw: redis.asyncio.Redis, server_url: str, name: str, ordering: str
) -> None:
    """By the server's count: after three deaths it is a dead letter, and it takes nobody else along.

    Whether a member that comes after reclaims what was left, or one of the same name goes on with it; whatever the key.
    """
    for value in (*(f"sleep {n}" for n in range(20)), "kill", *(f"sleep {n}" for n in range(20, 40))):
        await send(raw, value, key=value)
    letters = client.dead_letters("t")
    seen: list[str] = []
    deaths = 0
    while not await letters.count():
        async with worker(server_url, name=name, ordering=ordering) as one:
            ended = asyncio.create_task(one.ended())
            moved = asyncio.create_task(until(lambda: _any(letters.count)))
            await asyncio.wait([ended, moved], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                assert ended.result() == -signal.SIGKILL
                deaths += 1
                moved.cancel()
            else:
                await until(lambda: settled(raw))
        seen += one.seen

    assert deaths == 3
    (letter,) = await letters.read()
    assert (letter.record.value, letter.deliveries) == (b"kill", 3)
    assert "died" in letter.error
    assert {f"sleep {n}" for n in range(40)} | {"kill"} == set(seen)


async def _any(ask: Callable[[], object]) -> bool:
    return bool(await ask())  # type: ignore[misc]


async def test_after_a_kill_everything_is_handled_and_little_twice(
    client: MQClient, raw: redis.asyncio.Redis, server_url: str
) -> None:
    """Twice comes what was being handled, and what was handled and not acknowledged yet: some milliseconds of it."""
    values = [f"sleep {n}" for n in range(400)]
    await send(raw, *values)
    async with worker(server_url, concurrency=8) as one:
        await until(lambda: met(len(one.seen) >= 100))
        one.process.kill()
        await one.ended()
    seen = list(one.seen)

    async def handle(message: Message[bytes]) -> None:
        seen.append(message.value.decode())

    async with running(client, handle, visibility_timeout_ms=1_000):
        await until(lambda: settled(raw))

    counts = Counter(seen)
    assert set(counts) == set(values)
    assert max(counts.values()) == 2
    assert sum(counts.values()) - len(values) <= 8 * 3


# -- signals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_handlers_end_and_gives_back_the_rest(
    raw: redis.asyncio.Redis, server_url: str, number: signal.Signals
) -> None:
    """What had not begun is anybody's at once, with no delivery counted; the process ends well."""
    ids = await send(raw, *(f"wait {n}" for n in range(10)))
    async with worker(server_url, concurrency=2, visibility_ms=30_000) as one:
        await until(lambda: met(len(one.seen) == 2))
        await until(lambda: _counts_are(raw, dict.fromkeys(ids, 1)))
        one.process.send_signal(number)
        await until(lambda: _counts_are(raw, {**dict.fromkeys(ids[:2], 1), **dict.fromkeys(ids[2:], 0)}))
        assert min([await idle_ms(raw, each) for each in ids[2:]]) >= 30_000
        await raw.rpush("go", 1, 1)
        assert await one.ended() == 0

    assert len(one.seen) == 2
    assert list(await holds(raw)) == ids[2:]


async def _counts_are(raw: redis.asyncio.Redis, expected: dict[bytes, int]) -> bool:
    return {each: count for each, (_, count) in (await holds(raw)).items()} == expected


async def test_a_second_signal_ends_it_at_once(raw: redis.asyncio.Redis, server_url: str) -> None:
    """The handler is cancelled, and its message stays pending, for others to take at once."""
    (entry,) = await send(raw, "wait")
    async with worker(server_url, visibility_ms=30_000) as one:
        await until(lambda: met(len(one.seen) == 1))
        (behind,) = await send(raw, "wait")  # given to it, or not: its drain has begun when it is there no more
        one.process.send_signal(signal.SIGTERM)
        one.process.send_signal(signal.SIGTERM)
        os.kill(one.process.pid, signal.SIGINT)
        assert await one.ended() == 0

    assert (await holds(raw))[entry][1] == 1
    assert await idle_ms(raw, entry) >= 30_000
    assert behind > entry


async def test_handlers_have_a_limited_time_to_end(raw: redis.asyncio.Redis, server_url: str) -> None:
    """`drain_timeout_s`; then they are cancelled."""
    (entry,) = await send(raw, "wait")
    async with worker(server_url, visibility_ms=30_000, drain_s=0.2) as one:
        await until(lambda: met(len(one.seen) == 1))
        one.process.send_signal(signal.SIGTERM)
        assert await one.ended() == 0

    assert (await holds(raw))[entry][1] == 1


async def test_signal_handlers_are_as_before_when_it_has_run(client: MQClient) -> None:
    """A program's own come back."""
    orders: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: orders.append(number))
    try:
        runner = client.runner("t", "g", block_ms=50)

        @runner.handler
        async def handle(message: Message[bytes]) -> None: ...

        task = asyncio.create_task(runner.run())
        await until(lambda: met(runner._parts is not None))
        os.kill(os.getpid(), signal.SIGTERM)
        await task
        assert orders == []
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: met(orders == [signal.SIGTERM]))
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_signal_stops_every_runner_of_the_process(client: MQClient) -> None:
    """One order for all, whichever began first; then the program's own handlers are back, those of the loop too."""
    orders: list[str] = []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, orders.append, "the program's")
    try:
        runners = [client.runner(topic, "g", block_ms=50) for topic in ("t", "u", "v")]
        for runner in runners:
            runner.handler(_nothing)
        tasks = [asyncio.create_task(runner.run()) for runner in runners]
        await until(lambda: met(all(runner._parts is not None for runner in runners)))
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.gather(*tasks)
        orders.clear()
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: met(orders == ["the program's"]))
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _nothing(message: Message[bytes]) -> None:
    """Handles a message without doing anything."""


# -- beside a program -------------------------------------------------------------------------------------------------


async def test_a_runner_beside_a_program_leaves_signals_alone(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """As in a web application, whose server has its own; it begins with the block, and ends with it."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    handled: list[bytes] = []

    async def handle(message: Message[bytes]) -> None:
        handled.append(message.value)

    await send(raw, 1, 2)
    async with client.runner("t", "g", handler=handle) as runner:
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
        await until(lambda: met(len(handled) == 2))
        with pytest.raises(MessagingError, match="runs once"):
            await runner.run()
    assert await settled(raw)
    assert await raw.xinfo_consumers(STREAM, "g") == []
    assert runner.statistics().handled == 2


async def test_to_leave_the_block_lets_handlers_end_unless_it_is_cancelled(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """As `stop` and a second signal do; whatever the block raises goes on."""
    begun, go_on, ended = asyncio.Semaphore(0), asyncio.Event(), list[str]()

    async def handle(message: Message[bytes]) -> None:
        begun.release()
        try:
            await go_on.wait()
            ended.append("well")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def block() -> None:
        async with client.runner("t", "g", handler=handle, block_ms=50):
            await begun.acquire()
            raise KeyError("the block's own")

    await send(raw, 1)
    left = asyncio.create_task(block())
    await begun.acquire()
    begun.release()
    go_on.set()
    with pytest.raises(KeyError, match="the block's own"):
        await left

    go_on.clear()
    await send(raw, 2)
    leaving = asyncio.create_task(block())
    await begun.acquire()
    begun.release()
    runner_task = next(task for task in asyncio.all_tasks() if "_run_on" in repr(task.get_coro()))
    while not leaving.done():
        leaving.cancel()
        await asyncio.wait([leaving], timeout=0.05)
    assert runner_task.done()
    assert ended == ["well", "cancelled"]


async def test_what_can_not_begin_is_told_at_the_beginning(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """No handler, no server, a key that is no stream; and nothing is left running."""

    async def handle(message: Message[bytes]) -> None: ...

    with pytest.raises(MessagingError, match="no handler; decorate one"):
        await client.runner("t", "g").__aenter__()
    await raw.set("{t:0}", "no stream")
    with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
        await client.runner("t", "g", handler=handle).__aenter__()
    async with MQClient("redis://127.0.0.1:1") as nowhere:
        with pytest.raises(redis.exceptions.ConnectionError):
            await nowhere.runner("t", "g", handler=handle).__aenter__()


async def test_a_runner_that_ends_by_itself_is_told_of(
    client: MQClient, raw: redis.asyncio.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """At once in the log and by `check_health`; and it is raised where the block is left."""

    async def handle(message: Message[bytes]) -> None:
        raise ValueError("so that the policy is asked")

    def backoff(deliveries: int) -> float:
        raise ZeroDivisionError("a fault of the policy")

    await send(raw, 1)
    runner = client.runner("t", "g", handler=handle, retry=RetryPolicy(backoff=backoff))
    await runner.__aenter__()
    await until(lambda: met("has ended: ZeroDivisionError" in caplog.text))
    with pytest.raises(MessagingError, match="has ended"):
        await client.check_health()
    with pytest.raises(ZeroDivisionError):
        await runner.__aexit__(None, None, None)
    assert await client.check_health()


# -- stopped while messages come ---------------------------------------------------------------------------------------


class HoldingProxy(Proxy):
    """Holds up what a runner sends from the first command on that has a word in it.

    Attributes:
        word: what to wait for; nothing is held without.
        met: set when it has come.
        go_on: set to let it go on.
    """

    def __init__(self, server_url: str, word: bytes) -> None:
        super().__init__(server_url)
        self.word = word
        self.met, self.go_on = asyncio.Event(), asyncio.Event()

    async def requests(self, link: Link) -> None:
        """Hands them on, but for those that are held."""
        while data := await link.near_reader.read(CHUNK):
            if self.word in data and not self.met.is_set():
                self.met.set()
                await self.go_on.wait()
            link.far_writer.write(data)
            await link.far_writer.drain()


@pytest.mark.parametrize("word", [b"XPENDING", b"RETRYCOUNT", b"XREADGROUP"])
async def test_after_the_order_to_stop_no_handler_begins(
    raw: redis.asyncio.Redis, server_url: str, word: bytes
) -> None:
    """Whatever is under way just then: looking at what is pending, counting a delivery, reading. Nothing is counted."""
    begun: list[str] = []

    async def handle(message: Message[bytes]) -> None:
        begun.append(message.id)

    await raw.script_flush()  # so that the text of each script is sent, and found
    old = await deliver(raw, 3, "one")
    await abandon(raw, old, "one", idle_ms=0)
    await send(raw, *range(3))
    async with HoldingProxy(server_url, word) as proxy, MQClient(redis_url=proxy.url) as through:
        runner = through.runner("t", "g", "one", visibility_timeout_ms=60_000, concurrency=8)
        runner.handler(handle)
        task = asyncio.create_task(runner.run(signals=False))
        await proxy.met.wait()
        already = set(begun)
        runner.stop()
        asyncio.get_running_loop().call_later(0.2, proxy.go_on.set)
        await task

    assert set(begun) <= already
    counts = {entry: count for entry, (_, count) in (await holds(raw)).items() if entry.decode() not in begun}
    assert counts == {entry: int(entry in old) for entry in counts}


# -- cancelled ---------------------------------------------------------------------------------------------------------


async def test_a_runner_that_is_cancelled_leaves_its_messages_pending(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """Its handlers are cancelled; CancelledError comes out; others can take the messages at once."""
    cancelled: list[bytes] = []
    begun = asyncio.Semaphore(0)

    async def handle(message: Message[bytes]) -> None:
        begun.release()
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            cancelled.append(message._entry_id)
            raise

    ids = await send(raw, *range(5))
    runner = client.runner("t", "g", block_ms=50, concurrency=2)
    runner.handler(handle)
    task = asyncio.create_task(runner.run(signals=False))
    for _ in range(2):
        await begun.acquire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert set(cancelled) == set(ids[:2])
    assert {count for _, count in list((await holds(raw)).values())[:2]} == {1}
    assert min([await idle_ms(raw, each) for each in await holds(raw)]) >= 30_000


async def test_a_handler_in_which_something_was_cancelled_has_failed(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """Nobody has cancelled the runner: it goes on, and the message comes again."""
    counts: list[int] = []

    async def handle(message: Message[bytes]) -> None:
        counts.append(message.delivery_count)
        if message.delivery_count == 1:
            task = asyncio.ensure_future(asyncio.sleep(3_600))
            task.cancel()
            await task

    await send(raw, 1)
    async with running(client, handle, concurrency=1):
        await until(lambda: settled(raw))

    assert counts == [1, 2]


async def test_whenever_it_is_cancelled_nothing_is_lost(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """At many moments, one after the other, with failing handlers: each message ends well in the end."""
    seen: set[bytes] = set()

    async def handle(message: Message[bytes]) -> None:
        await asyncio.sleep(0)
        if message._entry_id[-1] % 3 == message.delivery_count % 3:
            raise ValueError("again")
        seen.add(message.value)

    await send(raw, *range(300))
    for turns in range(0, 240, 8):
        runner = client.runner(
            "t",
            "g",
            block_ms=50,
            concurrency=4,
            retry=RetryPolicy(None, backoff=lambda _: 0),
            visibility_timeout_ms=1_000,
        )
        runner.handler(handle)
        task = asyncio.create_task(runner.run(signals=False))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    async with running(client, handle, retry=RetryPolicy(None, backoff=lambda _: 0), visibility_timeout_ms=1_000):
        await until(lambda: settled(raw))

    assert seen == {b"%d" % n for n in range(300)}
    assert await client.dead_letters("t").count() == 0
    assert await raw.xlen(STREAM) == 300


async def test_a_run_that_is_cancelled_while_it_ends_leaves_no_task(client: MQClient, raw: redis.asyncio.Redis) -> None:
    """A handler holds its end up, and is cancelled with it once more."""
    before, ending, let_go = asyncio.all_tasks(), asyncio.Event(), asyncio.Event()

    async def handle(_: Message[bytes]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await let_go.wait()

    await send(raw, "v")
    runner = client.runner("t", "g", block_ms=50)
    runner.handler(handle)
    run = asyncio.create_task(runner.run(signals=False))
    await until(lambda: met(runner.statistics().running == 1))
    run.cancel()
    await ending.wait()
    run.cancel()
    await asyncio.wait([run])
    let_go.set()
    await client.aclose()
    await until(lambda: met(not asyncio.all_tasks() - before))


async def test_a_client_that_is_closed_leaves_no_error_of_a_runner_unasked_for(
    client: MQClient, raw: redis.asyncio.Redis
) -> None:
    """However many of its tasks met it: asyncio would tell each that nobody has asked for."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    closed = asyncio.Event()

    async def handle(message: Message[bytes]) -> None:
        await closed.wait()
        await message.in_progress()

    async def run_and_close() -> None:
        runner = client.runner("t", "g", block_ms=50, retry=RetryPolicy(1))
        runner.handler(handle)
        run = asyncio.create_task(runner.run(signals=False))
        await until(lambda: met(runner.statistics().running == 8))
        closing = asyncio.create_task(client.aclose())
        closed.set()
        await asyncio.wait([run, closing])
        assert isinstance(run.exception(), ClosedError)

    await send(raw, *range(8))
    await run_and_close()
    gc.collect()
    await asyncio.sleep(0)
    assert told == []


@pytest.mark.parametrize("ordering", ["none", "key"])
async def test_a_runner_whose_server_hangs_ends_in_its_time(
    engine: str, monkeypatch: pytest.MonkeyPatch, ordering: str
) -> None:
    """All that it tells the server at its end shares the time that a consumer's closing has; handlers have theirs."""
    monkeypatch.setattr(session, "CLOSE_S", 0.5)
    ended, go_on = 0, asyncio.Event()

    async def handle(_: Message[bytes]) -> None:
        nonlocal ended
        await go_on.wait()
        await asyncio.sleep(0.6)  # longer than the server has, and in the handlers' time
        ended += 1

    async with (
        await PrivateServer.start(engine) as server,
        redis.asyncio.Redis.from_url(server.url) as raw,
        MQClient(redis_url=server.url) as client,
    ):
        await send(raw, *range(40))
        runner = client.runner("t", "g", ordering=ordering, concurrency=4, block_ms=50)  # type: ignore[arg-type]
        runner.handler(handle)
        run = asyncio.create_task(runner.run(signals=False))
        await until(lambda: met(runner.statistics().running == 4))
        os.kill(server.pid, signal.SIGSTOP)
        try:
            runner.stop()
            go_on.set()
            async with asyncio.timeout(5):
                await run
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert ended == 4
