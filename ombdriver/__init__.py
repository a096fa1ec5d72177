"""ombdriver: a load harness for Redis Streams, and the asyncio messaging library under it.

Importing this gives the library alone; the harness is the command `ombdriver`.
"""

from ombdriver.messaging import (
    AioGroupCreateError,
    AioGroupError,
    AioRedisMQException,
    AioRedisMQValueError,
    ClosedError,
    ConnectionLost,
    Group,
    GroupConsumer,
    GroupManager,
    MQClient,
    MQConsumer,
    MQProducer,
    NotSentError,
    OutcomeUnknownError,
    RedisPool,
    Topic,
)

__all__ = [
    "AioGroupCreateError",
    "AioGroupError",
    "AioRedisMQException",
    "AioRedisMQValueError",
    "ClosedError",
    "ConnectionLost",
    "Group",
    "GroupConsumer",
    "GroupManager",
    "MQClient",
    "MQConsumer",
    "MQProducer",
    "NotSentError",
    "OutcomeUnknownError",
    "RedisPool",
    "Topic",
]

__version__ = "0.1.0.dev0"
