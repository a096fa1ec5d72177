"""Carries a plan out on real servers, then ends everything and judges what the account holds."""

import asyncio
import contextlib
import contextvars
import gc
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

from ombdriver import BufferFullError, MQClient, OutcomeUnknownError, Producer
from ombdriver.messaging.errors import MessagingError
from ombdriver.messaging.topics.consumer import leases
from ombdriver.messaging.topics.consumer.fetcher import BlockingFetch
from ombdriver.messaging.topics.recovery.janitor import Janitor
from tests.faults.account import NOT_STORED, STORED, UNKNOWN, Account, End, Fault, Letter, Place
from tests.faults.cast import (
    GROUPS,
    KEYED,
    LARGE,
    POOL,
    READER,
    STREAM,
    TOPIC,
    WATCHER,
    Cast,
    Member,
    ReaderMember,
    RunnerMember,
    Senders,
    StreamMember,
    UnexpectedError,
    Watcher,
    place_of,
)
from tests.faults.plan import Plan, Step
from tests.faults.servers import Cluster, Servers, Standalone, Watched, servers, until

DRAIN_S = 60.0
"""How long it may take, after the last fault, until everything is handled; a loss is noticed after 10 s."""
TRICKLE_S = (0.0, 0.01, 0.02, 0.2)
"""Between two messages that are sent whatever happens: some come together, some after a silence."""
LEAST = 10
"""So many messages are stored in any course."""
LONGEST_STEP_S = 120.0
SLOW_S = 1.0
"""What takes a fifth of that takes so long only where the machine is busy."""
CLOSE_S = 45.0
"""How long it may take to end any one of those who take part."""
STREAMS = TOPIC.keys
SET_ASIDE = ("postponed", "redriven")
"""For these, entries are pending that wait for a time, or for the next sweep: no member has them."""
FALTERS: Mapping[str, tuple[object, str]] = {
    "renew": (leases, "renew"),
    "look": (Janitor, "look"),
    "read": (BlockingFetch, "send"),
}
"""What members do in the background, and a part of it that can be made to fail."""
COUNTING = str(leases._UPDATE.words(by_text=False)[1]).encode()
"""In the command that has the server count a handling."""
NARROW_BLOCK_MS = 3_000
"""So long a message waits for space that others have for 1 s at most."""
SHOWN = 12
"""So many entries of a kind are shown at most."""
QUIET_S, QUIET_TRIES = 1.5, 6
"""A while in which nobody asks Sentinels for a master that is well."""


class Course:
    """One course. `run` it once.

    Args:
        plan: what happens.

    Attributes:
        account: what was seen.
        state: of servers and members, for people, when not everything came to its end in time.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._chance = random.Random(f"carry out {plan.seed}")
        self.account = Account(
            GROUPS,
            (WATCHER,),
            runners=frozenset({KEYED, POOL}),
            ordered=frozenset({KEYED}),
            may_lose_writes=plan.topology == "sentinel",
            may_miscount=plan.may_miscount,
            counts_exactly=plan.counts_exactly,
            loses_connections=plan.loses_connections,
        )
        may_trim = not plan.trimmer and not any(step.do == "destroy" for step in plan.steps)
        self._cast = Cast(self.account, plan.far, self._trim_stream if may_trim else None, self._on_death)
        self.state: list[str] = []
        self._members: dict[str, Member] = {}
        self._over: list[Member] = []
        self._destroyed: list[tuple[str, Place, Member | None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._changing = asyncio.Lock()
        self._servers: Servers
        self._senders: Senders

    async def run(self) -> list[Fault]:
        """Everything; what was wrong."""
        loop, account, others = asyncio.get_running_loop(), self.account, asyncio.all_tasks()
        loop.set_exception_handler(lambda _, context: account.add("left", f"the event loop was told: {_told(context)}"))
        before = signal.signal(signal.SIGTERM, _own_handler)
        try:
            end = await self._carry_out()
            if (stored := sum(sent.told == STORED for sent in account.sent.values())) < LEAST:
                account.add("settled", f"only {stored} messages were stored: the course proves nothing")
        finally:
            if signal.getsignal(signal.SIGTERM) is not _own_handler:
                account.add("ended", "the program's own handler of SIGTERM is gone")
            signal.signal(signal.SIGTERM, before)
        gc.collect()  # an error that nobody has asked for is told when its future goes
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - others:
            account.add("left", f"a task is left: {task.get_coro()}")
        return self.account.faults(end)

    async def _carry_out(self) -> End:
        async with contextlib.AsyncExitStack() as stack:
            self._servers = await stack.enter_async_context(servers(self.plan))
            for stream in STREAMS:
                for group in GROUPS:
                    await self._servers.eyes.xgroup_create(stream, group, "0", mkstream=True)
            self._senders = await Senders.open(self.account, self.plan.keeps_sending, self._servers.senders_url, stack)
            client = await stack.enter_async_context(MQClient(redis_url=self._servers.members_url))
            for group in GROUPS:
                await self._start(group)
            self._watcher = Watcher(self.account, self._servers.members_url)
            await self._watcher.start()
            async with contextlib.AsyncExitStack() as trimming:
                if self.plan.trimmer:
                    bound = 10 if self.plan.trimmer == "bounded" else None
                    await trimming.enter_async_context(
                        client.keep_trimmed(STREAMS, every_s=0.1, maxlen=bound, approximate=False, dead_after_s=1.5)
                    )
                trickle = asyncio.create_task(self._trickle())
                for step in self.plan.steps:
                    # Once more where the eyes are refused, as while a script runs.
                    await until(lambda step=step: _done(getattr(self, f"_{step.do}")(step)), LONGEST_STEP_S)
                    await asyncio.sleep(step.then_s)  # the course of events itself
                    self._senders.look()
                await self._heal()
                trickle.cancel()
                await asyncio.wait([trickle])
                await self._drain()
                await self._stay_quiet()
            await self._end_all()
            self._senders.look()
            return await self._look()

    # -- who takes part --------------------------------------------------------------------------------------------

    async def _start(self, seat: str) -> None:
        """Seats a member: the first of a group on the seat of its name, another one on a second seat."""
        group = seat.partition(" ")[0]
        name = None if seat != group or (group == POOL and not self.plan.named) else f"{group}-1"
        url = self._servers.members_url
        member: Member
        if group == STREAM:
            member = StreamMember(self._cast, url, f"{group}-1")
        elif group == READER:
            member = ReaderMember(self._cast, url, name)
        else:
            member = RunnerMember(self._cast, url, group, name, signals=self.plan.signal)
        self._members[seat] = member
        try:
            await member.start()
        except RedisError:  # a fault is on: a program would be started again
            self._over.append(member)
            await member.client.aclose()
            await asyncio.sleep(0.1)
            await self._start(seat)

    async def _replace(self, seat: str, end: Callable[[Member], Awaitable[None]], after_s: float = 0.0) -> None:
        async with self._changing:
            member = self._members[seat]
            self._over.append(member)
            await self._within(end(member), f"to end {member}")
            await asyncio.sleep(after_s)
            await self._start(seat)

    def _on_death(self, member: Member) -> None:
        """A message kills a member, which is started again."""
        for seat, each in self._members.items():
            if each is member and not member.is_over:
                self.account.deaths[member.group] += 1
                self._background(self._replace_dead(seat, member))

    async def _replace_dead(self, seat: str, dead: Member) -> None:
        if self._members[seat] is dead and not dead.is_over:
            await self._replace(seat, lambda member: member.die())

    def _background(self, work: Awaitable[Any]) -> None:
        # In a context of its own: a handler that ends its process leaves nothing to the next one.
        task = asyncio.get_running_loop().create_task(_awaited(work), context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _within(self, work: Awaitable[Any], what: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await work
        except TimeoutError:
            self.account.add("ended", f"it took more than {CLOSE_S:g} s {what}")

    def _seat(self, which: str) -> str:
        return self._chance.choice(GROUPS) if which == "any" else which

    def _for(self, seconds: float, heal: Callable[[], Awaitable[Any]]) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            await until(lambda: _done(heal()))

        self._background(later())

    async def _heal(self, _: Step | None = None) -> None:
        """Waits until what was done for a time is over."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _trickle(self) -> None:
        """Messages without end, so that whatever happens meets some."""
        chance = random.Random(f"trickle {self.plan.seed}")
        while True:
            await self._senders.send("ok")
            with self._in_time():
                await asyncio.sleep(chance.choice(TRICKLE_S))

    @contextlib.contextmanager
    def _in_time(self) -> Iterator[None]:
        """Notes if what takes a moment takes so long that this machine must be busy."""
        start = time.monotonic()
        yield
        self.account.was_slow |= time.monotonic() - start > SLOW_S

    # -- what happens: a method for each `Step.do` -----------------------------------------------------------------

    async def _send(self, step: Step) -> None:
        special = {"": 0, "kills": 1, "large": step.count}.get(step.which, -(-step.count // 6))
        places = set(self._chance.sample(range(step.count), special))
        for at in range(step.count):
            await self._senders.send(step.which if at in places else "ok", step.by)

    async def _later(self, step: Step) -> None:
        async with MQClient(redis_url=self._servers.senders_url) as client:
            delayed = client.delayed(TOPIC)
            for _ in range(step.count):
                number = self.account.offer("ok", once=False)
                value = b'{"n": %d, "kind": "ok"}' % number
                try:
                    await delayed.send(value, 0.3, key=f"later-{number % 2}")
                except RedisError:
                    self.account.tell(number, UNKNOWN)
                else:
                    self.account.tell(number, STORED)

    async def _cut(self, _: Step) -> None:
        await self._one.cut()

    async def _lose(self, step: Step) -> None:
        for _ in range(max(1, step.count)):
            if step.which == "counts":
                self._one.members.lose_answer(COUNTING)
            else:
                self._proxy(step.which).lose(reads=step.which == "read")

    async def _halve(self, step: Step) -> None:
        self._proxy(step.which).halve(reads=step.which == "read")

    async def _swallow(self, step: Step) -> None:
        self._proxy(step.which).swallow(reads=step.which == "read")

    async def _hang(self, step: Step) -> None:
        self._servers.stop()

        async def heal() -> None:
            self._servers.go_on()
            if isinstance(self._servers, Watched):
                await self._servers.find_master()

        self._for(step.for_s, heal)

    async def _busy(self, step: Step) -> None:
        self._background(self._one.occupy(step.for_s))

    async def _full(self, step: Step) -> None:
        if step.which:
            self._one.senders.lose(reads=False, then=self._one.fill)
        else:
            await self._one.fill()
        self._for(step.for_s, self._one.empty)

    async def _lonely(self, step: Step) -> None:
        await self._one.ask_for_replicas(1)
        self._for(step.for_s, lambda: self._one.ask_for_replicas(0))

    async def _squeeze(self, step: Step) -> None:
        await self._one.bound_replies(4 * LARGE)
        self._for(step.for_s, lambda: self._one.bound_replies(0))

    async def _refuse(self, step: Step) -> None:
        await self._one.refuse(step.which)
        self._for(step.for_s, self._one.permit)

    async def _trim(self, step: Step) -> None:
        for stream in STREAMS:
            await self._trim_stream(stream, step.count)

    async def _trim_stream(self, stream: str, keep: int = 0) -> None:
        ids, pending = await self._servers.trim(stream, keep)
        by_group = {group: [Place.of(stream, each) for each in mine] for group, mine in pending.items()}
        self.account.remove([Place.of(stream, each) for each in ids], by_group)

    async def _destroy(self, step: Step) -> None:
        group = self._seat(step.which)
        async with self._changing:
            by_name = {member.called: member for member in self._members.values() if member.group == group}
            for stream in STREAMS:
                self.account.destroy(group)  # as soon as it is, its members make it again, and are given all anew
                rows = await self._servers.destroy(stream, group)
                self._destroyed += [
                    (group, Place.of(stream, each), by_name.get(name)) for each, name in rows if name not in SET_ASIDE
                ]
        self.account.destroy(group)

    async def _redrive(self, step: Step) -> None:
        async with MQClient(redis_url=self._servers.members_url) as client:
            letters = await self._letters()
            self.account.redrive(step.which, letters)
            with contextlib.suppress(RedisError):
                await client.dead_letters(TOPIC).redrive(step.which)

    async def _kill(self, step: Step) -> None:
        seat = self._seat(step.which)
        self.account.deaths[seat] += 1
        await self._replace(seat, lambda member: member.die(), step.for_s)

    async def _cancel(self, step: Step) -> None:
        self.account.deaths[step.which] += 1
        await self._replace(step.which, lambda member: member.cancel())

    async def _stop(self, step: Step) -> None:
        await self._replace(step.which, lambda member: member.stop())

    async def _join(self, step: Step) -> None:
        await self._start(f"{step.which} 2")

    async def _leave(self, step: Step) -> None:
        async with self._changing:
            member = self._members.pop(f"{step.which} 2")
            self._over.append(member)
            await self._within(member.stop(), f"to end {member}")

    async def _pause(self, step: Step) -> None:
        reader = self._members[READER]
        assert isinstance(reader, ReaderMember)
        reader.consumer.pause()

        async def resume() -> None:
            reader.consumer.resume()

        self._for(step.for_s, resume)

    async def _stall(self, step: Step) -> None:
        time.sleep(step.for_s)  # noqa: ASYNC251 - the event loop stands still

    async def _failover(self, _: Step) -> None:
        assert isinstance(self._servers, Watched)
        await self._servers.fail_over()

    async def _move(self, step: Step) -> None:
        assert isinstance(self._servers, Cluster)
        move = self._servers.move(self._chance.choice(STREAMS), step.for_s)
        if step.for_s:
            self._background(move)
        else:
            with self._in_time():
                await move

    async def _newcomer(self, step: Step) -> None:
        """A producer that the servers have not met sends to each partition."""
        async with contextlib.AsyncExitStack() as stack:
            senders = await Senders.open(self.account, self.plan.keeps_sending, self._servers.senders_url, stack)
            for at in range(step.count):
                await senders.send("ok", "idempotent", partition=at % TOPIC.partitions)
            await senders.close()

    async def _narrow(self, step: Step) -> None:
        """A primary hangs that has all of a producer's space; what goes to another one finds some in time."""
        async with MQClient(redis_url=self._servers.senders_url) as client:
            producer = client.producer(
                TOPIC, buffer_messages=step.count, delivery_timeout_ms=1_000, max_block_ms=NARROW_BLOCK_MS
            )
            with contextlib.suppress(RedisError):  # another fault is on, and it can't connect
                await producer.start()
                await self._hang(step)
                await self._send_narrow(producer, step.count, partition=0)
                for _ in range(3):
                    await self._send_narrow(producer, 1, partition=1)
                await producer.close()

    async def _send_narrow(self, producer: Producer[bytes], count: int, partition: int) -> None:
        numbers = [self.account.offer("ok", once=True) for _ in range(count)]
        try:
            futures = await producer.send_batch(
                [b'{"n": %d, "kind": "ok"}' % number for number in numbers], partition=partition
            )
        except BufferFullError as error:
            for number in numbers:
                self.account.tell(number, NOT_STORED)
            self.account.add("full", f"message {numbers[0]} found no space, though each has 1 s: {error}")
            return
        for number, future in zip(numbers, futures, strict=True):
            future.add_done_callback(lambda done, number=number: self._tell(number, done))

    def _tell(self, number: int, done: asyncio.Future[Any]) -> None:
        error = done.exception()
        told = STORED if error is None else UNKNOWN if isinstance(error, OutcomeUnknownError) else NOT_STORED
        self.account.tell(number, told, why=error or "")

    async def _hasty(self, step: Step) -> None:
        """Clients are closed while they connect: whoever asks something of them is told so, and not cancelled."""
        for _ in range(step.count):
            client = MQClient(redis_url=self._servers.members_url)
            asked: list[Awaitable[Any]] = [
                client.check_health(),
                client.producer(TOPIC).start(),
                client.get_stream_length(STREAMS[0]),
            ]
            tasks = [asyncio.ensure_future(each) for each in asked]
            await asyncio.sleep(self._chance.choice((0.0, 0.0005, 0.001, 0.002)))
            await client.aclose()
            _, late = await asyncio.wait(tasks, timeout=15)
            for task in tasks:
                if task.cancelled():
                    self.account.add("errors", "a caller was cancelled by the end of a client, which nobody cancelled")
                elif task not in late and not isinstance(task.exception(), RedisError | None):
                    self.account.add("errors", f"the end of a client was told as {task.exception()!r}")
            if late:
                self.account.add("outcome", f"{len(late)} callers of a client that was closed wait for ever")

    async def _falter(self, step: Step) -> None:
        """A part of what members do in the background fails for a while by a fault of our own."""
        holder, name = FALTERS[step.which]
        real, times = getattr(holder, name), 0

        def fail(*_: object, **__: object) -> None:
            nonlocal times
            times += 1
            raise UnexpectedError(name)

        setattr(holder, name, fail)
        try:
            await asyncio.sleep(step.for_s)
            if times and not await self._somebody_tells():
                self.account.add("health", f"{step.which} failed {times} times, and no client tells")
        finally:
            setattr(holder, name, real)

    async def _somebody_tells(self) -> bool:
        for member in self._members.values():
            try:
                await member.client.check_health()
            except RedisError:
                return True
        return False

    async def _misuse(self, _: Step) -> None:
        """What can't be has an error of the library's own, and nothing comes of it."""
        producer = self._senders.producers["raise"]
        for what, send in (
            ("a key", lambda: producer.send(b"", key="\udc80\ud800")),
            ("a header", lambda: producer.send(b"", headers={"h": "\ud800"})),
        ):
            try:
                await send()
            except MessagingError:
                continue
            except Exception as error:
                self.account.add("errors", f"{what} that is no text was answered by {error!r}")
        for name in SET_ASIDE:
            with contextlib.suppress(MessagingError):
                MQClient(redis_url=self._servers.members_url).consumer(TOPIC, READER, name)
                self.account.add("errors", f"a consumer may be called {name!r}, as what is set aside is")
        await self._from_another_thread()
        await self._from_two_loops()

    async def _from_two_loops(self) -> None:
        """A client that is used in two loops by turns has one connection in each, and keeps it."""
        client, eyes = MQClient(redis_url=self._servers.members_url, client_name="both"), self._servers.eyes
        other = asyncio.new_event_loop()
        thread = threading.Thread(target=other.run_forever)
        thread.start()
        seen: set[str] = set()
        try:
            for _ in range(5):
                with contextlib.suppress(RedisError):  # another fault is on
                    await client.check_health()
                    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.check_health(), other))
                    seen |= {row["id"] for row in await eyes.client_list() if row["name"] == "both"}
            if len(seen) > 2 and not self.plan.loses_connections:
                self.account.add("kept", f"a client in two loops had {len(seen)} connections")
        finally:
            await client.aclose()
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_done(asyncio.sleep(0.05)), other))
            other.call_soon_threadsafe(other.stop)
            await asyncio.to_thread(thread.join)
            other.close()

    async def _from_another_thread(self) -> None:
        """A producer of this loop is used by a loop of another thread: it refuses, and nothing is stored."""
        producer, number = self._senders.producers["raise"], self.account.offer("ok", once=True)
        told: list[BaseException] = []

        async def use() -> None:
            try:
                async with asyncio.timeout(5):
                    await producer.send_and_wait(b'{"n": %d, "kind": "ok"}' % number)
            except BaseException as error:
                told.append(error)

        thread = threading.Thread(target=asyncio.run, args=[use()])
        thread.start()
        await asyncio.to_thread(thread.join)
        self.account.tell(number, NOT_STORED)
        if not isinstance(told[0] if told else None, MessagingError):
            self.account.add("errors", f"another thread's loop was answered by {told or 'nothing'!r}")

    @property
    def _one(self) -> Standalone:
        assert isinstance(self._servers, Standalone)
        return self._servers

    def _proxy(self, which: str) -> Any:
        return self._one.senders if which == "bulk" else self._one.members

    # -- the end ---------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """All that was sent has its outcome; then a last message to each partition, and all of them are handled."""
        await self._within(self._senders.flush(), "to flush the producers")
        for partition in range(TOPIC.partitions):
            told = ""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    while told != STORED:
                        number = await self._senders.send("ok", "idempotent", partition=partition)
                        while not (told := self.account.sent[number].told):
                            await asyncio.sleep(0.02)
                            self._senders.look()
            if told != STORED:
                self.account.add("settled", f"nothing could be sent to partition {partition} within {DRAIN_S:g} s")
        with contextlib.suppress(TimeoutError):
            await until(self._is_settled, DRAIN_S)
            return
        self.account.add("settled", f"not everything was handled within {DRAIN_S:g} s: {await self._unsettled()}")
        await self.look_closely()

    async def look_closely(self) -> None:
        """Notes how servers and members stand, so that one course that failed can be explained."""
        eyes = self._servers.eyes
        self.state = [f"{place_of(task.get_coro())} goes on" for task in self._tasks]
        for stream in STREAMS:
            self.state.append(f"{stream}: {await eyes.xlen(stream)} entries")
            for info in await eyes.xinfo_groups(stream):
                group = info["name"].decode()
                self.state.append(f"{group} on {stream}: {info}")
                rows = await eyes.xpending_range(stream, group, "-", "+", SHOWN)
                self.state += [f"  pending: {row}" for row in rows]
                waiting = await eyes.zrange(f"{stream}:delayed:{group}", 0, SHOWN, withscores=True)
                self.state += [f"  waits: {row}" for row in waiting]
        for member in self._members.values():
            self.state += [line if at == 0 else f"  {line}" for at, line in enumerate(member.state())]

    async def _is_settled(self) -> bool:
        return not self._tasks and not await self._unsettled()

    async def _unsettled(self) -> Counter[str]:
        """By group and stream, what is not given to it, pending, or waits to be moved."""
        eyes, found = self._servers.eyes, Counter[str]()
        for stream in STREAMS:
            infos = {info["name"].decode(): info for info in await eyes.xinfo_groups(stream)}
            for group in GROUPS:
                if (info := infos.get(group)) is None:
                    found[f"{group} is not on {stream}"] = 1
                    continue
                later = await eyes.xrange(stream, f"({info['last-delivered-id'].decode()}", "+", count=1_000)
                found[f"{group} was not given {stream}"] = len(later)
                found[f"{group} pending on {stream}"] = info["pending"]
                found[f"{group} postponed on {stream}"] = await eyes.zcard(f"{stream}:delayed:{group}")
            found[f"delayed on {stream}"] = await eyes.zcard(f"{stream}:delayed")
            if last := await eyes.xrevrange(stream, count=1):
                is_read = self._watcher.reached.get(stream, (0, 0)) >= Place.of(stream, last[0][0]).id
                found[f"{WATCHER} was not given {stream}"] = not (is_read or self.account.may_lose_writes)
        return +found

    async def _stay_quiet(self) -> None:
        """When all is well, nobody asks the Sentinels again and again; on a busy machine it takes a while to be so."""
        if not isinstance(self._servers, Watched):
            return
        real, asked = Sentinel.discover_master, Counter[str]()

        def counted(*words: Any) -> Awaitable[Any]:
            task = asyncio.current_task()
            asked[place_of(task.get_coro()) if task is not None else "no task"] += 1
            return real(*words)

        Sentinel.discover_master = counted
        for _ in range(QUIET_TRIES):
            asked.clear()
            await asyncio.sleep(QUIET_S)
            if not asked:
                break
        Sentinel.discover_master = real
        if asked:
            told = f"the Sentinel was asked {asked.total()} times in {QUIET_S:g} s when all was well: {dict(asked)}"
            self.account.add("quiet", told)

    async def _end_all(self) -> None:
        for group, place, holder in self._destroyed:
            if holder is None or holder in self._over:
                self.account.excused[group].add(place)  # whoever had it is gone, and nobody else knows of it
        members = list(self._members.values())
        self._over += members
        for member in members:
            member._ending = True
        if self.plan.signal:
            os.kill(os.getpid(), signal.SIGTERM)
            runs = [member.task for member in members if isinstance(member, RunnerMember) and member.task]
            _, late = await asyncio.wait(runs, timeout=CLOSE_S)
            if late:
                self.account.add("ended", f"{len(late)} of {len(runs)} runners went on after SIGTERM")
        for member in members:
            await self._within(member.stop(), f"to end {member}")
        await self._within(self._watcher.stop(), "to end a reader without a group")
        await self._within(self._senders.close(), "to close the producers")

    async def _look(self) -> End:
        eyes = self._servers.eyes
        entries, letters = {}, await self._letters()
        for stream in STREAMS:
            for entry_id, fields in await eyes.xrange(stream):
                entries[Place.of(stream, entry_id)] = _number(fields)
        told_letters, told_deleted, reconnects = Counter[str](), Counter[str](), Counter[str]()
        for member in self._over:
            if isinstance(member, RunnerMember):
                statistics = member.runner.statistics()
                reconnects[member.group] += statistics.consumer.reconnects
                told_letters[member.group] += statistics.dead_lettered
                told_deleted[member.group] += statistics.deleted + statistics.consumer.deleted
            elif isinstance(member, StreamMember):
                told_deleted[member.group] += member.deleted
            elif isinstance(member, ReaderMember):
                told_deleted[member.group] += member.consumer.statistics().deleted
                reconnects[member.group] += member.consumer.statistics().reconnects
        return End(entries, letters, told_letters, told_deleted, reconnects)

    async def _letters(self) -> list[Letter]:
        found = []
        for stream in STREAMS:
            for _, fields in await self._servers.eyes.xrange(f"{stream}:dlq"):
                place = Place.of(stream, fields[b"x-id"])
                group, consumer = fields[b"x-group"].decode(), fields[b"x-consumer"].decode()
                found.append(Letter(group, place, _number(fields), int(fields[b"x-deliveries"]), consumer))
        return found


def _number(fields: dict[bytes, bytes]) -> int:
    return int(json.loads(fields[b"value"])["n"])


def _told(context: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in context.items())


def _own_handler(*_: object) -> None:
    """The program's own."""


async def _awaited(work: Awaitable[Any]) -> None:
    await work


async def _done(work: Awaitable[Any]) -> bool:
    await work
    return True
