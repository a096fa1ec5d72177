"""The fields of a workload file, and what they must agree on. Pure.

Field names, meanings and defaults are those of the OpenMessaging Benchmark (OMB), so its files run unchanged; what is
ours besides is told in README.
"""

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from ombdriver.bench.payload import STAMP, KeyDistributor
from ombdriver.bench.profile_form import RateProfile, own_duration, profile_of
from ombdriver.bench.size_distribution import SizeRange, mean_size, parse_distribution
from ombdriver.bench.text import MINUTE, SECOND, format_duration
from ombdriver.bench.thresholds import Threshold
from ombdriver.bench.workload_fields import (
    FIND_THE_MAXIMUM,
    MAX_MESSAGE_BYTES,
    BacklogSize,
    DrainTimeout,
    MessageSize,
    ProbeDuration,
    ProbeRate,
    ProducerRate,
    Profiled,
    SampleInterval,
    SizeDistribution,
    TestDuration,
    Thresholds,
    WarmupDuration,
    Work,
    check_conditions,
    group_names,
)
from ombdriver.bench.workload_topics import TopicFields


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
                        f"{figure.name} is of messages that a run sends itself, and this one only reads; leave it out,"
                        " or ask for consumeRate"
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
