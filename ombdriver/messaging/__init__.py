"""An asyncio messaging library on Redis Streams: producers, consumers, consumer groups.

Needs Redis 6.2 or later, or Valkey. Knows nothing of benchmarks, and sets up no logging: its loggers stand under
`ombdriver.messaging` and are silent until an application asks for them.
"""

import logging

from ombdriver.messaging.client import MQClient
from ombdriver.messaging.consumer import MQConsumer
from ombdriver.messaging.errors import (
    AioGroupCreateError,
    AioGroupError,
    AioRedisMQException,
    AioRedisMQValueError,
    ClosedError,
    ConnectionLost,
    NotSentError,
    OutcomeUnknownError,
)
from ombdriver.messaging.group import Group
from ombdriver.messaging.group_consumer import GroupConsumer
from ombdriver.messaging.group_manager import GroupManager
from ombdriver.messaging.pool import RedisPool
from ombdriver.messaging.producer import MQProducer
from ombdriver.messaging.topic import Topic
from ombdriver.messaging.trimmer import AcknowledgedTrimmer

__all__ = [
    "AcknowledgedTrimmer",
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

logging.getLogger(__name__).addHandler(logging.NullHandler())
