"""Where a run stands, as data for whoever shows it: display, plain lines, Prometheus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.verdict.model import Verdict


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """One subscription.

    Attributes:
        rate: messages per second received.
        backlog: messages acknowledged and not yet received, by this harness's own count.
        lag: entries that the server has not delivered to it, by the server's count some seconds ago at most; None when
            the server does not tell.
        end_to_end: end-to-end latency from the intended send; None when nothing was received.
    """

    rate: float = 0.0
    backlog: int = 0
    lag: int | None = None
    end_to_end: LatencySummary | None = None


@dataclass(frozen=True, slots=True)
class ServerProgress:
    """The server at its last sample; None for what it does not tell.

    Attributes:
        cpu: the processor time it takes, in cores.
        memory_bytes: what its data take.
    """

    cpu: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class SeriesProgress:
    """The runs of one command together.

    Attributes:
        run: which one it is, from 1.
        runs: how many there are.
        done: the share of it that is over, 0 to 1.
        left_s: seconds until the last one ends, estimated.
    """

    run: int
    runs: int
    done: float
    left_s: float


class HistogramSource(Protocol):
    """Samples in nanoseconds as a histogram for Prometheus wants them; a `Histogram` is one."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def sum_ns(self) -> int:
        """All of them together."""
        ...

    def upto(self, bounds_ns: Sequence[int]) -> list[int]:
        """How many are at most each of `bounds_ns`, which rise."""
        ...


@dataclass(frozen=True, slots=True)
class TotalsProgress:
    """A phase since its beginning.

    Attributes:
        phase: its name, `warm-up` or `measure`; empty before the first one.
        counts: events by (kind, subscription or None): `published`, `failed` and `received`.
        latencies: samples by (family, subscription or None).
    """

    phase: str = ""
    counts: Mapping[tuple[str, str | None], int] = field(default_factory=dict)
    latencies: Mapping[tuple[str, str | None], HistogramSource] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """A run at one moment; rates and latencies are of the last sample interval.

    Attributes:
        phase: its name, as `warm-up`.
        elapsed_s: seconds since the phase began.
        phase_total_s: how many there will be; None when that is not known.
        left_s: seconds until the last message of the run is due; None when that is not known.
        target_rate: messages per second that the schedule asks for; None between phases, and where nothing is sent.
        publish_rate: messages per second acknowledged.
        publish_error_rate: messages per second that failed.
        publish: publish latency from the intended send; None when nothing was published.
        end_to_end: end-to-end latency from the intended send, over all subscriptions; None when nothing was received.
        groups: by subscription, in the plan's order; none before the first interval is over.
        server: None when there is none, or nothing is known of it yet.
        verdict: what the verdict would be by what there is so far; None when it is too soon to tell.
        own_parts: the harness's own share of each percentile of which it is more than a third, as
            `publishResponse.p50`: 0.6, by what there is so far; none when it is too soon to tell.
        totals: the phase so far.
        series: the runs of the command; None when it has but one.
        message: a word on what is being waited for, if any.
    """

    phase: str
    elapsed_s: float
    phase_total_s: float | None = None
    left_s: float | None = None
    target_rate: float | None = None
    publish_rate: float = 0.0
    publish_error_rate: float = 0.0
    publish: LatencySummary | None = None
    end_to_end: LatencySummary | None = None
    groups: Mapping[str, GroupProgress] = field(default_factory=dict)
    server: ServerProgress | None = None
    verdict: Verdict | None = None
    own_parts: Mapping[str, float] = field(default_factory=dict)
    totals: TotalsProgress = TotalsProgress()
    series: SeriesProgress | None = None
    message: str | None = None
