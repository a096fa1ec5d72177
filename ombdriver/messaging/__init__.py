"""An asyncio messaging library on Redis Streams: producers, consumers, consumer groups.

Needs Redis 6.2 or later, or Valkey. Knows nothing of benchmarks, and sets up no logging: its loggers stand under
`ombdriver.messaging` and are silent until an application asks for them.
"""

import logging

from ombdriver.messaging.channel_statistics import ChannelStatistics, ConnectionStatistics
from ombdriver.messaging.client import MQClient
from ombdriver.messaging.consumer import MQConsumer
from ombdriver.messaging.errors import (
    AioGroupCreateError,
    AioGroupError,
    AioRedisMQException,
    AioRedisMQValueError,
    BufferFullError,
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
from ombdriver.messaging.retention import Retention
from ombdriver.messaging.topic import Topic
from ombdriver.messaging.topics.burial import DeadLetterPolicy
from ombdriver.messaging.topics.codec import BytesCodec, Codec, JsonCodec, MsgspecCodec, StrCodec
from ombdriver.messaging.topics.consumer import Consumer
from ombdriver.messaging.topics.consumer_statistics import ConsumerStatistics
from ombdriver.messaging.topics.dead_letters import DeadLetter, DeadLetters
from ombdriver.messaging.topics.delayed import DelayedMessages
from ombdriver.messaging.topics.lag import Lag, PartitionLag
from ombdriver.messaging.topics.message import Message
from ombdriver.messaging.topics.producer import Producer
from ombdriver.messaging.topics.record import Record
from ombdriver.messaging.topics.retry import ExponentialBackoff, RetryPolicy
from ombdriver.messaging.topics.runner import Runner
from ombdriver.messaging.topics.runner_statistics import RunnerStatistics
from ombdriver.messaging.topics.sent import ProducerStatistics, RecordMetadata
from ombdriver.messaging.trimmer import AcknowledgedTrimmer, TrimStatistics

__all__ = [
    "AcknowledgedTrimmer",
    "AioGroupCreateError",
    "AioGroupError",
    "AioRedisMQException",
    "AioRedisMQValueError",
    "BufferFullError",
    "BytesCodec",
    "ChannelStatistics",
    "ClosedError",
    "Codec",
    "ConnectionLost",
    "ConnectionStatistics",
    "Consumer",
    "ConsumerStatistics",
    "DeadLetter",
    "DeadLetterPolicy",
    "DeadLetters",
    "DelayedMessages",
    "ExponentialBackoff",
    "Group",
    "GroupConsumer",
    "GroupManager",
    "JsonCodec",
    "Lag",
    "MQClient",
    "MQConsumer",
    "MQProducer",
    "Message",
    "MsgspecCodec",
    "NotSentError",
    "OutcomeUnknownError",
    "PartitionLag",
    "Producer",
    "ProducerStatistics",
    "Record",
    "RecordMetadata",
    "RedisPool",
    "Retention",
    "RetryPolicy",
    "Runner",
    "RunnerStatistics",
    "StrCodec",
    "Topic",
    "TrimStatistics",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
