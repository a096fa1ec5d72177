"""Options as clients of Kafka, AMQP and NATS call them, and what stands for them here. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


def _each(ways_out: Mapping[str, str]) -> dict[str, str]:
    """A row for each of the names that share a way out."""
    return {name: way_out for names, way_out in ways_out.items() for name in names.split()}


_CODEC = "give codec=JsonCodec(), or another codec"
_KEY = "a key is str or bytes"
_MEMBER = _each(
    {
        "group_id consumer_group group_name": "the group is the second argument",
        "client_id consumer_id consumer_name": "the name of a member is the third argument",
        "deserializer value_deserializer decoder": _CODEC,
        "key_deserializer": _KEY,
        "auto_offset_reset deliver_policy from_beginning last_id": "give start='earliest', 'latest', an id or a time",
        "ack_wait ack_timeout min_idle_time": "give visibility_timeout_ms",
        "batch_size count max_poll_records": "give prefetch",
        "partitions num_partitions": "give a Topic(name, partitions)",
    }
)
WAYS_OUT: Final = MappingProxyType(
    {
        "client.producer()": _each(
            {
                "serializer value_serializer encoder": _CODEC,
                "key_serializer": _KEY,
                "partitioner": "the key of a message chooses its partition, or send(…, partition=…)",
                "partitions num_partitions": "give a Topic(name, partitions)",
                "maxlen max_length max_age_s trim": "give retention=Retention(max_length=…)",
                "batch_size": "give max_batch_bytes or max_batch_messages",
                "buffer_memory": "give buffer_bytes",
                "timeout request_timeout_ms": "give delivery_timeout_ms",
                "retries enable_idempotence idempotent": "give on_unknown='resend' or 'idempotent'",
                "acks": "a message counts as sent when the server has it",
            }
        ),
        "client.consumer()": _MEMBER
        | _each(
            {
                "auto_ack no_ack enable_auto_commit": "await message.ack() when the message is handled",
                "handler concurrency retry dead_letter max_deliveries max_workers": "client.runner() takes it",
            }
        ),
        "client.runner()": _MEMBER
        | _each(
            {
                "auto_ack no_ack enable_auto_commit": "a message is acknowledged when its handler returns",
                "max_deliveries max_deliver max_attempts max_retries backoff": "give retry=RetryPolicy(…)",
                "dlq maxlen": "give dead_letter=DeadLetterPolicy(…)",
                "max_workers workers": "give concurrency",
                "handlers": "give handler, one function",
                "signals": "give it to run()",
            }
        ),
    }
)
"""By the call that has no such option: the way out for each name, in lower case."""
