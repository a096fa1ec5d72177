"""Workload: what is sent and read, how fast and for how long. Strict and frozen; all errors of a file in one.

Field names, meanings and defaults are those of the OpenMessaging Benchmark (OMB), so its files run unchanged; what is
ours besides is in docs/reference/workload.md. Knows no server, driver, process or plan; what fields must agree on is
in `workload_rules`.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr

from ombdriver.bench.faults.spec import FaultSpec, read_faults
from ombdriver.bench.load.message import STAMP, KeyDistributor, PayloadSpec, SizeRange, mean_size, parse_distribution
from ombdriver.bench.load.processing_time import ProcessingTime
from ombdriver.bench.load.profile import Profile
from ombdriver.bench.spec.checked_model import CheckedModel, unquoted, validated
from ombdriver.bench.spec.errors import FieldError, FieldNames, render_errors
from ombdriver.bench.spec.fields import (
    FIND_THE_MAXIMUM,
    MAX_MESSAGE_BYTES,
    MAX_RATE,
    MAX_STREAMS,
    BacklogSize,
    DrainTimeout,
    Faults,
    MessageSize,
    Name,
    ProbeDuration,
    ProbeRate,
    ProcessingTimeText,
    ProducerRate,
    RateProfileField,
    SampleInterval,
    SizeDistribution,
    TestDuration,
    Thresholds,
    TopicList,
    WarmupDuration,
    group_names,
)
from ombdriver.bench.spec.foreign import HOLDS_A_WORKLOAD, WORKLOAD_KEYS, told_as
from ombdriver.bench.spec.overrides import Assignment, assigned
from ombdriver.bench.spec.rate_profile import own_duration, parse_profile, profile_of
from ombdriver.bench.spec.workload_rules import RULES
from ombdriver.bench.spec.yaml_file import YamlDocument, check_size, parse_document, read_payload, read_text
from ombdriver.bench.units import GIB, MINUTE, MS, SECOND, format_duration, is_maximum, parse_duration
from ombdriver.errors import InputError

_CAME_LATER = {"checksum": False, "arrivals": "uniform"}
"""Fields with a default that are younger than the hash; see `Workload.sha256`."""
_NOT_THE_LOAD = ("thresholds", "abortOnFail", "expect")
_DURATIONS = ("testDuration", "warmupDuration", "sampleInterval", "drainTimeout")


class Workload(CheckedModel):
    """A workload file as validated; made by `load` or `parse`. Attributes are the file's names in snake_case.

    Times are `test_ns`, `warmup_ns`, `sample_interval_ns` and `drain_timeout_ns`, in nanoseconds.
    """

    name: Name = Field(description="What results call this workload; the file's name when absent.")
    existing_topic_list: TopicList | None = Field(
        None, description="Topics that exist, to send to and to read, in place of new ones."
    )
    existing_produce_topic_list: TopicList | None = Field(None, description="Topics that exist and are only sent to.")
    existing_consume_topic_list: TopicList | None = Field(None, description="Topics that exist and are only read.")
    existing_topics_from: Literal["end", "beginning"] | None = Field(
        None,
        description="Where existing topics are read from: `end` (when absent) is what comes once the run has"
        " begun, `beginning` what is there, too.",
    )
    topics: int = Field(ge=0, le=MAX_STREAMS, description="Topics to create; 0 where existing ones are named.")
    partitions_per_topic: int = Field(
        ge=1,
        le=MAX_STREAMS,
        description="Partitions of each topic; each is a stream of its own. Times `topics` at most 100,000.",
    )
    key_distributor: KeyDistributor = Field(
        "NO_KEY",
        description="How messages get their keys. `NO_KEY`: none, partitions take turns. The others have 10,000"
        " keys, in turn or at random; a key chooses its partition by murmur2, as in Kafka.",
    )
    message_size: MessageSize = Field(
        description="Bytes of a message; the stamp takes the first 40. Need not be given beside a `payloadFile` or"
        " a `messageSizeDistribution`."
    )
    message_size_distribution: SizeDistribution | None = Field(
        None,
        description="Messages of several sizes: ranges of sizes with their weights. Sizes within a range are"
        " equally likely; `messageSize` is the mean of all. What is below 40 bytes becomes 40.",
    )
    use_randomized_payloads: bool = Field(False, description="Whether payloads are random, in part or wholly.")
    random_bytes_ratio: float = Field(0.0, ge=0, le=1, description="The random share of a payload; the rest is zeros.")
    randomized_payload_pool_size: int = Field(
        0,
        ge=0,
        le=1_000_000,
        validate_default=True,
        description="How many different random payloads there are; 1 or more with `useRandomizedPayloads`.",
    )
    payload_file: str | None = Field(
        None,
        min_length=1,
        description="A file with the bytes of a message, exactly `messageSize` of them. It is looked for in the"
        " working directory, the workload file's folder, and the folder above; it is not read when"
        " payloads are random.",
    )
    subscriptions_per_topic: int = Field(
        ge=0, le=1_000, description="Consumer groups; each receives every message. 0 for a run that only sends."
    )
    producers_per_topic: int = Field(
        ge=0, le=10_000, description="Producers of each topic. 0, with existing topics, for a run that only reads."
    )
    consumer_per_subscription: int = Field(
        ge=0,
        le=10_000,
        description="Consumers that share a group's messages. Times `subscriptionsPerTopic` at most 10,000.",
    )
    producer_rate: ProducerRate = Field(
        description="Messages per second, of all producers together. 0, as in OMB, or `max` finds the highest rate"
        " that is sustained. With a `rateProfile` it is the mean of that, and need not be given."
    )
    arrivals: Literal["uniform", "poisson"] = Field(
        "uniform",
        description="Whether messages are evenly spaced, or those of each producer come at random times (a Poisson"
        " process).",
    )
    slo: str | None = Field(
        None,
        description="With `producerRate: max`: a condition that a rate must meet besides, as `endToEndResponse.p99"
        " < 10ms`.",
    )
    probe_duration: ProbeDuration | None = Field(
        None, description="With `producerRate: max`: how long each rate is tried once it has settled; 5s when absent."
    )
    probe_rates: list[ProbeRate] | None = Field(
        None, min_length=1, description="With `producerRate: max`: the rates to try, rising, in place of a search."
    )
    probe_steps: int | None = Field(
        None,
        ge=2,
        le=100,
        description="With `producerRate: max`: how many rates, evenly spaced up to the highest, are tried after"
        " the search.",
    )
    consumer_backlog_size_gb: BacklogSize = Field(
        0,
        alias="consumerBacklogSizeGB",
        description="GiB, over all groups together as in OMB, that are stored while consumers pause, and that they"
        " then drain; 0 for no backlog.",
    )
    backlog_drain_ratio: float = Field(
        1.0, ge=0, le=1, description="The share of the backlog that is drained when it counts as drained."
    )
    test_duration_minutes: int | None = Field(
        None,
        ge=1,
        le=44_640,
        description="The measured time in minutes. This or `testDuration` is required, unless a `rateProfile` has"
        " stages.",
    )
    test_duration: TestDuration | None = Field(
        None, validate_default=True, description="The measured time, instead of `testDurationMinutes`."
    )
    rate_profile: RateProfileField = Field(
        None,
        description="How the rate changes over the measured time; constant when absent.",
    )
    warmup_duration_minutes: int | None = Field(
        None, ge=0, le=1_440, description="The warm-up in minutes; 1 when absent."
    )
    warmup_duration: WarmupDuration | None = Field(None, description="The warm-up, instead of `warmupDurationMinutes`.")
    sample_interval: SampleInterval = Field(
        "1s",
        validate_default=True,
        description="The time that one sample of a series covers; not longer than the test. A test that is shorter"
        " than a second is one sample when this is absent.",
    )
    drain_timeout: DrainTimeout = Field(
        "30s", validate_default=True, description="How long the end of a phase waits for what is on its way."
    )
    checksum: bool = Field(
        False,
        description="Whether each message carries a CRC-32 of itself, which consumers check. It costs about a"
        " microsecond a KiB on both sides.",
    )
    max_in_flight: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Messages that each producer may have without a reply; when absent, only the driver's limit"
        " holds (10,000 a process). 1 makes a closed loop: the next message waits for the reply to the"
        " last one.",
    )
    consumer_work: ProcessingTimeText | None = Field(
        None,
        description="How long a consumer works on each message, one after the other, between its arrival and its"
        " acknowledgement. A message that waits in its batch for those before it arrives when it is"
        " its turn.",
    )
    seed: int = Field(
        0,
        ge=-(2**63),
        le=2**63 - 1,
        description="What random payloads, keys and arrivals are made from: the same seed gives the same ones.",
    )
    thresholds: Thresholds = Field([], description="Conditions that a run is to meet, as `endToEndResponse.p99 < 5ms`.")
    faults: Faults = Field(
        None,
        description="What is broken in the measured time, as `{at: 10s, kill: primary, restartAfter: 2s}`.",
    )
    expect: Thresholds | None = Field(
        None, description="Conditions on what the faults do, in the form of thresholds, as `outage < 5s`."
    )
    sweep: dict[str, list[Any]] | None = Field(
        None,
        exclude=True,
        description="Settings that take several values in turn, as `workload.messageSize: [100, 1KiB]`; all"
        " combinations run.",
    )
    sweep_name: dict[Literal["workload", "setup"], str] | None = Field(
        None,
        exclude=True,
        description="What the combinations of a sweep are called: a template for `workload` and one for `setup`,"
        " as `{name}-{messageSize}`.",
    )
    abort_on_fail: bool = Field(False, description="Whether a run ends as soon as a threshold fails.")

    _content: bytes | None = PrivateAttr(None)

    @classmethod
    def load(cls, path: Path, given: Sequence[Assignment] = ()) -> Self:
        """The workload of a file, with what the command line puts into it.

        Raises:
            InputError: if the file can't be read or has errors; one sentence for each of them.
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
            InputError: if it has errors; one sentence for each of them.
        """
        return cls.from_document(parse_document(text, source), folder, given)

    @classmethod
    def from_document(
        cls, document: YamlDocument, folder: Path | None = None, given: Sequence[Assignment] = ()
    ) -> Self:
        """The workload of a file that was read already; otherwise as `parse`."""
        document, content = _resolved(unquoted(assigned(document, given, "workload"), _NAMES), folder)
        workload, errors = validated(cls, document, _NAMES, {cls: RULES})
        if workload is None:
            if what := told_as(document.data, setup=False):
                raise InputError(f"{document.source}: is {what}, and no workload")
            if any(key in document.data for key in HOLDS_A_WORKLOAD):
                errors = [error for error in errors if not error.is_missing]
            raise InputError(render_errors(document.source, errors))
        workload._content = content
        return workload

    @property
    def finds_the_maximum(self) -> bool:
        """Whether the rate is the highest that is sustained, which is to be found."""
        return self.producer_rate == FIND_THE_MAXIMUM and self.producers_per_topic > 0

    @property
    def sent_to(self) -> tuple[str, ...]:
        """The topics that exist and are sent to."""
        return (*(self.existing_topic_list or ()), *(self.existing_produce_topic_list or ()))

    @property
    def read(self) -> tuple[str, ...]:
        """The topics that exist and are read."""
        return (*(self.existing_topic_list or ()), *(self.existing_consume_topic_list or ()))

    @property
    def existing(self) -> tuple[str, ...]:
        """The topics that exist and are used in place of new ones."""
        return tuple(dict.fromkeys((*self.sent_to, *(self.existing_consume_topic_list or ()))))

    @property
    def only_reads(self) -> bool:
        """Whether it reads topics that exist, and sends nothing."""
        return not self.producers_per_topic and bool(self.existing)

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
    def fault_specs(self) -> tuple[FaultSpec, ...]:
        """What is broken in the measured time; none where nothing is."""
        return tuple(read_faults(self.faults)[0]) if self.faults else ()

    @property
    def conditions(self) -> tuple[str, ...]:
        """All that is demanded of a run: `thresholds`, then `expect`."""
        return (*self.thresholds, *(self.expect or ()))

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
    def processing_time(self) -> ProcessingTime | None:
        """How long a consumer is at work on each message; None for no time."""
        return None if self.consumer_work is None else ProcessingTime.parse(self.consumer_work)

    @property
    def sizes(self) -> tuple[SizeRange, ...]:
        """The ranges that sizes are drawn from; none when all messages have one size."""
        given = self.message_size_distribution
        return () if given is None else parse_distribution(given, STAMP.size, MAX_MESSAGE_BYTES)

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
        spec = {name: value for name, value in self.spec().items() if name not in _NOT_THE_LOAD}
        for name, default in _CAME_LATER.items():
            if spec.get(name) == default:
                del spec[name]
        canonical = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode() + b"\0" + (self._content or b"")).hexdigest()


def topic_count(spec: Mapping[str, Any]) -> int:
    """How many topics a workload has, new or existing, by its `spec`."""
    lists = ("existingTopicList", "existingProduceTopicList", "existingConsumeTopicList")
    return spec["topics"] or len({topic for name in lists for topic in spec.get(name) or ()})


def _resolved(document: YamlDocument, folder: Path | None) -> tuple[YamlDocument, bytes | None]:
    """`document` with what stands for a field that is not given, and the content of its payload file.

    What stands for a field and is wrong makes one error: the field gets a value that is valid.
    """
    data: dict[str, Any] = {"name": Path(document.source).stem or "workload", **document.data}
    errors, content = list(document.errors), None
    if is_maximum(data.get("producerRate")) and data.get("producersPerTopic") == 0:
        errors.append(
            _error(document, "producerRate", "max can't be found where nobody sends (producersPerTopic: 0); write 0")
        )
    file = data.get("payloadFile")
    if isinstance(file, str) and file and data.get("useRandomizedPayloads") is not True:
        try:
            content = read_payload(file, folder)
            data.setdefault("messageSize", len(content))
            check_size(data["messageSize"], content)
        except ValueError as error:
            errors.append(_error(document, "payloadFile", str(error)))
            data.setdefault("messageSize", "1KiB")
    _resolve_size(data)
    _resolve_time_and_rate(data)
    _resolve_interval(data)
    errors += _resolve_faults(document, data)
    return replace(document, data=data, errors=tuple(errors)), content


def _error(document: YamlDocument, key: str, message: str) -> FieldError:
    return FieldError(document.locations.get((key,), 0), key, message)


def _resolve_size(data: dict[str, Any]) -> None:
    """Puts the mean of a distribution of sizes in place of a size that is not given."""
    if data.get("messageSizeDistribution") is not None and data.get("messageSize") is None:
        try:
            ranges = parse_distribution(data["messageSizeDistribution"], STAMP.size, MAX_MESSAGE_BYTES)
            data["messageSize"] = mean_size(ranges)
        except ValueError:
            data["messageSize"] = "1KiB"  # the error is that of the distribution


def _resolve_time_and_rate(data: dict[str, Any]) -> None:
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
        rate = 1  # the error is that of the profile, or of the time
        if isinstance(given, list) and data.get("testDurationMinutes") is None:
            data.setdefault("testDuration", "10s")
    if data.get("producerRate") is None:
        data["producerRate"] = rate


def _resolve_faults(document: YamlDocument, data: dict[str, Any]) -> list[FieldError]:
    """What is wrong with each of the faults; with any of that the field is taken as if it were not given."""
    given = data.get("faults")
    if given is None:
        return []
    minutes, test_ns = data.get("testDurationMinutes"), None
    with contextlib.suppress(ValueError, TypeError):  # the time has an error of its own
        test_ns = parse_duration(data["testDuration"]) if "testDuration" in data else int(minutes or 0) * MINUTE
    errors = []
    for path, message in read_faults(given, test_ns or None)[1]:
        where = ("faults", *path)
        places = (document.locations.get(where[:end]) for end in range(len(where), 0, -1))
        location = next((place for place in places if place is not None), 0)
        if len(path) == 1:  # the entry as a whole has no key, but its first one has a line
            first = (at for key, at in document.locations.items() if key[:2] == where and len(key) == 3)
            location = next(first, location)
        errors.append(FieldError(location, ".".join(map(str, where)), message))
    if errors:
        data["faults"] = None
    return errors


def _resolve_interval(data: dict[str, Any]) -> None:
    """Makes a test that is shorter than the default of `sampleInterval` one sample."""
    if "sampleInterval" in data:
        return
    try:
        if 100 * MS <= parse_duration(data.get("testDuration")) < SECOND:
            data["sampleInterval"] = data["testDuration"]
    except ValueError:
        pass  # testDuration has an error of its own


_NAMES = FieldNames(Workload, WORKLOAD_KEYS)
