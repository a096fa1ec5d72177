"""Workload: what is sent and read, how fast and for how long. Strict and frozen; every fault of a file in one error.

Field names, meanings and defaults are those of the OpenMessaging Benchmark (OMB), so its files run unchanged. Knows no
server, driver, process or plan, and opens no file itself.

Topics that exist, as a workload names them: which are sent to, which are read, and what must agree on that. Pure.

`existingTopicList` names topics that are sent to and read, the two other lists those that are only one of both. The
names of the fields are those of OMB's forks; OMB itself has none.

Which topics a workload has, new or existing ones; and what others of its fields must agree on with that. Pure.

The fields of a workload file, and what they must agree on. Pure.

Field names, meanings and defaults are those of the OpenMessaging Benchmark (OMB), so its files run unchanged; what is
ours besides is told in README.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from ombdriver.bench.load.message import STAMP, KeyDistributor, PayloadSpec, SizeRange, mean_size, parse_distribution
from ombdriver.bench.load.processing_time import ProcessingTime
from ombdriver.bench.load.profile import Profile
from ombdriver.bench.spec.errors import FieldError, FieldNames, field_errors, render_errors
from ombdriver.bench.spec.fields import (
    FIND_THE_MAXIMUM,
    MAX_MESSAGE_BYTES,
    MAX_RATE,
    MAX_READERS,
    MAX_STREAMS,
    BacklogSize,
    DrainTimeout,
    MessageSize,
    Name,
    ProbeDuration,
    ProbeRate,
    ProducerRate,
    Profiled,
    SampleInterval,
    SizeDistribution,
    TestDuration,
    Thresholds,
    TopicList,
    WarmupDuration,
    Work,
    check_conditions,
    group_names,
    with_short_interval,
)
from ombdriver.bench.spec.overrides import Assignment, Overrides, assigned
from ombdriver.bench.spec.rate_profile import RateProfile, own_duration, parse_profile, profile_of
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.spec.yaml_file import check_size, parse_document, read_payload, read_text
from ombdriver.bench.units import GIB, MINUTE, SECOND, format_duration, parse_duration
from ombdriver.errors import InputError

BOTH, SENT_TO, READ = "existing_topic_list", "existing_produce_topic_list", "existing_consume_topic_list"


def named(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Every topic of the lists, once; `data` has a workload's fields as far as they are valid."""
    return tuple(dict.fromkeys(_of(data, BOTH, SENT_TO, READ)))


def in_file(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The same of a workload under the file's names."""
    lists = ("existingTopicList", "existingProduceTopicList", "existingConsumeTopicList")
    return named(dict(zip((BOTH, SENT_TO, READ), map(spec.get, lists), strict=True)))


def _of(data: Mapping[str, Any], *lists: str) -> list[str]:
    return [name for each in lists for name in data.get(each) or ()]


def check_new_topics(count: int, data: Mapping[str, Any]) -> int:
    """How many new topics there are, if that goes with the lists.

    Raises:
        ValueError: if not; so do the next two.
    """
    if not count and not named(data):
        raise ValueError("0 is too small; write 1 or more, or name topics that exist (existingTopicList)")
    if count and named(data):
        raise ValueError("is given beside topics that exist; write 0, or remove their list")
    return count


def check_producers(count: int, data: Mapping[str, Any]) -> int:
    """How many producers a topic has, if there is where to send to, and somebody sends where nothing is."""
    if not named(data):
        if not count and data.get("topics"):
            raise ValueError(
                "0 leaves new topics empty; write 1 or more, or name topics that exist, which others send to"
                " (existingTopicList)"
            )
    elif count and not _of(data, BOTH, SENT_TO):
        raise ValueError(f"{count} have nowhere to send to; write 0, or name their topics in existingTopicList")
    elif not count and data.get(SENT_TO):
        raise ValueError("0 leaves nobody who sends to existingProduceTopicList; write 1 or more, or remove the list")
    return count


def check_consumers(count: int, data: Mapping[str, Any]) -> int:
    """How many consumers a group has, if there is what to read, and if what is sent is read or nobody reads."""
    if not named(data):
        return count
    sending, reading = data.get("producers_per_topic", 1), count and data.get("subscriptions_per_topic", 1)
    sent_to, read = set(_of(data, BOTH, SENT_TO)), set(_of(data, BOTH, READ))
    if not sending and not reading:
        raise ValueError("0 leaves nobody who sends or reads; write 1 or more, or so many producersPerTopic")
    if reading and not read:
        raise ValueError(f"{count} have nothing to read; write 0, or name their topics in existingTopicList")
    if not reading and data.get(READ):
        raise ValueError("0 leaves nobody who reads existingConsumeTopicList; write 1 or more, or remove the list")
    if sending and reading and sent_to != read:
        only = sorted(sent_to ^ read)[0]
        raise ValueError(
            f"would leave messages of {only!r} without an account, since it is not both sent to and read; name the same"
            " topics for both, or run one workload that sends (consumerPerSubscription: 0) beside one that reads"
            " (producersPerTopic: 0)"
        )
    return count


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
        if start is not None and not named(info.data):
            raise ValueError("has no effect on new topics, which are empty; remove it, or name existingTopicList")
        return start

    @field_validator("topics")
    @classmethod
    def _new_or_existing(cls, topics: int, info: ValidationInfo) -> int:
        return check_new_topics(topics, info.data)

    @field_validator("partitions_per_topic", "producers_per_topic", check_fields=False)
    @classmethod
    def _few_enough(cls, per_topic: int, info: ValidationInfo) -> int:
        topics = info.data.get("topics") or len(named(info.data)) or 1
        if (total := per_topic * topics) > MAX_STREAMS:
            raise ValueError(f"times topics makes {total:,}; write fewer, at most {MAX_STREAMS:,} in all")
        return per_topic

    @field_validator("producers_per_topic", check_fields=False)
    @classmethod
    def _somewhere_to_send(cls, producers: int, info: ValidationInfo) -> int:
        return check_producers(producers, info.data)

    @field_validator("consumer_per_subscription", check_fields=False)
    @classmethod
    def _few_readers(cls, consumers: int, info: ValidationInfo) -> int:
        if (total := consumers * info.data.get("subscriptions_per_topic", 1)) > MAX_READERS:
            raise ValueError(
                f"times subscriptionsPerTopic makes {total:,} readers; write fewer, at most {MAX_READERS:,}"
            )
        return check_consumers(consumers, info.data)

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


class WorkloadFields(TopicFields):
    """What a workload file may hold. Attributes are the file's names in snake_case."""

    key_distributor: KeyDistributor = Field("NO_KEY", description="How messages get their keys.")
    message_size: MessageSize = Field(description="Size of a message, stamp included: bytes, or 1KiB, 64KB (64,000).")
    message_size_distribution: SizeDistribution | None = Field(
        None, description="Ranges of sizes with their weights, in place of one size: {100-1KiB: 3, 1KiB-64KiB: 1}."
    )
    use_randomized_payloads: bool = Field(False, description="Whether payloads are random, in part or wholly.")
    random_bytes_ratio: float = Field(0.0, ge=0, le=1, description="The random share of a payload; the rest is zeros.")
    randomized_payload_pool_size: int = Field(
        0, ge=0, le=1_000_000, validate_default=True, description="How many different randomized payloads there are."
    )
    payload_file: str | None = Field(
        None, min_length=1, description="A file with the bytes of a message; not read when payloads are randomized."
    )
    subscriptions_per_topic: int = Field(ge=0, le=1_000, description="Consumer groups; each receives every message.")
    producers_per_topic: int = Field(ge=0, le=10_000, description="Producers of each topic.")
    consumer_per_subscription: int = Field(ge=0, le=10_000, description="Consumers that share a group's messages.")
    producer_rate: ProducerRate = Field(
        description="Messages per second, of all producers together; 0 or max: the highest that is sustained is found."
    )
    arrivals: Literal["uniform", "poisson"] = Field(
        "uniform", description="Whether messages are evenly spaced, or each producer's arrivals are random."
    )
    slo: str | None = Field(
        None, description="A condition that a rate must meet to be sustained, as endToEndResponse.p99 < 10ms."
    )
    probe_duration: ProbeDuration | None = Field(
        None, description="How long each rate is tried when the highest one is to be found; else 5s."
    )
    probe_rates: list[ProbeRate] | None = Field(
        None, min_length=1, description="Rates to try, rising, in place of a search: the latency at each of them."
    )
    probe_steps: int | None = Field(
        None, ge=2, le=100, description="So many rates, evenly spaced up to the highest, are tried after the search."
    )
    consumer_backlog_size_gb: BacklogSize = Field(
        0,
        alias="consumerBacklogSizeGB",
        description="GiB, over all groups, that paused consumers are to have before them and to drain; 0: none.",
    )
    backlog_drain_ratio: float = Field(
        1.0, ge=0, le=1, description="The share of the backlog that is drained when it counts as drained."
    )
    test_duration_minutes: int | None = Field(None, ge=1, le=44_640, description="The measured time in minutes.")
    test_duration: TestDuration | None = Field(
        None, validate_default=True, description="The measured time, instead of testDurationMinutes."
    )
    rate_profile: Profiled = Field(
        None,
        description="How the rate changes over the measured time, in place of producerRate: stages as"
        " {duration: 30s, rate: 1000} and {duration: 10s, from: 1000, to: 5000}, or a ramp, steps or a spike.",
    )
    warmup_duration_minutes: int | None = Field(None, ge=0, le=1_440, description="The warm-up in minutes; else 1.")
    warmup_duration: WarmupDuration | None = Field(None, description="The warm-up, instead of warmupDurationMinutes.")
    sample_interval: SampleInterval = Field(
        "1s", validate_default=True, description="The time that one sample of a series covers."
    )
    drain_timeout: DrainTimeout = Field(
        "30s", validate_default=True, description="How long what is in flight at the end is waited for."
    )
    checksum: bool = Field(False, description="Whether each message carries a checksum, which consumers look at.")
    max_in_flight: int | None = Field(
        None, ge=1, le=1_000_000, description="Messages that a producer may have without a reply; 1 is a closed loop."
    )
    consumer_work: Work | None = Field(
        None, description="How long a consumer is at work on each message, as 1ms, 250us or 2ms exponential."
    )
    seed: int = Field(0, ge=-(2**63), le=2**63 - 1, description="What random payloads and keys come from.")
    thresholds: Thresholds = Field([], description="Conditions that a run is to meet, as endToEndResponse.p99 < 5ms.")
    sweep: dict[str, list[Any]] | None = Field(
        None,
        exclude=True,
        description="Settings that take values in turn, as workload.messageSize: [100, 1KiB]; all combinations run.",
    )
    sweep_name: dict[Literal["workload", "setup"], str] | None = Field(
        None, exclude=True, description="What the combinations of a sweep are called: workload: '{name}-{messageSize}'."
    )
    abort_on_fail: bool = Field(False, description="Whether a run ends as soon as a threshold fails.")

    @property
    def sizes(self) -> tuple[SizeRange, ...]:
        """The ranges that sizes are drawn from; none when all messages have one size."""
        given = self.message_size_distribution
        return () if given is None else parse_distribution(given, STAMP.size, MAX_MESSAGE_BYTES)

    # -- what fields must agree on: each rule stands with the last of its fields, and sees those that are valid ----

    @field_validator("message_size_distribution")
    @classmethod
    def _mean_told(cls, given: dict[str, int] | None, info: ValidationInfo) -> dict[str, int] | None:
        size = info.data.get("message_size")
        if given is None or size is None:
            return given
        mean = mean_size(parse_distribution(given, STAMP.size, MAX_MESSAGE_BYTES))
        if size != mean:
            raise ValueError(f"has a mean of {mean}, and messageSize is {size}; leave messageSize out")
        return given

    @field_validator("payload_file")
    @classmethod
    def _one_size(cls, file: str | None, info: ValidationInfo) -> str | None:
        if file is not None and info.data.get("message_size_distribution") is not None:
            raise ValueError("has one size, and messageSizeDistribution has several; leave one of them out")
        return file

    @field_validator("randomized_payload_pool_size")
    @classmethod
    def _some_payloads(cls, pool: int, info: ValidationInfo) -> int:
        if info.data.get("use_randomized_payloads") and not pool:
            raise ValueError("useRandomizedPayloads needs a pool of payloads; write 1 or more, for example 1000")
        return pool

    @field_validator("slo")
    @classmethod
    def _one_condition(cls, slo: str | None, info: ValidationInfo) -> str | None:
        if slo is None:
            return None
        if not _finds_the_maximum(info, unless_invalid=True):
            raise ValueError("has no effect on a given producerRate; write it under thresholds, or producerRate: max")
        groups, consumers = (info.data.get(name) for name in ("subscriptions_per_topic", "consumer_per_subscription"))
        known = None if groups is None or consumers is None else group_names(groups, consumers)
        return check_conditions([slo], known)[0]

    @field_validator("probe_duration")
    @classmethod
    def _of_probes(cls, duration: int | None, info: ValidationInfo) -> int | None:
        if duration is not None:
            _only_for_the_maximum(info)
        return duration

    @field_validator("probe_rates")
    @classmethod
    def _rising(cls, rates: list[int] | None, info: ValidationInfo) -> list[int] | None:
        if rates is not None:
            _only_for_the_maximum(info)
            if sorted(set(rates)) != rates:
                raise ValueError(f"{rates} do not rise; write each rate once, the lowest first")
        return rates

    @field_validator("probe_steps")
    @classmethod
    def _after_a_search(cls, steps: int | None, info: ValidationInfo) -> int | None:
        if steps is not None:
            _only_for_the_maximum(info)
            if info.data.get("probe_rates") is not None:
                raise ValueError("is for a search, which probeRates take the place of; leave one of them out")
        return steps

    @field_validator("consumer_backlog_size_gb")
    @classmethod
    def _can_be_drained(cls, size: float, info: ValidationInfo) -> float:
        if not size:
            return size
        if info.data.get("arrivals") == "poisson":
            raise ValueError(
                "random arrivals are drawn for a time that is known, and a drain takes as long as it takes;"
                " write arrivals: uniform, or 0 here"
            )
        if info.data.get("producer_rate") == FIND_THE_MAXIMUM:
            raise ValueError("a backlog is built at a rate that is given; write a producerRate above 0, or 0 here")
        if 0 in (info.data.get("subscriptions_per_topic"), info.data.get("consumer_per_subscription")):
            raise ValueError("nobody reads, so nobody drains a backlog; write 0 here, or give the topics consumers")
        return size

    @field_validator("test_duration")
    @classmethod
    def _one_test_duration(cls, duration: int | None, info: ValidationInfo) -> int | None:
        minutes = info.data.get("test_duration_minutes")
        if duration is not None and minutes is not None:
            raise ValueError("is given beside testDurationMinutes; remove one of the two")
        if duration is None and minutes is None and "test_duration_minutes" in info.data:
            raise ValueError("is missing; add a line testDuration: 30s, or testDurationMinutes: 5")
        return duration

    @field_validator("rate_profile")
    @classmethod
    def _of_the_test(cls, form: RateProfile | None, info: ValidationInfo) -> RateProfile | None:
        rate, test = info.data.get("producer_rate"), _test_ns(info)
        if form is not None and info.data.get("consumer_backlog_size_gb"):
            raise ValueError("a backlog is built and drained at one rate; leave this out, or consumerBacklogSizeGB")
        if form is None or rate is None or not test:
            return form
        if info.data.get("producers_per_topic") == 0:
            raise ValueError("nobody sends, so there is no rate to change; leave this out, or write producersPerTopic")
        if rate == FIND_THE_MAXIMUM:
            raise ValueError("is of given rates, and producerRate: max finds one; leave one of them out")
        own = own_duration(form)
        if own not in (None, test):
            told = f"takes {format_duration(own)} in all, and the test {format_duration(test)}"
            raise ValueError(f"{told}; change its stages, or leave testDuration out, which is their sum then")
        usual = profile_of(form, test).usual_rate
        if rate != usual:
            raise ValueError(f"has a mean of {usual:,}/s, and producerRate is {rate:,}; leave that out, or the profile")
        return form

    @field_validator("warmup_duration")
    @classmethod
    def _one_warmup_duration(cls, duration: int | None, info: ValidationInfo) -> int | None:
        if duration is not None and info.data.get("warmup_duration_minutes") is not None:
            raise ValueError("is given beside warmupDurationMinutes; remove one of the two")
        return duration

    @field_validator("sample_interval")
    @classmethod
    def _within_the_test(cls, interval: int, info: ValidationInfo) -> int:
        test = _test_ns(info)
        if test and interval > test:
            text = format_duration(interval)
            raise ValueError(f"{text} is longer than the test ({format_duration(test)}); write a shorter one, as 100ms")
        if _finds_the_maximum(info, unless_invalid=False) and interval > SECOND:
            text = format_duration(interval)
            raise ValueError(f"{text} is too long to find the highest rate by; write 1s or less")
        return interval

    @field_validator("thresholds")
    @classmethod
    def _of_groups(cls, thresholds: list[str], info: ValidationInfo) -> list[str]:
        groups, consumers = (info.data.get(name) for name in ("subscriptions_per_topic", "consumer_per_subscription"))
        if groups is None or consumers is None:
            return thresholds
        check_conditions(thresholds, group_names(groups, consumers))
        if info.data.get("producers_per_topic") == 0:
            for text in thresholds:
                if not (figure := Threshold.parse(text).figure).of_any_run:
                    raise ValueError(
                        f"{figure.family} is of messages that a run sends itself, and this one only reads;"
                        " leave it out, or ask for consumeRate"
                    )
        return thresholds


def _test_ns(info: ValidationInfo) -> int:
    """The measured time; 0 when it is not given, or not valid."""
    return info.data.get("test_duration") or (info.data.get("test_duration_minutes") or 0) * MINUTE


def _only_for_the_maximum(info: ValidationInfo) -> None:
    if not _finds_the_maximum(info, unless_invalid=True):
        raise ValueError("has no effect on a given producerRate; write producerRate: max")


def _finds_the_maximum(info: ValidationInfo, *, unless_invalid: bool) -> bool:
    """Whether the highest rate is to be found; `unless_invalid` is the answer where the rate is not known."""
    if info.data.get("producers_per_topic") == 0:
        return False
    rate = info.data.get("producer_rate")
    return unless_invalid if rate is None else rate == FIND_THE_MAXIMUM


_CAME_LATER = {"checksum": False, "arrivals": "uniform"}
"""Fields with a default that are younger than the hash; see `Workload.sha256`."""
_NOT_THE_LOAD = ("thresholds", "abortOnFail")
_DURATIONS = ("testDuration", "warmupDuration", "sampleInterval", "drainTimeout")


class Workload(WorkloadFields):
    """A workload file as validated; made by `load` or `parse`. Attributes are the file's names in snake_case.

    Times are told by `test_ns`, `warmup_ns`, `sample_interval_ns` and `drain_timeout_ns`, in nanoseconds.
    """

    _content: bytes | None = PrivateAttr(None)

    # -- made from -------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: Path, given: Sequence[Assignment] = ()) -> Self:
        """The workload of a file, with what the command line puts into it.

        Raises:
            InputError: if the file can't be read or has faults; one sentence for each of them.
        """
        return cls.parse(read_text(path), str(path), path.parent, given)

    @classmethod
    def parse(cls, text: str, source: str, folder: Path | None = None, given: Sequence[Assignment] = ()) -> Self:
        """The workload of a file's text.

        Args:
            text: YAML.
            source: what messages call the file; its stem names a workload that has no name.
            folder: where a relative `payloadFile` is looked for, after the working directory.
            given: what the command line puts into the file.

        Raises:
            InputError: if it has faults; one sentence for each of them.
        """
        document = assigned(parse_document(text, source), given, "workload")
        faults = list(document.faults)
        data: dict[str, Any] = {"name": Path(source).stem or "workload", **document.data}
        content = None
        file = data.get("payloadFile")
        if isinstance(file, str) and file and data.get("useRandomizedPayloads") is not True:
            try:
                content = read_payload(file, folder)
                data.setdefault("messageSize", len(content))
                check_size(data["messageSize"], content)
            except ValueError as error:
                faults.append(FieldError(document.lines["payloadFile",], "payloadFile", str(error)))
                data.setdefault("messageSize", "1KiB")  # or else it would be called missing, too
        _tell_mean_size(data)
        _tell_time_and_rate(data)
        try:
            workload = cls.model_validate(with_short_interval(data))
        except ValidationError as error:
            told = {(fault.line, fault.field) for fault in faults}
            more = field_errors(error, document.lines, _FILE_NAMES)
            faults += [fault for fault in more if (fault.line, fault.field) not in told]
        if faults:
            raise InputError(render_errors(source, faults))
        workload._content = content
        return workload

    def with_overrides(self, overrides: Overrides) -> Self:
        """This workload with what the command line gives instead of its own values, or besides them.

        Raises:
            InputError: if the result is not valid; faults are named by the option, or, if another field does not go
                with it, by the workload, the options and that field.
        """
        data = overrides.applied(self.spec(), "sample_interval" in self.model_fields_set)
        if overrides.rate is None and data.get("rateProfile") is not None:
            del data["producerRate"]  # its mean may be another one over another time
            _tell_time_and_rate(data)
        try:
            workload = self.model_validate(with_short_interval(data))
        except ValidationError as error:
            raise InputError(overrides.told(field_errors(error, {}, _FILE_NAMES), self.name)) from error
        workload._content = self._content
        return workload

    # -- read by others --------------------------------------------------------------------------------------------

    @property
    def finds_the_maximum(self) -> bool:
        """Whether the rate is the highest that is sustained, which is to be found."""
        return self.producer_rate == FIND_THE_MAXIMUM and self.producers_per_topic > 0

    @property
    def existing(self) -> tuple[str, ...]:
        """The topics that exist and are used in place of new ones."""
        return named(dict(self))

    @property
    def topic_count(self) -> int:
        """How many topics there are, new or existing."""
        return self.topics or len(self.existing)

    @property
    def test_ns(self) -> int:
        """The measured time."""
        return self.test_duration or (self.test_duration_minutes or 0) * MINUTE

    @property
    def profile(self) -> Profile | None:
        """How the rate changes over the measured time; None when it does not."""
        return None if self.rate_profile is None else profile_of(self.rate_profile, self.test_ns)

    @property
    def warmup_ns(self) -> int:
        """The warm-up; 0 for none."""
        if self.warmup_duration is not None:
            return self.warmup_duration
        return (1 if self.warmup_duration_minutes is None else self.warmup_duration_minutes) * MINUTE

    @property
    def probe_ns(self) -> int:
        """How long each rate is tried, when the highest one is to be found."""
        return 5 * SECOND if self.probe_duration is None else self.probe_duration

    @property
    def sample_interval_ns(self) -> int:
        """The time that one sample of a series covers."""
        return self.sample_interval

    @property
    def drain_timeout_ns(self) -> int:
        """How long what is in flight at the end is waited for."""
        return self.drain_timeout

    @property
    def backlog_bytes(self) -> int:
        """The size of the backlog that is built, over all groups together; 0 for none."""
        return round(self.consumer_backlog_size_gb * GIB)

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups that are read; none when nobody reads."""
        return group_names(self.subscriptions_per_topic, self.consumer_per_subscription)

    @property
    def work(self) -> ProcessingTime | None:
        """What a consumer does with each message; None for nothing."""
        return None if self.consumer_work is None else ProcessingTime.parse(self.consumer_work)

    @property
    def payload(self) -> PayloadSpec:
        """The bytes and the keys of the messages."""
        return PayloadSpec(
            size=self.message_size,
            content=self._content,
            random_ratio=self.random_bytes_ratio if self.use_randomized_payloads else None,
            pool=max(1, self.randomized_payload_pool_size),
            keys=self.key_distributor,
            seed=self.seed,
            checksums=self.checksum,
            sizes=self.sizes,
        )

    def spec(self) -> dict[str, Any]:
        """The workload as resolved, under the file's names and ready for JSON; `parse` takes it back as YAML."""
        data = self.model_dump(by_alias=True, exclude_none=True)
        for minutes in ("testDurationMinutes", "warmupDurationMinutes"):
            data.pop(minutes, None)
        times = (self.test_ns, self.warmup_ns, self.sample_interval_ns, self.drain_timeout_ns)
        data |= dict(zip(_DURATIONS, map(format_duration, times), strict=True))
        return data | ({"probeDuration": format_duration(self.probe_ns)} if self.finds_the_maximum else {})

    @property
    def sha256(self) -> str:
        """A hash of the resolved workload and of the payload file's content, in hexadecimal digits.

        What is demanded of a run, by thresholds, does not make another load of it.
        A field that came later is left out at its default, so that it does not change the hash of what was before.
        """
        told = {name: value for name, value in self.spec().items() if name not in _NOT_THE_LOAD}
        for name, default in _CAME_LATER.items():
            if told.get(name) == default:
                del told[name]
        canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode() + b"\0" + (self._content or b"")).hexdigest()


def _tell_mean_size(data: dict[str, Any]) -> None:
    """Puts the mean of a distribution of sizes in place of a size that is not given."""
    if data.get("messageSizeDistribution") is not None and data.get("messageSize") is None:
        try:
            ranges = parse_distribution(data["messageSizeDistribution"], STAMP.size, MAX_MESSAGE_BYTES)
            data["messageSize"] = mean_size(ranges)
        except ValueError:
            data["messageSize"] = "1KiB"  # the fault is told with the distribution


def _tell_time_and_rate(data: dict[str, Any]) -> None:
    """Puts the length of a profile and its mean in place of a time and a rate that are not given."""
    given = data.get("rateProfile")
    if given is None:
        return
    try:
        form = parse_profile(given, MAX_RATE)
        if form is None:
            return
        own = own_duration(form)
        if own is not None and data.get("testDuration") is None and data.get("testDurationMinutes") is None:
            data["testDuration"] = format_duration(own)
        minutes = data.get("testDurationMinutes")
        test_ns = minutes * MINUTE if isinstance(minutes, int) else parse_duration(data.get("testDuration"))
        rate = profile_of(form, test_ns).usual_rate
    except ValueError:
        rate = 1  # the fault is told with the profile, or with the time
        if isinstance(given, list) and data.get("testDurationMinutes") is None:
            data.setdefault("testDuration", "10s")
    if data.get("producerRate") is None:
        data["producerRate"] = rate


_FILE_NAMES = FieldNames.of(Workload)
