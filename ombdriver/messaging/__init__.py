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
    BufferFullError,
    ClosedError,
    ConnectionLost,
    GroupCreateError,
    GroupError,
    MessagingError,
    MessagingValueError,
    NotSentError,
    OutcomeUnknownError,
)
from ombdriver.messaging.group import Group, GroupManager
from ombdriver.messaging.group_consumer import GroupConsumer
from ombdriver.messaging.producer import MQProducer
from ombdriver.messaging.streams.retention import Retention
from ombdriver.messaging.streams.topic import Topic
from ombdriver.messaging.streams.trimmer import AcknowledgedTrimmer, TrimStatistics
from ombdriver.messaging.topics.codec import BytesCodec, Codec, JsonCodec, MsgspecCodec, PydanticCodec, StrCodec
from ombdriver.messaging.topics.consumer.config import ConsumerStatistics
from ombdriver.messaging.topics.consumer.consumer import Consumer
from ombdriver.messaging.topics.consumer.lag import Lag, PartitionLag
from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.producer.config import ProducerStatistics, RecordMetadata
from ombdriver.messaging.topics.producer.producer import Producer
from ombdriver.messaging.topics.record import Record
from ombdriver.messaging.topics.recovery.dead_letters import DeadLetter, DeadLetterPolicy, DeadLetters
from ombdriver.messaging.topics.recovery.delayed import DelayedMessages
from ombdriver.messaging.topics.runner.config import RunnerStatistics
from ombdriver.messaging.topics.runner.retry import ExponentialBackoff, RetryPolicy
from ombdriver.messaging.topics.runner.runner import Runner
from ombdriver.messaging.transport.channel import ChannelStatistics, ConnectionStatistics
from ombdriver.messaging.transport.registry import RedisPool

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
    "GroupCreateError",
    "GroupError",
    "GroupManager",
    "JsonCodec",
    "Lag",
    "MQClient",
    "MQConsumer",
    "MQProducer",
    "Message",
    "MessagingError",
    "MessagingValueError",
    "MsgspecCodec",
    "NotSentError",
    "OutcomeUnknownError",
    "PartitionLag",
    "Producer",
    "ProducerStatistics",
    "PydanticCodec",
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
