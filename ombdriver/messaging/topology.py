"""What is known of a cluster: its slot map, kept fresh by asking its servers when something shows that it is stale.

Asks over connections of its own, so that a server that hangs holds nothing up. Knows no channel of a caller.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, RedisError

from ombdriver.messaging.connecting import connect_error
from ombdriver.messaging.errors import NotSentError
from ombdriver.messaging.following import Backoff
from ombdriver.messaging.refusals import AskError, MovedError
from ombdriver.messaging.slots import Node, SlotMap, parse_slots

logger = logging.getLogger(__name__)

ConnectTo = Callable[[str, int], Awaitable[AbstractConnection]]
"""As `connecting.Connect`, to a host and port."""
LOOK_S = 2.0
"""How long one server may take to answer, connecting included, before the next one is asked."""
CALM_S = 1.0
"""A refresh that starts sooner after the last one waits longer before it asks."""


class Topology:
    """The slot map of one cluster, and one task at most that refreshes it.

    A refresh goes on until each slot has a primary that answers, for `backoff.give_up_s` at most.

    Args:
        seeds: servers to ask first.
        connect_to: makes a connection.
        on_change: called with the old map (None at first) and the new one.
        remap: where a server is reached, from where it says that it is.
        backoff: waits between the looks of a refresh.

    Attributes:
        map: the last map; None before the first look.
        version: rises with each change of the map.
    """

    def __init__(
        self,
        seeds: Sequence[Node],
        connect_to: ConnectTo,
        on_change: Callable[[SlotMap | None, SlotMap], None],
        remap: Callable[[Node], Node] = lambda node: node,
        backoff: Backoff | None = None,
    ) -> None:
        self._seeds = tuple(seeds)
        self._connect_to, self._on_change, self._remap = connect_to, on_change, remap
        self._backoff = backoff or Backoff(first_s=0.05, cap_s=1.0)
        self.map: SlotMap | None = None
        self.version = 0
        self._doubted: set[Node] = set()
        self._better: Node | None = None
        self._task: asyncio.Task[None] | None = None
        self._first: asyncio.Task[None] | None = None
        self._ended_s = 0.0
        self._haste = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<Topology {self.version} {self.map!r}{' refreshing' if self._task else ''}>"

    async def ready(self) -> SlotMap:
        """The map; looked for if there is none yet, which fails fast.

        Raises:
            NotSentError: if none of the seeds could be asked; its cause says why.
            redis.exceptions.RedisError: if they refused, such as `AuthenticationError`.
        """
        if self.map is None:
            if self._first is None:
                self._first = asyncio.get_running_loop().create_task(self._look_around())
                self._first.add_done_callback(self._had_first)
            await asyncio.shield(self._first)
        assert self.map is not None
        return self.map

    def _had_first(self, task: asyncio.Task[None]) -> None:
        self._first = None
        if not task.cancelled():
            task.exception()  # whoever waits has it

    def told(self, error: AskError) -> Node:
        """The server that MOVED or ASK names; without a host it is at the host that was asked."""
        owner = self.map.node_of(error.slot_id) if self.map is not None and not error.host else None
        return self._remap(Node(error.host or (owner.host if owner else "localhost"), error.port))

    def moved(self, error: MovedError) -> None:
        """Learns from MOVED where a slot is now, and looks what else has changed."""
        node = self.told(error)
        if self.map is not None and self.map.node_of(error.slot_id) != node:
            self._adopt(self.map.moved(error.slot_id, node))
            self.doubt(better=node)

    def doubt(self, node: Node | None = None, *, better: Node | None = None) -> None:
        """The map may be stale: starts a refresh unless one is under way.

        Args:
            node: does not answer as it should.
            better: knows more than others.
        """
        if node is not None:
            self._doubted.add(node)
        if better is not None:
            self._better = better
        if self._task is None and not self._closed and self.map is not None:
            self._task = asyncio.get_running_loop().create_task(self._refresh())
            self._task.add_done_callback(self._refreshed)

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._ended_s = time.monotonic()
        if not task.cancelled() and (error := task.exception()):
            logger.warning("the slots of the cluster could not be refreshed: %s", error)

    async def _refresh(self) -> None:
        deadline = time.monotonic() + self._backoff.give_up_s
        self._haste = self._haste + 1 if time.monotonic() - self._ended_s < CALM_S else 0
        attempt = 0
        if self._haste:
            await asyncio.sleep(self._backoff.wait_s(self._haste))
        while True:
            try:
                await self._look_around()
                if self.map is not None and self.map.is_complete and not self._doubted:
                    return
            except AuthenticationError:
                raise
            except RedisError:
                if time.monotonic() >= deadline:
                    raise
            if time.monotonic() >= deadline:
                silent = ", ".join(map(str, self._doubted)) or "none"
                logger.warning("the cluster is not whole: %r; servers without an answer: %s", self.map, silent)
                self._doubted.clear()
                return
            await asyncio.sleep(self._backoff.wait_s(attempt))
            attempt += 1

    async def _look_around(self) -> None:
        """Asks one server after another until one tells the slots; then whether those in doubt answer again."""
        error: Exception = NotSentError("there is no server of the cluster to ask; give more seeds")
        for node in self._order():
            try:
                found = await self._look(node)
            except (RedisError, OSError) as fault:
                error = fault
                if isinstance(fault, AuthenticationError):
                    break
                continue
            self._adopt(found)
            break
        else:
            raise connect_error(error) from error
        if isinstance(error, AuthenticationError):
            raise error
        assert self.map is not None
        self._doubted &= set(self.map.primaries)
        doubted = list(self._doubted)
        answers = await asyncio.gather(*map(self._look, doubted), return_exceptions=True)
        self._doubted -= {n for n, answer in zip(doubted, answers, strict=True) if isinstance(answer, SlotMap)}

    def _order(self) -> list[Node]:
        """Whom to ask: who knows more, primaries, replicas, seeds; those in doubt last."""
        better, self._better = self._better, None
        primaries = list(self.map.primaries) if self.map else []
        random.shuffle(primaries)  # so that not all clients ask the same one
        replicas = list(self.map.replicas) if self.map else []
        order = dict.fromkeys([*([better] if better else []), *primaries, *replicas, *self._seeds])
        return sorted(order, key=self._doubted.__contains__)

    async def _look(self, node: Node) -> SlotMap:
        """The map as `node` tells it. It is asked PING too, which a server that is still loading refuses."""
        try:
            async with asyncio.timeout(LOOK_S):
                connection = await self._connect_to(*node)
                try:
                    await connection.send_command("PING")
                    await connection.read_response()
                    await connection.send_command("CLUSTER", "SLOTS")
                    reply = await connection.read_response()
                finally:
                    await connection.disconnect(nowait=True)
        except TimeoutError as error:
            raise NotSentError(f"{node} did not answer within {LOOK_S:g} s") from error
        try:
            found = parse_slots(reply, node.host, self._remap)
        except ValueError as error:
            raise RedisError(f"{node}: {error}") from error
        if not found.primaries:
            raise NotSentError(f"{node} knows of no slots; is it part of a cluster?")
        return found

    def _adopt(self, found: SlotMap) -> None:
        old, self.map = self.map, found
        if old != found:
            self.version += 1
            self._on_change(old, found)

    async def aclose(self) -> None:
        """Ends the refresh."""
        self._closed = True
        tasks = [task for task in (self._task, self._first) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
