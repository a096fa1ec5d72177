"""Mends of the library that can be taken out, to see what finds that: `python -m tests.faults --without NAME`.

Each is a few lines of a module that are replaced as it is imported; no file is changed. They stand for faults that the
library once had, or for the nearest one that its code of today can have. What no course finds, a test does, which runs
without the mend by `--without NAME --tests`.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, NamedTuple

ROOT = "ombdriver.messaging."


class Edit(NamedTuple):
    """Lines of a module, and what stands in their place without the mend.

    Attributes:
        module: its name below `ROOT`.
        text: stands there once.
        instead: as said.
    """

    module: str
    text: str
    instead: str


class Mend(NamedTuple):
    """A mend.

    Attributes:
        told: the kinds of faults that courses tell without it, one of them at least; see `account.KINDS`.
        motifs: what is most likely to show it: courses that have one of them are tried first.
        edits: take it out.
        tests: those that fail without it, as pytest names them; where no course is known to find it.
        where: the topology that it is for, whose courses are tried first; empty for any.
    """

    told: tuple[str, ...]
    motifs: tuple[str, ...]
    edits: tuple[Edit, ...]
    tests: tuple[str, ...] = ()
    where: str = ""


TRIMMER, IN_FLIGHT = "streams.trimmer", "topics.runner.in_flight"
EXECUTOR, GROUP = "topics.runner.executor", "topics.consumer.group"
JANITOR, MAINTENANCE = "topics.recovery.janitor", "topics.recovery.maintenance"
LETTERS, LEASES = "topics.recovery.dead_letters", "topics.consumer.leases"
SENDER, IDEMPOTENCE = "topics.producer.partition_sender", "topics.producer.idempotence"
CONNECTION, BLOCKING, RETRY = "transport.connection", "transport.blocking", "transport.retry"
READERS = "streams.readers"

MENDS: Mapping[str, Mend] = {
    # -- messages lost or given up wrongly
    "a quiet member says that it is alive": Mend(
        ("gone",),
        ("paused",),
        (
            Edit(
                TRIMMER,
                "  if may_be_told and redis.call('EXISTS', KEYS[1] .. ':alive:' .. group) == 1 then",
                "  if false then",
            ),
        ),
    ),
    "suspects are handled one at a time": Mend(
        ("innocent",),
        ("crash loop",),
        (Edit(IN_FLIGHT, "        if message._is_suspect:\n", "        if False:\n"),),
    ),
    "what is replayed is suspect": Mend(
        ("innocent",),
        ("crash loop",),
        (
            Edit(
                "topics.consumer.receive_buffer",
                "self._statistics.replayed += self.redeliver(partition, claim, was_ended=False)",
                "self._statistics.replayed += self.redeliver(partition, claim, was_ended=True)",
            ),
        ),
    ),
    "a suspect that fails lets others go": Mend(
        (),
        (),
        (
            Edit(IN_FLIGHT, "        if self.queue.rest(delivery):\n", "        if False:\n"),
            Edit(IN_FLIGHT, "        if item.is_suspect and item is not self._suspect:\n", "        if False:\n"),
        ),
        (
            "tests/unit/messaging/topics/runner/test_keyed_queue.py",
            "tests/live/messaging/test_runner.py::test_a_suspect_that_fails_holds_up_no_other",
        ),
    ),
    "a dead letter is written from memory": Mend(
        ("letters", "deleted"),
        ("trimmed and rejected", "trimmed in hand"),
        (Edit(LETTERS, "done = await member.run(_MOVE, keys, *words, deliveries, *fields)", "pass"),),
    ),
    "what waits outlives its group": Mend(
        ("lost",),
        ("destroyed while postponed", "redriven"),
        (Edit(GROUP, "  if made == 1 then\n", "  if false then\n"),),
    ),
    "what is trimmed while it waits is told": Mend(
        ("deleted",),
        ("trimmed while postponed",),
        (
            Edit(JANITOR, "      else\n        gone[#gone + 1] = id\n      end\n", "      end\n"),
            Edit(JANITOR, "    gone[#gone + 1] = id\n    redis.call('SET', gone_key(id), '', 'PX', 600000)\n", ""),
        ),
    ),
    "a retry that cannot wait on the server waits here": Mend(
        ("early", "attempts"),
        ("no ZADD",),
        (
            Edit(
                EXECUTOR,
                "since it can't wait on the server: %s\", message, error)\n"
                "            return self._in_flight.retry_later(delivery, delay_s)\n",
                "since it can't wait on the server: %s\", message, error)\n"
                "            return self._in_flight.retry_later(delivery, 0.0)\n",
            ),
        ),
    ),
    "no member has a reserved name": Mend(
        ("errors",),
        ("strangers",),
        (Edit(GROUP, "    if data in (POSTPONED, REDRIVEN):\n", "    if False:\n"),),
    ),
    "what refuses the number refuses the batch": Mend(
        ("twice",),
        ("no SET",),
        (
            Edit(IDEMPOTENCE, "if begun.err then return redis.error_reply(words_of(begun)) end\n", ""),
            Edit(
                IDEMPOTENCE,
                "redis.call('SET', KEYS[2], cmsgpack.pack({number, answers}), 'PX', ARGV[2])",
                "redis.pcall('SET', KEYS[2], cmsgpack.pack({number, answers}), 'PX', ARGV[2])",
            ),
        ),
    ),
    "a message of too many fields is refused first": Mend(
        ("told",),
        ("wide",),
        (
            Edit(
                "topics.producer.producer",
                'MOST_SCRIPT_FIELDS if settings.on_unknown == "idempotent" else MOST_FIELDS',
                "MOST_FIELDS",
            ),
        ),
    ),
    "a refusal after a loss is unknown": Mend(
        ("told",),
        ("stored, lost, refused",),
        (Edit(SENDER, "        if batch.loss is not None and not reply.is_of_all_attempts:\n", "        if False:\n"),),
    ),
    "a handling that begins is counted once": Mend(
        ("attempts",),
        ("lost rejections",),
        (
            Edit(
                LEASES,
                "    else\n"
                "      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'IDLE', ARGV[3], 'RETRYCOUNT', ",
                "    else\n"
                "      local known = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1][4]\n"
                "      if ARGV[3] == '0' then deliveries = known + 1 end\n"
                "      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'IDLE', ARGV[3], 'RETRYCOUNT', ",
            ),
        ),
    ),
    "whoever moved a dead letter knows it": Mend(
        ("letters",),
        ("lost rejections",),
        (Edit(LETTERS, "return redis.call('GET', KEYS[3]) == ARGV[2] and 1 or 0 end", "return 0 end"),),
    ),
    # -- order
    "a lost connection is killed on the server": Mend(
        ("order",),
        ("half-open reads",),
        (Edit(BLOCKING, "        if self._channel.address != self._address:\n", "        if True:\n"),),
    ),
    "reclaim never overtakes replay": Mend(
        (),
        (),
        (Edit(MAINTENANCE, "return None if self._replayed.is_set() else NOT_REPLAYED", "return None"),),
        ("tests/live/messaging/test_maintenance.py::test_reclaim_never_overtakes_replay",),
    ),
    "a replay ends at the group's place": Mend(
        (),
        (),
        (
            Edit(
                "topics.consumer.fetcher",
                'last = None if place is None else place[b"last-delivered-id"]\n',
                "last = None\n",
            ),
        ),
        ("tests/live/messaging/test_topic_consumer.py::test_seek_back_keeps_the_order_whatever_connection_is_lost",),
    ),
    "a sweep leaves what is above the group's place": Mend(
        (),
        (),
        (Edit(JANITOR, "    elseif given and is_below(given, id) then\n", "    elseif false then\n"),),
        ("tests/live/messaging/test_janitor.py::test_what_a_group_that_was_set_back_is_given_anew_is_left",),
    ),
    "what waits is restored in the step that makes its group": Mend(
        (),
        (),
        (Edit(GROUP, "if place and redis.call('EXISTS', KEYS[2]) == 1 then", "if false then"),),
        ("tests/live/messaging/test_janitor.py::test_a_group_that_is_made_anew_gives_each_waiting_message_once",),
    ),
    # -- hanging
    "whatever makes room tells who waits for it": Mend(
        ("settled", "lost", "ended"),
        ("lost replies", "small replies"),
        (
            Edit(
                "topics.consumer.partition",
                "        if self.buffered <= self.low_water:  # the mark has risen",
                "        if False:  # the mark has risen",
            ),
        ),
        (
            "tests/unit/messaging/topics/consumer/test_receive_buffer.py",
            "tests/live/messaging/test_topic_consumer_faults.py::test_what_was_given_back_keeps_no_lost_reply_waiting",
        ),
    ),
    "a flush waits for no later acknowledgement": Mend(
        (),
        (),
        (
            Edit(
                "topics.consumer.acks",
                "            if refused == self._refused:\n",
                "            if not self._pending:\n",
            ),
        ),
        ("tests/unit/messaging/topics/consumer/test_acks.py",),
    ),
    "a runner's end has one time for its server": Mend(
        (),
        (),
        (Edit("topics.runner.runner", "asyncio.timeout(left_s)", "asyncio.timeout(5)"),),
        ("tests/live/messaging/test_runner_end.py::test_a_runner_whose_server_hangs_ends_in_its_time",),
    ),
    "a dropped client leaves no task": Mend(
        (),
        (),
        (
            Edit(
                "transport.resources",
                "    if not is_connected and not resources.is_at_work():\n",
                "    if not is_connected:\n",
            ),
        ),
        ("tests/unit/messaging/transport/test_resources.py",),
    ),
    "a connection has a deadline": Mend(
        ("settled", "ended"),
        ("swallowed reads", "swallowed commands", "swallowed sends"),
        (Edit(CONNECTION, "        if self.overdue_s >= self._deadline_s:\n", "        if False:\n"),),
    ),
    "the deadline counts looks": Mend(
        (),
        (),
        (
            Edit(
                CONNECTION,
                "        self._silent_s += self._look_every_s\n",
                "        self._silent_s = self._loop.time() - self.last_progress_ns / 1e9\n",
            ),
        ),
        (
            "tests/unit/messaging/transport/test_channel_deadline.py::test_an_event_loop_that_stood_still_ends_no_connection",
        ),
    ),
    "a message that comes after expired ones begins a batch": Mend(
        (),
        (),
        (Edit(SENDER, "        if self._open is not None and not self._open.payloads:", "        if False:"),),
        ("tests/live/messaging/test_producer_limits.py::test_every_message_has_its_time_while_a_server_hangs",),
    ),
    "expired messages give their space back": Mend(
        ("full",),
        ("a hung primary and little space",),
        (
            Edit(
                SENDER,
                "self._release(*(batch.give_back() if batch is self._unanswered else batch.drop_done()))",
                "self._release(*((0, 0) if batch is self._unanswered else batch.drop_done()))",
            ),
        ),
    ),
    "BUSY is waited for": Mend(("again",), ("busy",), (Edit(RETRY, '_PASSING = ("BUSY ", ', "_PASSING = ("),)),
    "NOREPLICAS is waited for": Mend(("again",), ("no replica",), (Edit(RETRY, '"NOREPLICAS ", "MISCONF ", ', ""),)),
    "a slot on its way stores without a number": Mend(
        ("again",),
        ("slots long on their way",),
        (
            Edit(
                IDEMPOTENCE,
                "batch.is_unnumbered |= isinstance(batch.retriable_error, TryAgainError) and batch.loss is None",
                "pass",
            ),
        ),
    ),
    "blocking reads take turns": Mend(
        (),
        (),
        (
            Edit(READERS, "                await self._waiting.acquire()\n", "                pass\n"),
            Edit(READERS, "            self._waiting.release()\n", "            pass\n"),
        ),
        ("tests/unit/messaging/streams/test_readers.py::test_reads_of_one_consumer_take_turns",),
    ),
    "a cancelled read is parked": Mend(
        ("lost",),
        (),
        (
            Edit(
                READERS,
                "            if not reply.cancelled():\n                self._parked.append",
                "            if False:\n                self._parked.append",
            ),
        ),
    ),
    "the loss of a cancelled read is told": Mend(
        ("settled", "lost"),
        (
            "swallowed reads",
            "lost replies",
        ),
        (Edit(READERS, "            if parked.loss is not None:\n", "            if False:\n"),),
        ("tests/unit/messaging/streams/test_readers.py::test_the_loss_of_a_cancelled_read_is_told_to_the_next_one",),
    ),
    "a cancelled read holds up no other": Mend(
        (),
        (),
        (
            Edit(
                READERS,
                "            self._close_soon(self._reads.pop(slot).channel)\n            read = None\n",
                "            read.reply = None\n",
            ),
        ),
        ("tests/unit/messaging/streams/test_readers.py",),
    ),
    "the end of an unwanted read is not cut short": Mend(
        ("settled", "lost", "ended"),
        (),
        (
            Edit(
                READERS,
                "            self._close_soon(self._reads.pop(slot).channel)\n            read = None\n",
                "            await self._reads[slot].channel.aclose()\n            read = None\n",
            ),
            Edit(READERS, "    def _reply(self, asked:", "    async def _reply(self, asked:"),
            Edit(
                READERS,
                "reads[self._reply(asked, block_part(left_ms))]",
                "reads[await self._reply(asked, block_part(left_ms))]",
            ),
        ),
    ),
    "Sentinels are asked while a master hangs": Mend(
        ("quiet",),
        ("failover", "hang"),
        (
            Edit("transport.sentinel", "any(channel.is_overdue for channel", "any(channel.in_flight for channel"),
            Edit(
                "transport.standalone",
                "channel = self._new_channel(tally=self.tallies[2], deadline_s=self._read_deadline_s)",
                "channel = self._new_channel(tally=self.tallies[2], deadline_s=self._read_deadline_s, "
                "on_suspect=self._monitor.suspect if self._monitor else None)",
            ),
        ),
        tests=("tests/live/messaging/test_sentinel.py::test_sentinels_are_left_alone_once_a_loss_is_mended",),
        where="sentinel",
    ),
    # -- process
    "runners of a loop share its signals": Mend(
        ("ended",),
        (),
        (
            Edit("topics.runner.signals", "    coordinator = _coordinators.get(loop)\n", "    coordinator = None\n"),
            Edit(
                "topics.runner.signals",
                "            del _coordinators[loop]\n",
                "            _coordinators.pop(loop, None)\n",
            ),
        ),
    ),
    "a program's own signal handler comes back": Mend(
        ("ended",),
        (),
        (
            Edit(
                "topics.runner.signals",
                "                signal.signal(number, previous)\n",
                "                signal.signal(number, signal.SIG_DFL)\n",
            ),
        ),
    ),
    "each handler has a context of its own": Mend(
        ("context",),
        (),
        (
            Edit("topics.runner.context", "    context = copy_context()\n", "    context = _shared\n"),
            Edit(
                "topics.runner.context",
                "\n\nclass Handling:\n",
                "\n_shared = Context()\n\n\nclass Handling:\n",
            ),
        ),
    ),
    "work in the background goes on past any error": Mend(
        ("settled", "left", "lost"),
        ("a fault of ours",),
        (
            Edit(
                "transport.background",
                "                failures += 1\n",
                "                failures += 1\n"
                "                if not isinstance(error, RedisError | OSError):\n"
                "                    raise\n",
            ),
        ),
    ),
    "what a runner's own fault fails is told": Mend(
        ("health",),
        ("a fault of ours",),
        (Edit("transport.background", "            self._failing[work] = what, error\n", "            pass\n"),),
    ),
    "another loop is refused": Mend(
        ("errors",),
        ("strangers",),
        (
            Edit(
                "transport.per_loop",
                "        if asyncio._get_running_loop() is not self.loop:\n",
                "        if False:\n",
            ),
        ),
    ),
    "each loop keeps its connections": Mend(
        ("kept",),
        ("strangers",),
        (
            Edit(
                "transport.per_loop",
                "            for other in [each for each in self._values if each.is_closed()]:\n",
                "            for other in list(self._values):\n",
            ),
        ),
    ),
    "after the order to stop no handler begins": Mend(
        ("cancelled",),
        ("stop in the replay",),
        (
            Edit(
                EXECUTOR,
                "            if self._stopping:  # the order came meanwhile: it is released, and not counted\n",
                "            if False:\n",
            ),
            Edit(
                EXECUTOR,
                "        if not self._busy:\n            self._idle.set()\n",
                "        self._idle.set()\n",
            ),
        ),
        ("tests/live/messaging/test_runner_end.py::test_after_the_order_to_stop_no_handler_begins",),
    ),
    "the end of shared work cancels no caller": Mend(
        ("errors",),
        ("hasty",),
        (
            Edit(
                "transport.background",
                "        if work.cancelled() and (caller is None or not caller.cancelling()):\n",
                "        if False:\n",
            ),
        ),
        ("tests/unit/messaging/transport/test_shared_work.py",),
    ),
    # -- sizes
    "reads go by the bytes of whole replies": Mend(
        (),
        (),
        (
            Edit(
                "topics.consumer.fetcher",
                "self._flow.adapt((self._transport.reply_size() or _size_of(reply)) / max(1, count))",
                "self._flow.adapt(len(reply[-1][1][-1][1][1]))",
            ),
        ),
        (
            "tests/live/messaging/test_topic_consumer.py::test_large_messages_are_buffered_by_their_size_whatever_comes_between",
        ),
    ),
    "a message that was lost is told": Mend(
        (),
        (),
        (
            Edit(
                "topics.consumer.message",
                "        if self._state < LOST and self._entry_id not in self._partition.leased:\n",
                "        if False:\n",
            ),
        ),
        (
            "tests/live/messaging/test_maintenance.py::test_a_message_that_another_took_over_tells_it_at_once_and_for_good",
        ),
    ),
}
"""Mends by name."""


class _Edited(SourceFileLoader):
    """Loads a module without its mend.

    Args:
        name: of the module.
        path: of its file.
        edits: of this module.
    """

    def __init__(self, name: str, path: str, edits: Sequence[Edit]) -> None:
        super().__init__(name, path)
        self._edits = edits

    def path_stats(self, path: str) -> Mapping[str, Any]:  # type: ignore[override]
        """None, so that no byte code is taken or kept."""
        raise OSError(path)

    def get_data(self, path: str) -> bytes:
        """The source without the mend."""
        return edited(super().get_data(path).decode(), self._edits).encode()


class _Finder(MetaPathFinder):
    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits = edits

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        mine = [edit for edit in self._edits if ROOT + edit.module == name]
        spec = PathFinder.find_spec(name, path, target) if mine else None
        if spec is not None:
            assert spec.origin is not None
            spec.loader = _Edited(name, spec.origin, mine)
        return spec


def edited(source: str, edits: Sequence[Edit]) -> str:
    """The text of a module without a mend.

    Raises:
        ValueError: if what is replaced is not there, or more than once.
    """
    for edit in edits:
        if (count := source.count(edit.text)) != 1:
            raise ValueError(f"{edit.module}: these lines stand there {count} times, and not once:\n{edit.text}")
        source = source.replace(edit.text, edit.instead)
    return source


def take_out(name: str) -> None:
    """Has this process import the library without a mend; it must not have been imported yet."""
    edits = MENDS[name].edits
    early = [edit.module for edit in edits if ROOT + edit.module in sys.modules]
    assert not early, f"imported before: {early}"
    sys.meta_path.insert(0, _Finder(edits))
