"""An asyncio messaging library on Redis Streams; the command `ombdriver` is a load harness on it.

The names here are those of `ombdriver.messaging`. They are loaded when one is first asked for, so that the command,
which imports this package too, starts quickly.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ombdriver.messaging import (
        AcknowledgedTrimmer,
        AioGroupCreateError,
        AioGroupError,
        AioRedisMQException,
        AioRedisMQValueError,
        BufferFullError,
        BytesCodec,
        ChannelStatistics,
        ClosedError,
        Codec,
        ConnectionLost,
        ConnectionStatistics,
        Consumer,
        ConsumerStatistics,
        DeadLetter,
        DeadLetterPolicy,
        DeadLetters,
        DelayedMessages,
        ExponentialBackoff,
        Group,
        GroupConsumer,
        GroupCreateError,
        GroupError,
        GroupManager,
        JsonCodec,
        Lag,
        Message,
        MessagingError,
        MessagingValueError,
        MQClient,
        MQConsumer,
        MQProducer,
        MsgspecCodec,
        NotSentError,
        OutcomeUnknownError,
        PartitionLag,
        Producer,
        ProducerStatistics,
        PydanticCodec,
        Record,
        RecordMetadata,
        RedisPool,
        Retention,
        RetryPolicy,
        Runner,
        RunnerStatistics,
        StrCodec,
        Topic,
        TrimStatistics,
    )

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

__version__ = "0.2.0"


if not TYPE_CHECKING:  # for a type checker, a name that is not above is a mistake

    def __getattr__(name: str) -> object:
        if name in __all__ or name == "messaging":
            from importlib import import_module

            messaging = import_module("ombdriver.messaging")
            return messaging if name == "messaging" else getattr(messaging, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
