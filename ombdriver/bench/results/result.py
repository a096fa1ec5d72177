"""A result: what a run found, as data; to JSON and back, in a versioned format. Pure.

Knows no clock, file, histogram or terminal. Keys that the OpenMessaging Benchmark (OMB) has in its TestResult keep its
meaning, unit and type; all others are attributes of a `Result` in camelCase. Latencies are nanoseconds here and ms in
JSON. Where there was no sample there is `null`, never 0 and never NaN.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.metrics.latency import REPORTED, STATISTICS, UNKNOWN, LatencySummary
from ombdriver.bench.metrics.summary import FAMILIES, GROUP_FAMILIES, MessagesPerWrite, WindowDelivery
from ombdriver.bench.results import document, omb_keys
from ombdriver.bench.results.document import Bytes, Messages, MessagesPerSecond, Milliseconds, Seconds
from ombdriver.bench.results.field_types import misfit
from ombdriver.bench.results.versions import upgraded
from ombdriver.bench.spec.foreign import result_told_as, text_told_as
from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.units import camel_case, visible_json
from ombdriver.bench.verdict.model import Advice, Caveat, NotJudged, Reason, Verdict
from ombdriver.errors import InputError

KINDS = ("run", "curve")
"""A curve is a run that tried several rates before it measured; see `Result.kind`."""
FORMAT_VERSION = 1
"""Raised when a key changes its meaning or goes away; a new key alone does not raise it. See `results.versions`."""
RATES = ("publishRate", "publishErrorRate", "consumeRate", "backlog")
"""Lists with one value per sample interval: messages per second; the backlog in messages."""

_FLAT = {"rates": RATES, "series": omb_keys.SERIES, "quantiles": omb_keys.QUANTILES}
BEFORE_ORDERS = {"order": "rotated", "attempt": 1}
"""What a `standing` without these keys means."""
_OBJECTS = (
    "tags",
    "totals",
    "counters",
    "own_parts",
    "workload_spec",
    "setup",
    "environment",
    "histograms",
    "confidence",
)

Data = TypeVar("Data")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands among those of its command; numbers begin at 1.

    Attributes:
        series: a name for all runs of one command together.
        run: which of the runs it is, in the order in which they are begun.
        runs: how many there are to be.
        block: the repeat of its workload; a block holds every setup once.
        position: its place within the block.
        repeats: how many blocks each workload has.
        order: by which rule setups take turns: `balanced` (each follows each about equally often), or `rotated` in
            results of versions before that.
        attempt: 2 or more when the run repeats one of its block that was not VALID.
    """

    series: str
    run: int = 1
    runs: int = 1
    block: int = 1
    position: int = 1
    repeats: int = 1
    order: str = "balanced"
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Subscription:
    """One consumer group over all topics.

    Attributes:
        name: of the group; the same on every topic.
        received: of the window, be it in the drain.
        consume_rate: that arrived inside the window.
        latency: a summary for each of `GROUP_FAMILIES`, under the name of the family.
        received_from_other_hosts: of `received`, those in none of the latencies ([swarm](cluster.md#without-clocks)).
    """

    name: str
    received: Messages
    consume_rate: MessagesPerSecond
    latency: Annotated[Mapping[str, LatencySummary], document.SUMMARIES]
    received_from_other_hosts: Messages = 0


@dataclass(frozen=True, slots=True)
class Result:
    """A run that was measured, whole or in part. In JSON each attribute has its own name in camelCase.

    What is a mapping here has its keys in the type of `document` that annotates it.

    Attributes:
        version: of ombdriver.
        run_id: as in the names of the run's topics.
        tags: what was given with `--tag`.
        standing: where the run stands among those of its command; null in results of versions that did not say.
        overrides: what `--set` put into the files, as typed (`workload.messageSize=4KiB`); a password in a URL is
            `***`.
        sweep: the values of the settings that were swept, by path (`workload.messageSize`); empty when none was.
        sweep_of: what the swept `workload` and `setup` call themselves without those values; empty when nothing was
            swept.
        begin_time, end_time: of the measured window; ISO 8601, UTC, to the millisecond.
        partial, partial_reason: whether the run ended before its time, and why.
        verdict: whether the figures can be trusted; null in results of versions that had none.
        thresholds: what became of each, in the user's order.
        at_harness_floor: percentiles no higher than the harness's own, as `publish.p50` or `endToEnd[group-1].p99`.
        own_parts: the harness's own share of each percentile of which it may be more than a third, by the same names.
        clock_error_ms: with workers on hosts of a scheduler, how wrong an end-to-end latency may be by their clocks, 0
            where each is within one host; null on this machine.
        caveats: what has to be known with the figures, in the order found.
        workload, driver: their names.
        message_size: of a message, stamp included.
        topics: how many.
        partitions: of each topic.
        producers_per_topic: how many.
        consumers_per_topic: consumers of each subscription of a topic, as OMB fills this field.
        subscriptions_per_topic: consumer groups.
        target_publish_rate: of all producers together; what the search found, if there was one; with a profile or
            random arrivals, the mean of what was asked for in the window.
        rate_profile: how the rate changed over the measured time; null when it did not.
        stretches: with a `rateProfile` of 2 to 50 stretches, the window by these; else empty.
        target_rates: what each sample interval asked for: of a profile the mean, of random arrivals what was due in
            it; empty when all intervals asked for the same.
        search: how the rate was found; null when it was given.
        backlog_drain: how a backlog was built before the window, and drained in it (`backlog` is a series, as OMB has
            it); null when none was.
        sample_interval_seconds: what one element of a series stands for.
        totals: the messages of the measured window.
        delivery: what became of them, for each group that was read; empty in results of versions that kept no ledger.
        faults: what was broken in the window, and what came of it; null where nothing was.
        messages_per_write: how bunched the load was: how often messages left, and how many left together; null where
            nothing was sent, and in results of versions that did not count it.
        counters: what else was counted, by name; only what is not 0.
        subscriptions: each group by itself, in the order of the plan.
        latency: of each family; each also has `failed` and `indeterminate`, sends of the window that met an error and
            sends whose outcome is unknown: `publishResponse` contains the time that they took to fail, the other
            families leave them out.
        confidence: 95 % intervals of percentiles, by figure (`publish.p99`, `endToEnd[group-1].p50`): lower and upper
            end in ms; those of which too little is known are not there.
        delay_parts: `scheduleLag` and `blocked`, which add up to the publish delay of a message, and `consumerAck`.
        rates: lists with one element per sample interval.
        series: the latencies of each sample interval, by OMB's keys.
        quantiles: curves over the whole window, by OMB's keys.
        workload_spec: the workload as resolved, under the names of the workload file, with every default and with what
            the command line changed.
        workload_sha256: a hash of it, without its thresholds, and of the payload file's content.
        setup: what the setup says, without its defaults; passwords are `***`.
        setup_sha256: a hash of `setup` as it stands here, so without passwords.
        environment: what the run was made with.
        telemetry: what the server and the processes did during the run; null in results of versions before it.
        histograms: all samples, as HdrHistogram encodes them.
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
    own_parts: Mapping[str, float]
    clock_error_ms: Milliseconds | None
    caveats: tuple[Caveat, ...]
    workload: str
    driver: str
    message_size: Bytes
    topics: int
    partitions: int
    producers_per_topic: int
    consumers_per_topic: int
    subscriptions_per_topic: int
    target_publish_rate: MessagesPerSecond
    rate_profile: Annotated[list[Mapping[str, float]] | None, document.StretchOfProfile]
    stretches: Annotated[tuple[Mapping[str, Any], ...], document.Stretch]
    target_rates: tuple[MessagesPerSecond, ...]
    search: Annotated[Mapping[str, Any] | None, document.Search]
    backlog_drain: Annotated[Mapping[str, Any] | None, document.BacklogDrain]
    sample_interval_seconds: Seconds
    totals: Annotated[Mapping[str, int], document.Totals]
    delivery: tuple[WindowDelivery, ...]
    faults: Annotated[Mapping[str, Any] | None, document.Faults]
    messages_per_write: Annotated[Mapping[str, float] | None, MessagesPerWrite]
    counters: Annotated[Mapping[str, int], document.Counters]
    subscriptions: tuple[Subscription, ...]
    latency: Annotated[Mapping[str, LatencySummary], document.SUMMARIES]
    confidence: Mapping[str, list[float]]
    delay_parts: Annotated[Mapping[str, LatencySummary], document.SUMMARIES]
    rates: Annotated[Mapping[str, list[float]], document.Rates]
    series: Mapping[str, list[float | None]]
    quantiles: Mapping[str, dict[str, float]]
    workload_spec: Mapping[str, Any]
    workload_sha256: str
    setup: Mapping[str, Any]
    setup_sha256: str
    environment: Annotated[Mapping[str, Any], document.Environment]
    telemetry: Annotated[Mapping[str, Any] | None, document.Telemetry]
    histograms: Annotated[Mapping[str, Any], document.Histograms]

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

    def summary(self, family: str, group: str | None = None) -> LatencySummary:
        """A latency over all groups, or of one of `GROUP_FAMILIES` of one group; an empty one where there is none."""
        found: Mapping[str, LatencySummary]
        if group is None:
            found = {**self.latency, **self.delay_parts}
        else:
            found = next((each.latency for each in self.subscriptions if each.name == group), {})
        return found.get(family, LatencySummary.none())

    def value(self, figure: Figure) -> float | None:
        """A latency in ms, or a rate in messages per second; None without a sample.

        Raises:
            ValueError: if it is a count.
        """
        if figure.kind == "latency":
            return self.summary(figure.family, figure.group).ms(figure.statistic)
        if figure.kind == "count":
            raise ValueError(f"{figure} is neither a latency nor a rate")
        if figure.group is None:
            return self.mean_rate(figure.family)
        return next((each.consume_rate for each in self.subscriptions if each.name == figure.group), None)

    @property
    def aggregated(self) -> dict[str, float | None]:
        """The latencies over the whole window under OMB's keys."""
        found: dict[str, float | None] = {}
        for family in FAMILIES:
            found |= omb_keys.overall(family, self.latency[family])
        return found

    def to_json(self) -> dict[str, Any]:
        """As plain data, in the order in which it is written."""
        data: dict[str, Any] = {"kind": self.kind, "formatVersion": FORMAT_VERSION}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "series":
                data |= self.aggregated
            if each.name in _FLAT:
                data |= value
            else:
                data[camel_case(each.name)] = to_json(value)
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
            data = visible_json(json.loads(text))
        except (ValueError, RecursionError) as error:
            told = text_told_as(text)
            what = f"{told}, not JSON" if told else "empty" if not text.strip() else f"not JSON ({error})"
            raise InputError(f"{source}: {what}; give a result file that ombdriver wrote") from error
        if not isinstance(data, dict) or str(data.get("kind")) not in KINDS:
            told = result_told_as(data)
            what = f"not the result of a run, but {told}" if told else "not the result of a run"
            raise InputError(f"{source}: {what}; give a file that `ombdriver run` wrote")
        try:
            return cls._from_json(upgraded(data, source, FORMAT_VERSION))
        except KeyError as error:
            raise InputError(f"{source}: the key {error} is missing; the file is damaged, run again") from error
        except (TypeError, AttributeError) as error:
            where = error.key if isinstance(error, _WrongTypeError) else "a value"
            raise InputError(f"{source}: {where} has a wrong type; the file is damaged, run again") from error

    @classmethod
    def _from_json(cls, data: Mapping[str, Any]) -> "Result":
        read: dict[str, Any] = {}
        later = [key for key in omb_keys.SERIES if key not in data]  # of statistics that its version did not know
        data = {**data} | {key: [None] * len(data[RATES[0]]) for key in later}
        for each in fields(cls):
            keys = _FLAT.get(each.name)
            read[each.name] = data[camel_case(each.name)] if keys is None else {key: data[key] for key in keys}
            if each.name in _OBJECTS and not isinstance(read[each.name], dict):
                raise _WrongTypeError(camel_case(each.name))
        readers: dict[str, Callable[[Any], Any]] = {
            **dict.fromkeys(("overrides", "stretches", "target_rates", "at_harness_floor"), tuple),
            "standing": lambda one: None if one is None else from_json(Standing, BEFORE_ORDERS | one),
            "verdict": lambda one: None if one is None else _read_verdict(one),
            "thresholds": lambda some: tuple(from_json(Check, one) for one in some),
            "delivery": lambda some: tuple(from_json(WindowDelivery, one) for one in some),
            "caveats": lambda some: tuple(from_json(Caveat, one) for one in some),
            "latency": lambda by_family: {
                family: _read_summary(
                    by_family[family],
                    omb_keys.to_ns(family, data[omb_keys.aggregated(f"{family}Latency99999pct")]),
                )
                for family in FAMILIES
            },
            "delay_parts": lambda parts: {part: _read_summary(each) for part, each in parts.items()},
            "subscriptions": lambda some: tuple(map(_read_subscription, some)),
        }
        for name, reader in readers.items():
            try:
                read[name] = reader(read[name])
            except (TypeError, AttributeError) as error:
                raise _WrongTypeError(camel_case(name)) from error
        result = cls(**read)
        if (key := misfit(result)) is not None:
            raise _WrongTypeError(key)
        for key in ("begin_time", "end_time"):
            _check_time(camel_case(key), getattr(result, key))
        return result


def to_json(value: Any) -> Any:
    """`value` as JSON has it: attributes in camelCase, latencies in ms."""
    if isinstance(value, LatencySummary):
        return {"count": value.count, **{name: value.ms(name) for name in REPORTED}}
    if isinstance(value, Subscription):
        own = {
            "name": value.name,
            "received": value.received,
            "receivedFromOtherHosts": value.received_from_other_hosts,
            "consumeRate": value.consume_rate,
        }
        return own | to_json(value.latency)
    if is_dataclass(value):
        return {camel_case(each.name): to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: to_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    return value


def from_json(cls: type[Data], data: Mapping[str, Any]) -> Data:
    """What `to_json` made of a dataclass without others in it; a missing key is a KeyError."""
    return cls(**{each.name: data[camel_case(each.name)] for each in fields(cls)})  # type: ignore[arg-type]


class _WrongTypeError(TypeError):
    """The value of a key has another type than it is to have."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _check_time(key: str, text: str) -> None:
    try:
        has_zone = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        has_zone = False
    if not has_zone:
        raise _WrongTypeError(key)


def _read_subscription(data: Mapping[str, Any]) -> Subscription:
    return Subscription(
        data["name"],
        data["received"],
        data["consumeRate"],
        {family: _read_summary(data[family]) for family in GROUP_FAMILIES},
        data.get("receivedFromOtherHosts", 0),
    )


def _read_verdict(data: Mapping[str, Any]) -> Verdict:
    return Verdict(
        data["status"],
        tuple(from_json(Reason, one) for one in data["reasons"]),
        tuple(from_json(NotJudged, one) for one in data["notJudged"]),
        data.get("measured", ""),
        tuple(from_json(Advice, one) for one in data.get("advice", ())),
    )


def _read_summary(data: Mapping[str, Any], p99999_ns: int = UNKNOWN) -> LatencySummary:
    values = {each.attribute: UNKNOWN for each in STATISTICS.values()} | {"p99999": p99999_ns}
    for name in REPORTED:
        if data.get(name) is not None:
            values[STATISTICS[name].attribute] = round(data[name] * 1e6)
    return LatencySummary(count=data["count"], **values) if data["count"] else LatencySummary.none()
