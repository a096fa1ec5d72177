"""Which topics a workload has, new or existing ones; and what others of its fields must agree on with that. Pure."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from ombdriver.bench import existing_topics
from ombdriver.bench.workload_fields import MAX_READERS, MAX_STREAMS, Name, TopicList


class TopicFields(BaseModel):
    """The first of the fields of a workload file; `workload_model` has the others."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", alias_generator=to_camel, allow_inf_nan=False)

    name: Name = Field(description="What results call this workload; the file's name when absent.")
    existing_topic_list: TopicList | None = Field(None, description="Topics that exist, in place of new ones.")
    existing_produce_topic_list: TopicList | None = Field(None, description="Those of them that are only sent to.")
    existing_consume_topic_list: TopicList | None = Field(None, description="Those of them that are only read.")
    existing_topics_from: Literal["end", "beginning"] | None = Field(
        None, description="Whether existing topics are read from where they end, or from their beginning; else end."
    )
    topics: int = Field(ge=0, le=MAX_STREAMS, description="Topics to create; 0 where existing ones are named.")
    partitions_per_topic: int = Field(ge=1, le=MAX_STREAMS, description="Partitions of each topic; each is a stream.")

    @field_validator("existing_topics_from")
    @classmethod
    def _of_existing(cls, start: str | None, info: ValidationInfo) -> str | None:
        if start is not None and not existing_topics.named(info.data):
            raise ValueError("has no effect on new topics, which are empty; remove it, or name existingTopicList")
        return start

    @field_validator("topics")
    @classmethod
    def _new_or_existing(cls, topics: int, info: ValidationInfo) -> int:
        return existing_topics.topics(topics, info.data)

    @field_validator("partitions_per_topic", "producers_per_topic", check_fields=False)
    @classmethod
    def _few_enough(cls, per_topic: int, info: ValidationInfo) -> int:
        topics = info.data.get("topics") or len(existing_topics.named(info.data)) or 1
        if (total := per_topic * topics) > MAX_STREAMS:
            raise ValueError(f"times topics makes {total:,}; write fewer, at most {MAX_STREAMS:,} in all")
        return per_topic

    @field_validator("producers_per_topic", check_fields=False)
    @classmethod
    def _somewhere_to_send(cls, producers: int, info: ValidationInfo) -> int:
        return existing_topics.producers(producers, info.data)

    @field_validator("consumer_per_subscription", check_fields=False)
    @classmethod
    def _few_readers(cls, consumers: int, info: ValidationInfo) -> int:
        if (total := consumers * info.data.get("subscriptions_per_topic", 1)) > MAX_READERS:
            raise ValueError(
                f"times subscriptionsPerTopic makes {total:,} readers; write fewer, at most {MAX_READERS:,}"
            )
        return existing_topics.consumers(consumers, info.data)

    @field_validator("producer_rate", "arrivals", check_fields=False)
    @classmethod
    def _with_producers(cls, value: int | str, info: ValidationInfo) -> int | str:
        if info.data.get("producers_per_topic") == 0 and value not in (0, "uniform"):
            nothing = "uniform" if isinstance(value, str) else "0"
            raise ValueError(f"{value} has no meaning where nobody sends (producersPerTopic: 0); write {nothing}")
        return value

    @field_validator("checksum", "max_in_flight", check_fields=False)
    @classmethod
    def _of_producers(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and info.data.get("producers_per_topic") == 0:
            raise ValueError("has no effect where nobody sends (producersPerTopic: 0); leave it out")
        return value
