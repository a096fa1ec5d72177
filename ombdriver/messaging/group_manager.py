"""`GroupManager`: makes, removes and lists the consumer groups of one stream."""

from collections.abc import Awaitable
from typing import Any

from redis.exceptions import ResponseError

from ombdriver.messaging import commands
from ombdriver.messaging.commands import Id, Key
from ombdriver.messaging.errors import AioGroupCreateError
from ombdriver.messaging.group import Group
from ombdriver.messaging.registry import Link
from ombdriver.messaging.stream_client import StreamClient


class GroupManager(StreamClient):
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
        AioRedisMQException: as for `MQClient`.
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
        self._adopt(Link(redis_name, redis_url, redis_pool, kwargs), owns_link=True)

    def _what(self) -> str:
        return f" {self.stream_key!r}"

    async def create_group(self, group_name: Key, msg_id: Id = "$", mkstream: bool = True) -> Group:
        """The group, made if it is not there. The server is asked each time.

        Args:
            group_name: name of the group.
            msg_id: what counts as delivered already: `$` all that is there, 0 nothing. A group that exists stays
                where it is; `Group.set_msg_id` moves it.
            mkstream: make the stream too.

        Raises:
            AioGroupCreateError: if the server refuses for another reason than that the group exists.
            redis.exceptions.ConnectionError: if the server can't be reached.
        """
        name = commands.key_bytes(group_name, "group_name")
        stream = commands.key_bytes(self.stream_key)
        words = [stream, name, commands.one_id(msg_id), *(["MKSTREAM"] if mkstream else [])]
        try:
            await self._ask("XGROUP CREATE", *words)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise AioGroupCreateError(f"group {group_name!r} of stream {self.stream_key!r}: {error}") from error
        group = self._groups.get(name)
        if group is None or group._closed:
            group = self._groups[name] = Group(self.stream_key, group_name, self.redis_name, manager=self)
        return group

    async def destroy_group(self, group_name: Key) -> int:
        """Removes the group with all that is pending in it; 1, or 0 if there was none."""
        name = commands.key_bytes(group_name, "group_name")
        try:
            found: int = await self._ask("XGROUP DESTROY", commands.key_bytes(self.stream_key), name, once=True)
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
        return self._ask("XINFO GROUPS", commands.key_bytes(self.stream_key))

    async def aclose(self) -> None:
        """Closes the manager, the groups that it gave out, and their consumers. What is on the server stays."""
        for group in list(self._groups.values()):
            await group.aclose()
        self._groups.clear()
        await super().aclose()
