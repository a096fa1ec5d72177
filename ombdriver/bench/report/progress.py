"""Progress: where a run stands, as the phases tell it to whoever shows it. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ombdriver.bench.measurements import LatencySummaryNs


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at a run, over the time since the last one.

    Attributes:
        phase: its name, as `warm-up`.
        elapsed_s: seconds since the phase began.
        phase_total_s: how many there will be; None when that is not known.
        target_rate: messages per second that the schedule asks for.
        publish_rate: messages per second acknowledged.
        publish_error_rate: messages per second that failed.
        consume_rates: messages per second received, by subscription.
        backlog: messages acknowledged and not yet received, by subscription.
        publish: publish latency from the intended send; None when nothing was published.
        end_to_end: end-to-end latency from the intended send, over all subscriptions; None when nothing was received.
        message: a word on what is being waited for, if any.
    """

    phase: str
    elapsed_s: float
    phase_total_s: float | None = None
    target_rate: float = 0.0
    publish_rate: float = 0.0
    publish_error_rate: float = 0.0
    consume_rates: Mapping[str, float] = field(default_factory=dict)
    backlog: Mapping[str, int] = field(default_factory=dict)
    publish: LatencySummaryNs | None = None
    end_to_end: LatencySummaryNs | None = None
    message: str | None = None
