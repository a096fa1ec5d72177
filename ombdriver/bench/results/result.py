"""Result: what a run found, as data; JSON in and out, versioned.

Pure: knows no clock, file, histogram or terminal. Names that the OpenMessaging Benchmark (OMB) uses in its TestResult
keep its meaning, unit and type (`publish` and `endToEnd` in ms, `publishDelay` in whole µs, its average with decimals);
what is ours has a name of its own.
Where there was no sample there is `null`, never 0 and never NaN.

What a result is made of: latencies as figures, consumer groups, caveats; and their names in JSON. Pure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any

from ombdriver.bench.metrics.summary import FAMILIES, GROUP_FAMILIES, Delivery
from ombdriver.bench.results.versions import upgraded
from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.verdict.model import Caveat, Verdict
from ombdriver.errors import InputError


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands among those of its command; numbers begin at 1.

    Attributes:
        series: a name for all runs of one command together.
        run: which of the runs it is, in the order in which they are begun.
        runs: how many there are to be.
        block: which of the blocks of its workload, so the number of its repeat.
        position: its place within the block.
        repeats: how many blocks each workload has.
    """

    series: str
    run: int = 1
    runs: int = 1
    block: int = 1
    position: int = 1
    repeats: int = 1

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Standing":
        """Reads what a result holds; a missing key is a KeyError."""
        return cls(**{each.name: data[each.name] for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """A distribution of `count` samples in ms; the figures are None when there was none."""

    count: int
    min: float | None
    avg: float | None
    p50: float | None
    p75: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    p9999: float | None
    max: float | None

    def to_json(self) -> dict[str, Any]:
        """The keys are `count, min, avg, p50, p75, p95, p99, p99.9, p99.99, max`."""
        return {_key(each.name): getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "LatencySummary":
        """Reads what `to_json` wrote; a missing key is a KeyError."""
        return cls(**{each.name: data[_key(each.name)] for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class Subscription:
    """One consumer group over all topics.

    Attributes:
        name: its name.
        received: messages of the window that it was given.
        consume_rate: messages per second that arrived inside the window.
        end_to_end: latency from the actual send, in ms.
        end_to_end_response: latency from the intended send, in ms.
    """

    name: str
    received: int
    consume_rate: float
    end_to_end: LatencySummary
    end_to_end_response: LatencySummary


def plain(value: Any) -> Any:
    """`value` as JSON has it."""
    if isinstance(value, LatencySummary):
        return value.to_json()
    if is_dataclass(value):
        return {camel(each.name): plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def camel(name: str) -> str:
    """An attribute's name in camelCase."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _key(name: str) -> str:
    return {"p999": "p99.9", "p9999": "p99.99"}.get(name, name)


KINDS = ("run", "curve")
"""A curve is a run that tried several rates before it measured; see `Result.kind`."""
FORMAT_VERSION = 1
"""Raised when a key changes its meaning or goes away; a new key alone does not raise it. See `result_versions`."""

STATISTICS = {
    "Avg": "avg",
    "50pct": "p50",
    "75pct": "p75",
    "95pct": "p95",
    "99pct": "p99",
    "999pct": "p999",
    "9999pct": "p9999",
    "99999pct": "p99999",
    "Max": "max",
}
"""How OMB's names end, and the attribute of a `LatencySummaryNs` that each means."""


def aggregated(name: str) -> str:
    """OMB's name for the figure over the whole window, from its name for the figure per interval."""
    return f"aggregated{name[0].upper()}{name[1:]}"


RATES = ("publishRate", "publishErrorRate", "consumeRate", "backlog")
"""Lists with one value per sample interval: messages per second; the backlog in messages."""
SERIES = tuple(f"{family}Latency{ending}" for family in FAMILIES for ending in STATISTICS)
"""Lists with one latency per sample interval, such as `publishLatency99pct`."""
AGGREGATED = tuple(aggregated(name) for name in SERIES)
"""The same over the whole window, such as `aggregatedPublishLatency99pct`."""
QUANTILES = tuple(aggregated(f"{family}LatencyQuantiles") for family in FAMILIES)
"""Maps from percentile (as text, 0 to 100) to latency over the whole window."""

_OBJECTS = ("tags", "totals", "counters", "workload_spec", "setup", "environment", "histograms")
_FLAT = {"rates": RATES, "series": SERIES, "aggregated": AGGREGATED, "quantiles": QUANTILES}


@dataclass(frozen=True, slots=True)
class Result:
    """A run that was measured, whole or in part. In JSON each attribute has its own name in camelCase.

    Attributes:
        version: of ombdriver.
        run_id: as in the names of the run's topics.
        tags: what the user gave with `--tag`.
        standing: where the run stands among those of its command; None in results of versions that did not say.
        sweep: the values of the settings that were swept, by path as for `--set`; empty when none was.
        sweep_of: what the swept workload and setup call themselves without those values; empty when nothing was swept.
        overrides: what `--set` put into the files, as typed, without passwords.
        begin_time, end_time: of the measured window, ISO 8601 in UTC.
        partial: True when the run ended before its time, for `partial_reason`.
        verdict: whether the figures can be trusted; None in results of versions that had none.
        thresholds: what became of each, in the user's order.
        at_harness_floor: the percentiles that are no higher than the harness's own, as `publish.p50`.
        caveats: in the order found.
        workload, driver: names.
        message_size: bytes, stamp included.
        partitions: per topic.
        consumers_per_topic: per topic and subscription, as OMB means it.
        target_publish_rate: messages per second over all producers; with a search, what it found; with a profile or
            random arrivals, the mean of what the window asked for.
        rate_profile: how the rate changed over the measured time: stretches with `seconds`, and the rates `from` and
            `to` at their ends; None when it did not.
        stretches: the window by these stretches: rates, latencies and the highest backlog of each; none without them.
        target_rates: messages per second that each sample interval asked for; none when all asked for the same.
        search: how the rate was found: `sustainedRate`, `failingRate`, `limit`, all `probes`; None when it was given.
        backlog_drain: how a backlog was built before the window, and drained in it (`backlog` is a series, as OMB has
            it); None when none was.
        sample_interval_seconds: the length of an interval in `rates` and `series`.
        totals: `published`, `publishErrors`, `indeterminate` (of these), `unsent`, `unanswered`, `received`; messages
            of the measured window.
        delivery: what became of the messages of the window, for each subscription that was read; empty in results of
            versions that kept no ledger.
        counters: what else was counted, by name.
        subscriptions: in the plan's order.
        latency: a summary in ms for each of the five families.
        delay_parts: a summary in ms of `scheduleLag` and of `blocked`, which add up to the publish delay of a message,
            and of `consumerAck`.
        rates, series, aggregated, quantiles: by the names in `RATES` and so on, which stand at the top of the JSON.
        workload_spec, workload_sha256, setup: as resolved.
        setup_sha256: a hash of `setup`, which holds no password.
        environment: as found.
        telemetry: what the server and the processes did during the run; None when nobody looked.
        histograms: `unit` (ns), `families` and `subscriptions`: encoded histograms, by family, and by group and family;
            `intervals`: the same for each interval; not in results of older versions.
    """

    version: str
    run_id: str
    tags: Mapping[str, str]
    standing: Standing | None
    overrides: tuple[str, ...]
    sweep: Mapping[str, Any]
    sweep_of: Mapping[str, str]
    begin_time: str
    end_time: str
    partial: bool
    partial_reason: str | None
    verdict: Verdict | None
    thresholds: tuple[Check, ...]
    at_harness_floor: tuple[str, ...]
    caveats: tuple[Caveat, ...]
    workload: str
    driver: str
    message_size: int
    topics: int
    partitions: int
    producers_per_topic: int
    consumers_per_topic: int
    subscriptions_per_topic: int
    target_publish_rate: float
    rate_profile: list[Mapping[str, float]] | None
    stretches: tuple[Mapping[str, Any], ...]
    target_rates: tuple[float, ...]
    search: Mapping[str, Any] | None
    backlog_drain: Mapping[str, Any] | None
    sample_interval_seconds: float
    totals: Mapping[str, int]
    delivery: tuple[Delivery, ...]
    counters: Mapping[str, int]
    subscriptions: tuple[Subscription, ...]
    latency: Mapping[str, LatencySummary]
    delay_parts: Mapping[str, LatencySummary]
    rates: Mapping[str, list[float]]
    aggregated: Mapping[str, float | None]
    series: Mapping[str, list[float | None]]
    quantiles: Mapping[str, dict[str, float]]
    workload_spec: Mapping[str, Any]
    workload_sha256: str
    setup: Mapping[str, Any]
    setup_sha256: str
    environment: Mapping[str, Any]
    telemetry: Mapping[str, Any] | None
    histograms: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """`curve` when the workload says which rates, or how many, are tried before the measurement; else `run`."""
        spec = self.workload_spec
        return "curve" if spec.get("probeRates") or spec.get("probeSteps") else "run"

    @property
    def window_s(self) -> float:
        """Seconds from `begin_time` to `end_time`."""
        return (datetime.fromisoformat(self.end_time) - datetime.fromisoformat(self.begin_time)).total_seconds()

    def interval_lengths_s(self) -> list[float]:
        """The length of each sample interval in seconds; the last one may be shorter than the others."""
        count = len(self.rates["publishRate"])
        last_s = self.window_s - (count - 1) * self.sample_interval_seconds
        if not 0 < last_s <= self.sample_interval_seconds:  # times are to the millisecond only
            last_s = self.sample_interval_seconds
        return [self.sample_interval_seconds] * (count - 1) + [last_s] * min(count, 1)

    def mean_rate(self, name: str) -> float:
        """The mean over the window of one of the first three `RATES`."""
        rates, seconds = self.rates[name], self.interval_lengths_s()
        if not rates:
            return 0.0
        return sum(rate * length for rate, length in zip(rates, seconds, strict=True)) / sum(seconds)

    def to_json(self) -> dict[str, Any]:
        """As plain data, in the order in which it is written."""
        data: dict[str, Any] = {"kind": self.kind, "formatVersion": FORMAT_VERSION}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in _FLAT:
                data |= value
            else:
                data[camel(each.name)] = plain(value)
        unknown = self.totals.get("indeterminate", 0)  # of the errors; neither has a latency
        without = {"failed": self.totals["publishErrors"] - unknown, "indeterminate": unknown}
        data["latency"] = {family: summary | without for family, summary in data["latency"].items()}
        return data

    def dumps(self) -> str:
        """As JSON text, one line per key; a NaN or an infinity in it would be a ValueError."""
        lines = [
            f"{json.dumps(key)}: {json.dumps(value, allow_nan=False, ensure_ascii=False)}"
            for key, value in self.to_json().items()
        ]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def loads(cls, text: str, source: str) -> "Result":
        """Reads what `dumps` wrote, of this version or any before it. Keys that are not known are passed over.

        Raises:
            InputError: if `text` (of the file `source`) is no such result, or one of a later formatVersion.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{source}: not JSON ({error}); give a result file that ombdriver wrote") from error
        if not isinstance(data, dict) or data.get("kind") not in KINDS:
            raise InputError(f"{source}: not the result of a run; give a file that `ombdriver run` wrote")
        try:
            return cls._from_json(upgraded(data, source, FORMAT_VERSION))
        except KeyError as error:
            raise InputError(f"{source}: the key {error} is missing; the file is damaged, run again") from error
        except (TypeError, AttributeError) as error:
            raise InputError(f"{source}: a value has a wrong type ({error}); the file is damaged, run again") from error

    @classmethod
    def _from_json(cls, data: Mapping[str, Any]) -> "Result":
        read: dict[str, Any] = {}
        for each in fields(cls):
            names = _FLAT.get(each.name)
            read[each.name] = data[camel(each.name)] if names is None else {name: data[name] for name in names}
            if each.name in _OBJECTS and not isinstance(read[each.name], dict):
                raise TypeError(f"{camel(each.name)} is no object")
        read["standing"] = None if read["standing"] is None else Standing.from_json(read["standing"])
        read["overrides"] = tuple(read["overrides"])
        read["stretches"] = tuple(read["stretches"])
        read["target_rates"] = tuple(read["target_rates"])
        read["verdict"] = None if read["verdict"] is None else Verdict.from_json(read["verdict"])
        read["thresholds"] = tuple(Check.from_json(one) for one in read["thresholds"])
        read["at_harness_floor"] = tuple(read["at_harness_floor"])
        read["delivery"] = tuple(
            Delivery(**{each.name: one[camel(each.name)] for each in fields(Delivery)}) for one in read["delivery"]
        )
        read["caveats"] = tuple(Caveat(one["kind"], one["message"]) for one in read["caveats"])
        summary = LatencySummary.from_json
        read["latency"] = {family: summary(read["latency"][family]) for family in FAMILIES}
        read["delay_parts"] = {part: summary(each) for part, each in read["delay_parts"].items()}
        read["subscriptions"] = tuple(
            Subscription(
                one["name"], one["received"], one["consumeRate"], *(summary(one[name]) for name in GROUP_FAMILIES)
            )
            for one in read["subscriptions"]
        )
        return cls(**read)
