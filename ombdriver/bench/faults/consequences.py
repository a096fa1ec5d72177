"""What each injection of a fault did, from what was measured: when it showed, how long nothing came, when all was as
before. Pure.

Knows series and moments of one window; no server, worker or ledger. Times are nanoseconds from its beginning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from ombdriver.bench.faults.spec import FaultRecord
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.recorder import MOMENT_NS

LEAST_SILENCE_NS = 3 * MOMENT_NS
"""A shorter time without an acknowledgement is never an outage: it is told by moments of 10 ms."""
USUAL_TIMES = 1.5
"""Nor is one that is not that much longer than the longest one before."""
BAND = 1.25
BAND_NS = 1_000_000
"""A p99 is as before up to so much above the greatest of before: a quarter, or 1 ms if that is more."""
STEADY_INTERVALS = 3
"""So many intervals as before, one after the other, are a recovery."""
MOST_BEFORE = 30
"""Intervals before an injection that it is compared with."""
LEAST_BEFORE = 2
ALL_BACKLOG = 10
"""Messages of backlog that are always there."""
LOOK_BACK_NS = 2_000_000_000
"""What was sent so long before a fault may be lost by it: `appendfsync everysec` lets two seconds pass at most."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of the window.

    Attributes:
        length_ns: of the window.
        interval_ns: of one element of the series.
        spacing_ns: the usual time between two due messages.
        responses: by figure, the p99 of each interval by the intended time of its messages; None without a sample.
        failures: failed messages by the interval of their intended time.
        backlogs: by subscription, at the end of each interval.
        moments: by kind and subscription (`published`, `failed`, `received`): numbers of the moments of `MOMENT_NS`
            in which something happened, rising, 0 being the one in which the window begins.
    """

    length_ns: int
    interval_ns: int
    spacing_ns: int
    responses: Mapping[str, Sequence[int | None]] = field(default_factory=dict)
    failures: Sequence[int] = ()
    backlogs: Mapping[str, Sequence[int]] = field(default_factory=dict)
    moments: Mapping[tuple[str, str | None], Int64s] = field(default_factory=dict)


class Calm(NamedTuple):
    """A time before an injection in which no fault was felt: what came later is compared with it."""

    begin_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Consequence:
    """What one injection did; times as in `FaultMetrics`."""

    calm: Calm
    begin_ns: int
    end_ns: int
    detect_ns: int | None
    outage_ns: int
    recover_ns: int | None
    had_effect: bool
    delivery_outages_ns: Mapping[str, int] = field(default_factory=dict)


def consequences(
    observed: Observed, records: Sequence[FaultRecord], harmless: Sequence[bool] = ()
) -> list[Consequence]:
    """What each of `records` did, which are in the order of their injection; their times do not overlap.

    Args:
        observed: the window.
        records: the injections.
        harmless: which of them lose nothing, so that their time begins with them; none of them without it.
    """
    found: list[Consequence] = []
    calm = Calm(0, 0)
    calm_from_ns = 0
    for place, record in enumerate(records):
        later = [each.injected_ns for each in records[place + 1 :] if each.injected_ns > record.injected_ns]
        limit_ns = min([*later, observed.length_ns])
        if not place or record.injected_ns - calm_from_ns >= LEAST_BEFORE * observed.interval_ns:
            calm = Calm(calm_from_ns, record.injected_ns)  # else it came into what others did: as was before these
        one = _consequence(observed, record, calm, limit_ns)
        begin_ns = record.injected_ns
        if not (harmless and harmless[place]):
            begin_ns = max(begin_ns - LOOK_BACK_NS, records[place - 1].injected_ns if place else 0)
        calm_from_ns = max(calm_from_ns, one.end_ns)
        if found:
            found[-1] = replace(found[-1], end_ns=min(found[-1].end_ns, max(begin_ns, found[-1].begin_ns)))
        found.append(replace(one, begin_ns=begin_ns))
    return found


def _consequence(observed: Observed, record: FaultRecord, calm: Calm, limit_ns: int) -> Consequence:
    at_ns = record.injected_ns
    disturbed = _disturbed(observed, calm, at_ns)
    silence = _outage(observed, ("published", None), calm, at_ns, limit_ns)
    deliveries = {
        name: _outage(observed, (kind, name), calm, at_ns, limit_ns)
        for kind, name in observed.moments
        if kind == "received" and name is not None
    }
    recover_ns = _recovered(observed, record, disturbed)
    if recover_ns is not None:
        recover_ns = _heard_again(observed, record, recover_ns, (silence, *deliveries.values()))
    until_ns = observed.length_ns if recover_ns is None else max(at_ns + recover_ns, record.healed_ns or 0)
    failed = _first_failure(observed, at_ns, limit_ns)
    late = [begin for begin, length in (silence, *deliveries.values()) if length]
    seen = [] if failed is None else [max(0, failed - at_ns)]
    usual_ns = _usual_p99(observed, calm)
    seen += [max(0, begin - at_ns) + usual_ns for begin in late]
    if not seen and recover_ns != 0 and disturbed:
        seen.append(max(0, disturbed[0] * observed.interval_ns - at_ns) + usual_ns)
    had_effect = bool(seen) or recover_ns != 0
    ends = [begin + length for begin, length in (silence, *deliveries.values())]
    end_ns = min(observed.length_ns, max(until_ns, *ends))
    return Consequence(
        calm=calm,
        begin_ns=at_ns,
        end_ns=max(end_ns, at_ns),
        detect_ns=min(seen, default=None),
        outage_ns=silence[1],
        recover_ns=recover_ns,
        had_effect=had_effect,
        delivery_outages_ns={name: length for name, (_, length) in deliveries.items()},
    )


# -- how long nothing came ---------------------------------------------------------------------------------------------


def _outage(
    observed: Observed, which: tuple[str, str | None], calm: Calm, at_ns: int, limit_ns: int
) -> tuple[int, int]:
    """Where the longest silence that begins after an injection begins, and how long it is; 0 for one that is usual."""
    moments = observed.moments.get(which)
    if moments is None or not len(moments):
        return 0, 0
    usual_ns = max((length for _, length in silences(moments, observed, *calm, ended=True)), default=0)
    begin_ns, length_ns = max(
        silences(moments, observed, at_ns, limit_ns), key=lambda each: each[1], default=(at_ns, 0)
    )
    return (begin_ns, length_ns) if length_ns > max(LEAST_SILENCE_NS, USUAL_TIMES * usual_ns) else (at_ns, 0)


def silences(
    moments: Int64s, observed: Observed, first_ns: int, last_ns: int, *, ended: bool = False
) -> list[tuple[int, int]]:
    """(begin, length) of each time in which messages were due and nothing happened, begun from first to before last.

    One that had begun before counts from `first_ns` on. One that nothing ended lasts until the window ends, since after
    that nothing is due; with `ended` none lasts beyond `last_ns`.
    """
    if last_ns <= first_ns or not len(moments):
        return []
    # What happened at some time of a moment counts as at its middle; the next message was due a little later.
    begins_ns = np.maximum(moments * MOMENT_NS + MOMENT_NS // 2 + observed.spacing_ns, first_ns)
    after_last = max(int(moments[-1]) * MOMENT_NS + MOMENT_NS // 2, observed.length_ns)
    ends_ns = np.append(moments[1:] * MOMENT_NS + MOMENT_NS // 2, after_last)
    if ended:
        ends_ns = np.minimum(ends_ns, last_ns)
    # One that begins within a moment or two of the end is what the next fault did.
    chosen = (ends_ns - begins_ns > MOMENT_NS) & (begins_ns + 2 * MOMENT_NS < last_ns)
    return list(zip(begins_ns[chosen].tolist(), (ends_ns - begins_ns)[chosen].tolist(), strict=True))


def _first_failure(observed: Observed, at_ns: int, limit_ns: int) -> int | None:
    moments = observed.moments.get(("failed", None))
    if moments is None:
        return None
    after = moments[(moments + 1) * MOMENT_NS > at_ns] * MOMENT_NS
    return int(after[0]) if len(after) and after[0] < limit_ns else None


# -- when all was as before --------------------------------------------------------------------------------------------


def _before(observed: Observed, calm: Calm) -> range:
    """The whole intervals of a calm time, of which the last ones count."""
    end = calm.end_ns // observed.interval_ns
    return range(max(-(-calm.begin_ns // observed.interval_ns), end - MOST_BEFORE), end)


def _usual_p99(observed: Observed, calm: Calm) -> int:
    values = observed.responses.get("publishResponse", ())
    known = [value for at in _before(observed, calm) if at < len(values) and (value := values[at])]
    return max(known, default=0)


def _disturbed(observed: Observed, calm: Calm, at_ns: int) -> list[int]:
    """The intervals from an injection on that are not as before: messages failed, or a p99 was above its band."""
    before = _before(observed, calm)
    bands = {}
    for name, values in observed.responses.items():
        known = [value for at in before if at < len(values) and (value := values[at]) is not None]
        if len(known) >= LEAST_BEFORE:
            bands[name] = max(max(known) * BAND, max(known) + BAND_NS)
    found = []
    for at in range(at_ns // observed.interval_ns, -(-observed.length_ns // observed.interval_ns)):
        failed = at < len(observed.failures) and observed.failures[at] > 0
        above = any(
            at < len(values) and (value := values[at]) is not None and value > bands[name]
            for name, values in observed.responses.items()
            if name in bands
        )
        if failed or above:
            found.append(at)
    return found


def _recovered(observed: Observed, record: FaultRecord, disturbed: Sequence[int]) -> int | None:
    """From the injection until some intervals in a row are as before, and stay so until it is healed."""
    interval_ns, at_ns = observed.interval_ns, record.injected_ns
    healed_ns = at_ns if record.healed_ns is None else record.healed_ns
    end = -(-observed.length_ns // interval_ns)
    known = {*disturbed}
    # What begins long after it was healed is of something else.
    due = [at for at in disturbed if at <= healed_ns // interval_ns + STEADY_INTERVALS]
    if not due:
        return 0
    calm = due[0]
    while True:
        calm += 1
        if calm >= end:
            return None
        run = range(calm, min(calm + STEADY_INTERVALS, end))
        if not known & {*run} and not any(calm <= at <= healed_ns // interval_ns for at in known):
            return max(0, calm * interval_ns - at_ns)


def _heard_again(
    observed: Observed, record: FaultRecord, recover_ns: int, silent: Sequence[tuple[int, int]]
) -> int | None:
    """`recover_ns`, or when the last outage ended where that is later; None where one lasts until the window ends.

    An interval in which nothing was answered has no p99 that could be above its band.
    """
    healed_ns = record.injected_ns if record.healed_ns is None else record.healed_ns
    latest_ns = healed_ns + STEADY_INTERVALS * observed.interval_ns
    ends_ns = [begin + length for begin, length in silent if length and begin <= latest_ns]
    if any(end_ns >= observed.length_ns for end_ns in ends_ns):
        return None
    return max([recover_ns, *(end_ns - record.injected_ns for end_ns in ends_ns)])


def caught_up(observed: Observed, name: str, one: Consequence, at_ns: int, gone: int) -> int | None:
    """From an injection until a subscription's backlog was as before; 0 where it did not grow, None without an end.

    Args:
        observed: the window.
        name: of the subscription.
        one: what the injection did.
        at_ns: when it was.
        gone: messages that will never come, and so stay in the backlog.
    """
    series = observed.backlogs.get(name, ())
    before = [series[at] for at in _before(observed, one.calm) if at < len(series)]
    level = max(before, default=0) * BAND + ALL_BACKLOG + gone
    first = at_ns // observed.interval_ns
    last = min(len(series), -(-max(one.end_ns, at_ns + 1) // observed.interval_ns))
    grown = next((at for at in range(first, last) if series[at] > level), None)
    if grown is None:
        return 0
    back = next((at for at in range(grown, len(series)) if series[at] <= level), None)
    return None if back is None else back * observed.interval_ns - at_ns
