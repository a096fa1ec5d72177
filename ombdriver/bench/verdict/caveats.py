"""What a reader of the figures has to know with them: counts of a run -> caveats. Pure.

What limits the figures of a run without spoiling them: facts of it -> caveats, each with advice. Pure.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ombdriver.bench.metrics.collector import LEAST_ACK_GAP_MS
from ombdriver.bench.metrics.latency import PERCENTILES, STATISTICS, TOLD
from ombdriver.bench.metrics.summary import FAMILIES, Delivery, RunMetrics
from ombdriver.bench.verdict.facts import SHORT_NS, WorkerFacts
from ombdriver.bench.verdict.model import Caveat
from ombdriver.bench.verdict.rules import milliseconds

MOST_ERRORS = 3
"""Different errors of sends that are told."""


def on_warm_up(carried: int) -> list[Caveat]:
    """`carried` messages of the warm-up were still on their way, or not received, when the measurement began."""
    if not carried:
        return []
    return [
        Caveat(
            "carriedIn",
            f"{carried:,} messages of the warm-up were still on their way when the measurement began;"
            " the rate may be more than this setup sustains; lower it, or give a longer drainTimeout",
        )
    ]


def on_trimming(furthest_behind: int, kept: int | None, *, held: bool) -> list[Caveat]:
    """A subscription was `furthest_behind` messages behind at worst, and each stream keeps about `kept` entries.

    Trimming was held long before; it is told when a single stream might have lost something without that, and when it
    still is `held` at the end.
    """
    if kept is None or (furthest_behind <= kept and not held):
        return []
    return [
        Caveat(
            "trimmingHeld",
            f"a subscription fell {furthest_behind:,} messages behind, so trimming was held until it had caught up:"
            " the streams grew past their usual length; lower the rate, or add consumers",
        )
    ]


def on_delivery(deliveries: Sequence[Delivery], incomplete: str | None) -> list[Caveat]:
    """What has to be known with the account of the deliveries.

    Args:
        deliveries: the account of the window.
        incomplete: why not everything that is missing could be looked for; None when it could.
    """
    found = [
        Caveat(
            "undelivered",
            f"{each.subscription} had not received {each.undelivered:,} messages when the drain ended;"
            " give it more consumers, lower the rate, or set a longer drainTimeout",
        )
        for each in deliveries
        if each.undelivered
    ]
    if incomplete:
        found.append(
            Caveat(
                "auditIncomplete",
                f"not all that is missing could be looked for ({incomplete}), and what was not is told as undelivered;"
                " may this user run XRANGE, XPENDING and XINFO?",
            )
        )
    return found


def on_loop(max_in_flight: int | None) -> list[Caveat]:
    """Producers may have only so many messages without a reply; None: as many as the driver takes."""
    if max_in_flight is None:
        return []
    what = (
        "a closed loop: each producer waits for the reply to its last message before it sends the next"
        if max_in_flight == 1
        else f"each producer waits when {max_in_flight:,} of its messages have no reply"
    )
    return [Caveat("closedLoop", f"{what} (maxInFlight); service times leave that wait out: read the response times")]


def on_force(passed: Sequence[str]) -> list[Caveat]:
    """What would have kept the run from starting without `--force`."""
    return [Caveat("forced", f"started by --force, though {fault.partition(';')[0]}") for fault in passed]


def on_existing_topics(*, sends: bool, reads: bool, of_others: int) -> list[Caveat]:
    """What topics of others leave out of a result, and what a run leaves in them.

    Args:
        sends: whether the run sends to them.
        reads: whether it reads them.
        of_others: messages of others that it received in the window.
    """
    found = []
    if reads and not sends:
        found.append(
            Caveat(
                "noStamps",
                f"nothing was sent by this run, and the {of_others:,} messages of others that came have no stamp:"
                " consumeRate and received are all that is known of them; there are no latencies, no delivery and no"
                " backlog",
            )
        )
    elif of_others:
        found.append(
            Caveat(
                "noStamps",
                f"{of_others:,} messages of others came too; they have no stamp, so they are in totals.receivedOfOthers"
                " alone: rates, latencies, delivery and backlog are those of this run's own messages",
            )
        )
    if sends:
        found.append(
            Caveat(
                "messagesLeft",
                "what this run sent stays in the topics, which are not its own: they are neither trimmed nor deleted",
            )
        )
    return found


def on_servers(ended: Sequence[str]) -> list[Caveat]:
    """Servers of the run, by name, that have ended by themselves; what is left could serve."""
    if not ended:
        return []
    which = ", ".join(ended)
    return [Caveat("serversEnded", f"{which} ended during the run, and what was left went on without; see the gap")]


def on_retention(counters: Mapping[str, int]) -> list[Caveat]:
    """What whoever trims by acknowledgements has counted."""
    found = []
    if cut := counters.get("trimmedUnacknowledged", 0):
        found.append(
            Caveat(
                "retentionBreached",
                f"{cut:,} entries were cut that a group without live consumers had not acknowledged: a bound of"
                " retention was passed; raise maxlen or maxage, or see why nobody reads",
            )
        )
    if failed := counters.get("failedTrims", 0):
        found.append(
            Caveat("trimmingFailed", f"{failed:,} attempts to trim failed, so streams grew; may this user run XTRIM?")
        )
    return found


def _gap(silence_ms: int) -> str:
    return f"{silence_ms / 1000:,.3g} s" if silence_ms else f"below {LEAST_ACK_GAP_MS / 1000:g} s"


def on_drain(unsent: int, unanswered: int, counters: Mapping[str, int], errors: Counter[str]) -> list[Caveat]:
    """What did not end well.

    Args:
        unsent: messages of the window that were due and never sent.
        unanswered: messages of the window that were sent and had no reply when the drain ended.
        counters: of the measurement.
        errors: how often each error was met by a send of the measurement.
    """
    found = []
    if unsent:
        found.append(Caveat("unsent", f"{unsent:,} messages were due and never sent: this setup did not take the load"))
    if unanswered:
        found.append(Caveat("unanswered", f"{unanswered:,} messages had no reply when the drain ended"))
    if refused := counters.get("failedAcknowledgements", 0):
        found.append(
            Caveat(
                "failedAcknowledgements",
                f"{refused:,} acknowledgements were refused or never answered, so their messages stay pending;"
                " may this user run XACK?",
            )
        )
    if lost := counters.get("reconnects", 0):
        found.append(
            Caveat(
                "reconnects",
                f"{lost:,} connections were lost and made anew; what was on its way may have come twice;"
                f" the longest gap in the acknowledgements was {_gap(counters.get('longestSilenceMs', 0))}",
            )
        )
    if few := counters.get("underReplicated", 0):
        found.append(
            Caveat(
                "underReplicated",
                f"{few:,} messages are stored, but fewer replicas than waitReplicas asks for had them in time:"
                " they don't count as published, and a failover may lose them",
            )
        )
    if polling := counters.get("pollingRounds", 0):
        found.append(
            Caveat(
                "pollingReads",
                "consumers have too many partitions for blocking reads on a cluster, so they asked all of them in turn,"
                f" up to 20 ms apart, {polling:,} times; use more consumers with assignment: exclusive",
            )
        )
    for text, count in errors.most_common(MOST_ERRORS):
        found.append(Caveat("publishErrors", f"{count:,} messages met the error: {text}"))
    return found


LEAST_OF_TARGET = 0.9
ROUNDED = 10
"""Messages that may be on their way at the end of a sample."""
_HERE = {"127.0.0.1", "::1", "localhost"}


def on_samples(measured: RunMetrics) -> list[Caveat]:
    """Too few of them, too short a time, and such as do not fit."""
    found = []
    counts = {name: measured.families[name].total.count for name in FAMILIES if measured.families[name].total.count}
    fewest = min(counts, key=lambda name: counts[name], default=None)
    if fewest is not None:
        needed = {name: STATISTICS[name].least_count for name in TOLD if name in PERCENTILES}
        thin = {name: count for name, count in needed.items() if counts[fewest] < count}
        if thin:
            first, last = next(iter(thin)), next(reversed(thin))
            told = first if first == last else f"{first} to {last}"
            found.append(
                Caveat(
                    "fewSamples",
                    f"{counts[fewest]:,} samples of {fewest} are too few for {told}, which takes {needed[last]:,};"
                    " run longer, or at a higher rate",
                )
            )
    if measured.length_ns < SHORT_NS:
        found.append(
            Caveat(
                "shortRun",
                f"{measured.length_ns / 1e9:.3g} s were measured: too short for a figure to settle; run 10 s or longer"
                " (--duration)",
            )
        )
    if above := measured.counters.get("overRangeSamples", 0):
        found.append(
            Caveat(
                "overRange",
                f"{above:,} latencies were above 24 h and stand at 24 h; look for messages that are older than the run",
            )
        )
    if below := measured.counters.get("negativeSamples", 0):
        found.append(
            Caveat(
                "clockBackwards",
                f"{below:,} latencies were below 0 and stand at 0: a clock went backwards; run on one host, with a"
                " steady clock source",
            )
        )
    return found


def on_targets(measured: RunMetrics) -> list[Caveat]:
    """Samples in which less was published than was asked for, of a rate that changes.

    The rate over the whole window is the verdict's; a spike may be missed in it.
    """
    interval_ns, length_ns = measured.interval_ns, measured.length_ns
    lengths_s = [min(interval_ns, length_ns - at * interval_ns) / 1e9 for at in range(len(measured.target_rates))]
    behind = [
        at
        for at, (target, rate) in enumerate(zip(measured.target_rates, measured.publish_rate, strict=False))
        if rate * lengths_s[at] + ROUNDED < LEAST_OF_TARGET * target * lengths_s[at]
    ]
    if not behind:
        return []
    first_s, worst = behind[0] * interval_ns / 1e9, min(behind, key=lambda at: _share(measured, at))
    return [
        Caveat(
            "behindTarget",
            f"less than {LEAST_OF_TARGET:.0%} of what was due was published in {len(behind)} of"
            f" {len(measured.target_rates)} samples, first after {first_s:g} s; least after"
            f" {worst * interval_ns / 1e9:g} s, {_share(measured, worst):.0%}; see targetRates beside publishRate",
        )
    ]


def _share(measured: RunMetrics, at: int) -> float:
    return measured.publish_rate[at] / measured.target_rates[at]


def on_stalls(workers: Sequence[WorkerFacts], bound_ns: float) -> list[Caveat]:
    """Single pauses above `bound_ns`; whether there were so many that they spoil the run is for the verdict to say."""
    paused = {each.name: max(each.longest_collection_ns, each.longest_stall_ns or 0) for each in workers}
    return [
        Caveat(
            "stalls",
            f"{name} was held up for {milliseconds(longest)} at once, above {milliseconds(bound_ns)}; read the"
            " maxima as this machine's, or end what else runs on it",
        )
        for name, longest in paused.items()
        if longest > bound_ns
    ]


def on_cores(setup: Mapping[str, Any], workers: int, cores: float) -> list[Caveat]:
    """The server runs on this machine, and there are fewer cores than processes that want one.

    Args:
        setup: as resolved.
        workers: how many processes there are besides the server and the parent.
        cores: that may be used.
    """
    server = setup.get("server") or {}
    url = server.get("url")
    here = "engine" in server if url is None else url.startswith("unix:") or urlsplit(url).hostname in _HERE
    if not here or cores >= workers + 2:
        return []
    return [
        Caveat(
            "colocated",
            f"the server shares {cores:g} {'core' if cores == 1 else 'cores'} with the {workers} workers, so each is"
            " measured with the others; use a larger machine, or a server on another one (--url)",
        )
    ]
