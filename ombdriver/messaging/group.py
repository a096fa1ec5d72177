"""`GroupManager` makes and removes the consumer groups of one stream; `Group` is one of them, with its consumers."""

import logging
from collections.abc import Awaitable, Sequence
from typing import Any

from redis.exceptions import ResponseError

from ombdriver.messaging.client import MQClient
from ombdriver.messaging.errors import GroupCreateError, GroupError
from ombdriver.messaging.group_consumer import GroupConsumer
from ombdriver.messaging.streams import commands
from ombdriver.messaging.streams.commands import Id, Key
from ombdriver.messaging.streams.replies import ReplyDecoder
from ombdriver.messaging.streams.scripts import Script
from ombdriver.messaging.transport.registry import RouterSource

logger = logging.getLogger(__name__)

# Looking and deleting must be one step: a message may arrive between the two.
_DELETE_IF_EMPTY = Script("""
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return -1 end
return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
""")


class GroupManager(MQClient):
    """Makes and removes the consumer groups of one stream.

    Closing it closes the groups that it gave out, and their consumers.

    Args:
        stream_key: key of the stream.
        redis_name: as for `MQClient`.
        redis_url: as for `MQClient`; it and `redis_pool` are told apart by type.
        redis_pool: as for `MQClient`.
        kwargs: as for `MQClient`.

    Attributes:
        stream_key: as given.
        redis_name: as given.

    Raises:
        MessagingError: as for `MQClient`.
    """

    def __init__(
        self,
        stream_key: Key,
        redis_name: str | None = None,
        redis_url: Any = None,
        redis_pool: Any = None,
        **kwargs: Any,
    ) -> None:
        commands.key_bytes(stream_key)
        self.stream_key = stream_key
        self.redis_name = redis_name
        self._groups: dict[bytes, Group] = {}
        self._adopt(RouterSource(redis_name, redis_url, redis_pool, kwargs), owns_source=True)

    def _what(self) -> str:
        return f" {self.stream_key!r}"

    async def create_group(self, group_name: Key, msg_id: Id = "$", mkstream: bool = True) -> "Group":
        """The group, made if it is not there. The server is asked each time.

        Args:
            group_name: name of the group.
            msg_id: what counts as delivered already: `$` all that is there, 0 nothing. A group that exists stays
                where it is; `Group.set_msg_id` moves it.
            mkstream: make the stream too.

        Raises:
            GroupCreateError: if the server refuses for another reason than that the group exists.
            redis.exceptions.ConnectionError: if the server can't be reached.
        """
        name = commands.key_bytes(group_name, "group_name")
        stream = commands.key_bytes(self.stream_key)
        words = [stream, name, commands.one_id(msg_id), *(["MKSTREAM"] if mkstream else [])]
        try:
            await self._execute("XGROUP CREATE", *words)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise GroupCreateError(f"group {group_name!r} of stream {self.stream_key!r}: {error}") from error
        group = self._groups.get(name)
        if group is None or group._closed:
            group = self._groups[name] = Group(self.stream_key, group_name, self.redis_name, manager=self)
        return group

    async def destroy_group(self, group_name: Key) -> int:
        """Removes the group with all that is pending in it; 1, or 0 if there was none."""
        name = commands.key_bytes(group_name, "group_name")
        try:
            found: int = await self._execute("XGROUP DESTROY", commands.key_bytes(self.stream_key), name, once=True)
        except ResponseError as error:
            if "requires the key to exist" not in str(error):
                raise
            found = 0
        group = self._groups.pop(name, None)
        if group is not None:
            await group.aclose()
        return int(found)

    def get_groups_info(self) -> Awaitable[list[dict[str, Any]]]:
        """XINFO GROUPS: one dict per group of the stream."""
        return self._execute("XINFO GROUPS", commands.key_bytes(self.stream_key))

    async def aclose(self) -> None:
        """Closes the manager, the groups that it gave out, and their consumers. What is on the server stays."""
        for group in list(self._groups.values()):
            await group.aclose()
        self._groups.clear()
        await super().aclose()


class Group(MQClient):
    """One consumer group of one stream, which exists (`GroupManager.create_group` makes it).

    Closing it closes the consumers that it gave out.

    Args:
        stream_key: key of the stream.
        group_name: the group.
        redis_name: as for `MQClient`.
        redis_pool: as for `MQClient`; it and `redis_url` are told apart by type.
        redis_url: as for `MQClient`.
        manager: the manager whose connections to use, in place of the others.
        kwargs: as for `MQClient`.

    Attributes:
        stream_key: as given.
        group_name: as given.
        redis_name: as given.

    Raises:
        MessagingError: as for `MQClient`.
    """

    def __init__(
        self,
        stream_key: Key,
        group_name: Key,
        redis_name: str | None = None,
        redis_pool: Any = None,
        redis_url: Any = None,
        *,
        manager: "GroupManager | None" = None,
        **kwargs: Any,
    ) -> None:
        self._key = commands.key_bytes(stream_key)
        self._name = commands.key_bytes(group_name, "group_name")
        self.stream_key = stream_key
        self.group_name = group_name
        self.redis_name = redis_name
        self._consumers: dict[bytes, GroupConsumer] = {}
        source = manager._source if manager is not None else RouterSource(redis_name, redis_url, redis_pool, kwargs)
        self._adopt(source, owns_source=manager is None)

    def _what(self) -> str:
        return f" {self.stream_key!r} group={self.group_name!r}"

    async def create_consumer(self, consumer_id: Key) -> GroupConsumer:
        """The consumer of that name, the same object each time. The server learns the name with its first read."""
        name = commands.key_bytes(consumer_id, "consumer_id")
        consumer = self._consumers.get(name)
        if consumer is None or consumer._closed:
            self._router()  # a closed group gives no consumers
            consumer = GroupConsumer(self.stream_key, self.group_name, consumer_id, self.redis_name, group=self)
            self._consumers[name] = consumer
        return consumer

    async def delete_consumer(self, consumer_id: Key, force: bool = True) -> int:
        """Removes a consumer from the group; gives how many messages it had pending.

        Those messages are lost to the group: nobody gets them again. Claim them for another consumer first, or give
        `force=False`.

        Args:
            consumer_id: name of the consumer.
            force: remove it with messages pending, and log a warning.

        Raises:
            GroupError: if messages are pending and `force` is False; nothing was removed.
        """
        name = commands.key_bytes(consumer_id, "consumer_id")
        if force:
            pending = int(await self._execute("XGROUP DELCONSUMER", self._key, self._name, name, once=True))
        else:
            pending = int(await _DELETE_IF_EMPTY.run(self._router(), (self._key,), (self._name, name)))
        if pending < 0:
            raise GroupError(
                f"consumer {consumer_id!r} of group {self.group_name!r} has pending messages, which would be lost; "
                "claim_message gives them to another consumer"
            )
        if pending:
            logger.warning(
                "consumer %r of group %r was deleted with %d messages pending; nobody gets them again",
                consumer_id,
                self.group_name,
                pending,
            )
        consumer = self._consumers.pop(name, None)
        if consumer is not None:
            await consumer.aclose()
        return pending

    def set_msg_id(self, msg_id: Id) -> Awaitable[bool]:
        """Sets what counts as delivered to the group already: `$` all that is there, 0 nothing."""
        return self._execute("XGROUP SETID", self._key, self._name, commands.one_id(msg_id))

    def get_groups_info(self) -> Awaitable[list[dict[str, Any]]]:
        """XINFO GROUPS: one dict per group of the stream, not of this group alone."""
        return self._execute("XINFO GROUPS", self._key)

    def get_consumers_info(self) -> Awaitable[list[dict[str, Any]]]:
        """XINFO CONSUMERS: one dict per consumer that has read."""
        return self._execute("XINFO CONSUMERS", self._key, self._name)

    def get_pending_info(self) -> Awaitable[dict[str, Any]]:
        """What is pending in the group: `pending`, `min`, `max`, and `consumers` with `name` and `pending` each."""
        return self._execute("XPENDING", self._key, self._name)

    def query_pending_messages(
        self,
        min_msg_id: Id = "-",
        max_msg_id: Id = "+",
        count: int = 10,
        consumer_id: Key | None = None,
        *,
        idle: int | None = None,
    ) -> Awaitable[list[dict[str, Any]]]:
        """Pending messages in a range of ids, of one consumer or of all.

        Each as `message_id`, `consumer`, `time_since_delivered` (ms) and `times_delivered`; with `idle`, only those
        that were delivered so many milliseconds ago or earlier.
        """
        words = commands.xpending(self._key, self._name, min_msg_id, max_msg_id, count, consumer_id, idle)
        return self._execute("XPENDING", *words, parse_detail=True)

    def ack_message(self, *msg_id: Id) -> Awaitable[int]:
        """Acknowledges messages, whichever consumer has them; gives how many of them were pending."""
        return self._router().execute_idempotent(self._key, "XACK", self._key, self._name, *commands.ids(msg_id))

    def claim_message(
        self,
        consumer_id: Key,
        min_idle_time: int,
        msg_ids: Sequence[Id],
        idle: int | None = None,
        time: int | None = None,
        retrycount: int | None = None,
        force: bool = False,
        justid: bool = False,
    ) -> Awaitable[list[Any]]:
        """Makes pending messages those of `consumer_id`; gives them as `(id, {field: value})`.

        Messages whose content was trimmed or deleted are left out.

        Args:
            consumer_id: the new owner.
            min_idle_time: only those that were delivered so many milliseconds ago or earlier.
            msg_ids: list or tuple of ids, not empty.
            idle: milliseconds since delivery, to be noted.
            time: the same as a Unix time in milliseconds.
            retrycount: how often delivered, to be noted; without, one more than before.
            force: make an id pending that is not.
            justid: give ids alone, and don't count it as a delivery.

        Raises:
            MessagingValueError: at once, if an argument can't be.
        """
        words = commands.xclaim(
            self._key, self._name, consumer_id, min_idle_time, msg_ids, idle, time, retrycount, force, justid
        )
        if justid:
            return self._execute("XCLAIM", *words, once=True, parse_justid=True)
        return self._execute("XCLAIM", *words, once=True, shape=ReplyDecoder.entries)

    async def aclose(self) -> None:
        """Closes the group object and the consumers that it gave out. What is on the server stays."""
        for consumer in list(self._consumers.values()):
            await consumer.aclose()
        self._consumers.clear()
        await super().aclose()
