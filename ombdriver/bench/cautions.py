"""What limits the figures of a run without spoiling them: facts of it -> caveats, each with advice. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ombdriver.bench.facts import SHORT_NS, WorkerFacts
from ombdriver.bench.generator import milliseconds
from ombdriver.bench.judgement import Caveat
from ombdriver.bench.measurements import FAMILIES, Measurements
from ombdriver.bench.thresholds import BEYOND, ENOUGH_BEYOND

LEAST_OF_TARGET = 0.9
ROUNDED = 10
"""Messages that may be on their way at the end of a sample."""
_HERE = {"127.0.0.1", "::1", "localhost"}


def on_samples(measured: Measurements, window_ns: int) -> list[Caveat]:
    """Too few of them, too short a time, and such as do not fit."""
    found = []
    counts = {name: measured.families[name].total.count for name in FAMILIES if measured.families[name].total.count}
    fewest = min(counts, key=lambda name: counts[name], default=None)
    if fewest is not None:
        needed = {name: round(ENOUGH_BEYOND / share) for name, share in BEYOND.items()}
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
    if window_ns < SHORT_NS:
        found.append(
            Caveat(
                "shortRun",
                f"{window_ns / 1e9:.3g} s were measured: too short for a figure to settle; run 10 s or longer"
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


def on_targets(measured: Measurements, interval_ns: int, window_ns: int) -> list[Caveat]:
    """Samples in which less was published than was asked for, of a rate that changes.

    The rate over the whole window is the verdict's; a spike may be missed in it.
    """
    lengths_s = [min(interval_ns, window_ns - at * interval_ns) / 1e9 for at in range(len(measured.target_rates))]
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


def _share(measured: Measurements, at: int) -> float:
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
