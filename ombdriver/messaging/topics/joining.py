"""A group that is to be there: made where the topic is joined, and made again at the right place when it is gone."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from redis.exceptions import ResponseError

from ombdriver.messaging.topics.member import Member
from ombdriver.messaging.topics.partition import Partition
from ombdriver.messaging.topics.positions import EARLIEST, resumption

logger = logging.getLogger(__name__)


def is_gone(error: Exception) -> bool:
    """Whether the group, or its stream, is not there. Within a script the word stands somewhere in the text."""
    return isinstance(error, ResponseError) and "NOGROUP" in str(error)


async def join(member: Member, partitions: Iterable[Partition], start: bytes) -> None:
    """Makes the group on each partition where it is not there, at `start`; learns how far it was given entries.

    Raises:
        redis.exceptions.RedisError: if a server can't be reached, or refuses.
    """

    async def one(partition: Partition) -> None:
        group = await group_info(member, partition)
        if group is None:
            await _create(member, partition, start)
            group = await group_info(member, partition)
        if group is not None:
            partition.last = group[b"last-delivered-id"]

    await asyncio.gather(*(one(partition) for partition in partitions))


async def heal(member: Member, partitions: Iterable[Partition]) -> None:
    """Makes the group again where it is gone: what this member has not acknowledged and what nobody was given comes.

    What other members had not acknowledged is theirs to finish: it is pending no more.

    Raises:
        redis.exceptions.RedisError: as `join`.
    """
    for partition in partitions:
        place = resumption(partition.last, partition.held | partition.nacked, await _end_of(member, partition))
        if await _create(member, partition, place):
            member.counts.groups_made += 1
            if place == EARLIEST:
                partition.last = b"0-0"
            logger.warning(
                "group %r was gone from stream %r; it was made again, after id %s",
                member.group.decode(errors="replace"),
                partition.stream,
                place.decode(),
            )


async def group_info(member: Member, partition: Partition) -> dict[bytes, Any] | None:
    """What XINFO GROUPS says of the group; None if it is not there, or its stream."""
    try:
        groups = await member.ask(partition.key, "XINFO", "GROUPS", partition.key)
    except ResponseError as error:
        if "no such key" in str(error):
            return None
        raise
    infos = (dict(zip(reply[::2], reply[1::2], strict=True)) for reply in groups)
    return next((info for info in infos if info[b"name"] == member.group), None)


async def stream_info(member: Member, partition: Partition) -> dict[bytes, Any] | None:
    """What XINFO STREAM says; None if there is no stream."""
    try:
        reply = await member.ask(partition.key, "XINFO", "STREAM", partition.key)
    except ResponseError as error:
        if "no such key" in str(error):
            return None
        raise
    return dict(zip(reply[::2], reply[1::2], strict=True))


async def _end_of(member: Member, partition: Partition) -> bytes | None:
    info = await stream_info(member, partition)
    return None if info is None else info[b"last-generated-id"]


async def _create(member: Member, partition: Partition, place: bytes) -> bool:
    try:
        await member.ask(partition.key, "XGROUP", "CREATE", partition.key, member.group, place, "MKSTREAM")
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
        return False
    return True
