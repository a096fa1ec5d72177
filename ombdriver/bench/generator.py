"""The rules of INVALID: was this machine the bottleneck? Each tells what, by how much, and what to do. Pure.

What a pause or a wait does to the figures depends on how many messages it touched. A single one of some milliseconds
happens in every run on every machine and does not move a p99; so those that are counted here make up 1 % of the window
at least, and shorter ones are a caveat. See docs/verdict.md.
"""

from ombdriver.bench.facts import Facts, Found, Unjudged

WAITING_SHARE = 0.05
"""A worker that waited for a core for less of the window than that is not looked at any closer."""
BUSY_SHARE = 0.9
PAUSED_SHARE = 0.01
"""Pauses that make up more of the window than that reach the p99; so does throttling."""

_LESS_LOAD = "lower the rate, or give the harness more cores (--workers)"


def schedule_lag(facts: Facts) -> Found:
    """Messages were looked at late."""
    lag = facts.schedule_lag_p99_ns
    if lag is None:
        return Unjudged("no message was sent")
    if lag <= facts.bound_ns:
        return []
    return [
        f"the p99 of the schedule lag was {milliseconds(lag)}, above {milliseconds(facts.bound_ns)}: messages were"
        f" sent late by this machine, not by the server; {_LESS_LOAD}"
    ]


def waiting(facts: Facts) -> Found:
    """A worker was ready to run and had no core, for longer than it had one."""
    known = [(worker, worker.run_delay_ns) for worker in facts.workers if worker.run_delay_ns is not None]
    if not known:
        return Unjudged("this system does not tell how long a process waited for a core")
    return [
        f"{worker.name} waited for a core for {delay / facts.window_ns:.0%} of the window, longer than it ran"
        f" ({worker.cpu_ns / facts.window_ns:.0%}); end what else runs here, or {_LESS_LOAD}"
        for worker, delay in known
        if delay > WAITING_SHARE * facts.window_ns and delay > worker.cpu_ns
    ]


def throttled(facts: Facts) -> Found:
    """A container's limit held a worker up."""
    known = [(worker, worker.throttled_ns) for worker in facts.workers if worker.throttled_ns is not None]
    if not known:
        return Unjudged("no limit of a cgroup is known")
    return [
        f"{worker.name} was throttled by its cgroup for {throttled / facts.window_ns:.1%} of the window, above"
        f" {PAUSED_SHARE:.0%}; raise the container's CPU limit, or lower the rate"
        for worker, throttled in known
        if throttled > PAUSED_SHARE * facts.window_ns
    ]


def busy(facts: Facts) -> Found:
    """A worker had hardly anything of its core left."""
    return [
        f"{worker.name} took {worker.cpu_ns / facts.window_ns:.0%} of a core, above {BUSY_SHARE:.0%}; {_LESS_LOAD}"
        for worker in facts.workers
        if worker.cpu_ns > BUSY_SHARE * facts.window_ns
    ]


def collections(facts: Facts) -> Found:
    """The garbage collector held a worker up for long enough to reach the p99."""
    return [
        f"{worker.name} was held up by the garbage collector for {worker.collections_ns / facts.window_ns:.1%} of the"
        f" window, above {PAUSED_SHARE:.0%}, and for {milliseconds(longest)} at once, above"
        f" {milliseconds(facts.bound_ns)}; {_LESS_LOAD}"
        for worker in facts.workers
        if (longest := worker.longest_collection_ns) > facts.bound_ns
        and worker.collections_ns > PAUSED_SHARE * facts.window_ns
    ]


def stalls(facts: Facts) -> Found:
    """Event loops were held up, by whatever it was, for long enough to reach the p99."""
    known = [(worker, worker.stalls_ns) for worker in facts.workers if worker.stalls_ns is not None]
    if not known:
        return Unjudged("nothing was kept of how long event loops were held up")
    return [
        f"the event loop of {worker.name} was held up for {stalled / facts.window_ns:.1%} of the window, above"
        f" {PAUSED_SHARE:.0%}, and for {milliseconds(longest)} at once, above {milliseconds(facts.bound_ns)};"
        f" end what else runs here, or {_LESS_LOAD}"
        for worker, stalled in known
        if (longest := worker.longest_stall_ns or 0) > facts.bound_ns and stalled > PAUSED_SHARE * facts.window_ns
    ]


def milliseconds(ns: float) -> str:
    """`ns` with three digits."""
    return f"{ns / 1e6:.3g} ms"
