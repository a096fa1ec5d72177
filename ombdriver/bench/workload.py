"""Workload: what is sent and read, how fast and for how long. Strict and frozen; every fault of a file in one error.

Field names, meanings and defaults are those of the OpenMessaging Benchmark (OMB), so its files run unchanged. Knows no
server, driver, process or plan, and opens no file itself.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import PrivateAttr, ValidationError

from ombdriver.bench import existing_topics
from ombdriver.bench.assignments import Assignment, assigned
from ombdriver.bench.consumer_work import ConsumerWork
from ombdriver.bench.faults import Fault, FieldNames, faults_of, sentences
from ombdriver.bench.overrides import Overrides
from ombdriver.bench.payload import STAMP, PayloadSpec
from ombdriver.bench.payloadfile import check_size, read_payload
from ombdriver.bench.profile import Profile
from ombdriver.bench.profile_form import own_duration, parse_profile, profile_of
from ombdriver.bench.size_distribution import mean_size, parse_distribution
from ombdriver.bench.text import GIB, MINUTE, SECOND, format_duration, parse_duration
from ombdriver.bench.workload_fields import (
    FIND_THE_MAXIMUM,
    MAX_MESSAGE_BYTES,
    MAX_RATE,
    group_names,
    with_short_interval,
)
from ombdriver.bench.workload_model import WorkloadFields
from ombdriver.bench.yamlfile import parse_document, read_text
from ombdriver.errors import InputError

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
                faults.append(Fault(document.lines["payloadFile",], "payloadFile", str(error)))
                data.setdefault("messageSize", "1KiB")  # or else it would be called missing, too
        _tell_mean_size(data)
        _tell_time_and_rate(data)
        try:
            workload = cls.model_validate(with_short_interval(data))
        except ValidationError as error:
            told = {(fault.line, fault.field) for fault in faults}
            more = faults_of(error, document.lines, _FILE_NAMES)
            faults += [fault for fault in more if (fault.line, fault.field) not in told]
        if faults:
            raise InputError(sentences(source, faults))
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
            raise InputError(overrides.told(faults_of(error, {}, _FILE_NAMES), self.name)) from error
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
        return existing_topics.named(dict(self))

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
    def work(self) -> ConsumerWork | None:
        """What a consumer does with each message; None for nothing."""
        return None if self.consumer_work is None else ConsumerWork.parse(self.consumer_work)

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
