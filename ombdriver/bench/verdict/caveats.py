"""Caveats, as one table: facts of a run -> what a reader of its figures has to know, each with advice. Pure.

A caveat limits the figures and leaves the verdict as it is. The rows are those of docs/result.md, and of the same form
as the rules of the verdict.
"""

import math
from collections.abc import Callable, Sequence

from ombdriver.bench.metrics.collector import LEAST_ACK_GAP_MS
from ombdriver.bench.metrics.latency import PERCENTILES, REPORTED, STATISTICS
from ombdriver.bench.telemetry.hosts import HostUsage
from ombdriver.bench.units import format_size
from ombdriver.bench.verdict.facts import DELAYED_BY, OWN_PART, SHORT_NS, Facts
from ombdriver.bench.verdict.model import Caveat
from ombdriver.bench.verdict.rules import (
    LEAST_ACHIEVED,
    PAUSED_SHARE,
    WORKERS_BOUND,
    Rule,
    errors_explain,
    keeps_up,
    milliseconds,
)

CAVEAT = "CAVEAT"
"""In place of a status."""


def caveats_of(facts: Facts) -> list[Caveat]:
    """All caveats, in the order of the table."""
    return [Caveat(rule.name, message) for rule in CAVEATS for message in _messages(rule, facts)]


def _messages(rule: Rule, facts: Facts) -> Sequence[str]:
    found = rule.find(facts)
    return found if isinstance(found, list) else ()


def _if(condition: object, message: str) -> list[str]:
    return [message] if condition else []


# -- the load, and what was kept of it ---------------------------------------------------------------------------------


def _carried_in(facts: Facts) -> list[str]:
    return _if(
        facts.carried_in,
        f"{facts.carried_in:,} messages of the warm-up were still on their way when the measurement began;"
        " the rate may be more than this setup sustains; lower it, or give a longer drainTimeout",
    )


def _answered_later(facts: Facts) -> list[str]:
    """Where it fell behind the verdict says so."""
    target = facts.target_rate
    return [
        f"{name}: {rate:,.0f} of {target:,.0f} messages/s in the window; the rest was due too shortly before its end,"
        " or in a pause that it had not made up for, and came after it; run longer, and look at the greatest latencies"
        for name, rate in facts.achieved.items()
        if rate < LEAST_ACHIEVED * target and keeps_up(facts, name) and not errors_explain(facts, rate)
    ]


def _closed_loop(facts: Facts) -> list[str]:
    most = facts.max_in_flight
    if most is None:
        return []
    what = (
        "a closed loop: each producer waits for the reply to its last message before it sends the next"
        if most == 1
        else f"each producer waits when {most:,} of its messages have no reply"
    )
    return [f"{what} (maxInFlight); service times leave that wait out: read the response times"]


def _no_stamps(facts: Facts) -> list[str]:
    if not facts.existing_topics:
        return []
    if facts.reads and not facts.sends:
        return [
            f"nothing was sent by this run, and the {facts.of_others:,} messages of others that came have no stamp:"
            " consumeRate and received are all that is known of them; there are no latencies, no delivery and no"
            " backlog"
        ]
    return _if(
        facts.of_others,
        f"{facts.of_others:,} messages of others came too; they have no stamp, so they are in totals.receivedOfOthers"
        " alone: rates, latencies, delivery and backlog are those of this run's own messages",
    )


def _messages_left(facts: Facts) -> list[str]:
    return _if(
        facts.existing_topics and facts.sends,
        "what this run sent stays in the topics, which are not its own: they are neither trimmed nor deleted",
    )


def _trimming_held(facts: Facts) -> list[str]:
    """Trimming is held long before something could be lost.

    The caveat is for a single stream that might have lost something without that, and for trimming that is still held
    at the end.
    """
    kept = facts.kept_entries
    return _if(
        kept is not None and (facts.furthest_behind > kept or facts.trimming_held),
        f"a group fell {facts.furthest_behind:,} messages behind, so trimming was held until it had caught up:"
        " the streams grew past their usual length; lower the rate, or add consumers",
    )


def _undelivered(facts: Facts) -> list[str]:
    return [
        f"{name} had not received {count:,} messages when the drain ended;"
        " give it more consumers, lower the rate, or set a longer drainTimeout"
        for name, count in facts.undelivered.items()
        if count
    ]


def _duplicated(facts: Facts) -> list[str]:
    """What nothing explains is for the verdict to say."""
    return [
        f"{name}: {count:,} times a message came again, after connections, servers or sends had failed: delivered at"
        " least once; an idempotent producer leaves out what it can"
        for name, count in (facts.duplicated or {}).items()
        if count and facts.explains_repetition
    ]


def _reordered(facts: Facts) -> list[str]:
    return [
        f"{name}: {count:,} messages came after later ones of their producer and partition: several connections of a"
        " producer overtake one another (client.connections), and so do sends that are tried again"
        for name, count in (facts.reordered or {}).items()
        if count
    ]


def _fault_loss(facts: Facts) -> list[str]:
    return [
        f"fault {each.number} ({each.text}): {group.subscription} lost {group.lost:,} of {group.acknowledged:,}"
        f" acknowledged messages of its time; an acknowledgement of this setup means: {facts.durability}"
        for each in facts.faults
        for group in each.groups
        if group.lost
    ]


def _fault_no_effect(facts: Facts) -> list[str]:
    return [
        f"nothing was seen of fault {each.number} ({each.text}), which hit {', '.join(each.hit)}: no error, no outage,"
        " no slower response; it says nothing of how this setup stands it where it is felt"
        for each in facts.faults
        if each.hit and not each.had_effect
    ]


def _fault_not_recovered(facts: Facts) -> list[str]:
    return [
        f"after fault {each.number} ({each.text}) the responses were not as before until the next one came, or the"
        " window ended; run longer"
        for each in facts.faults
        if each.recover_ns is None
    ]


def _fsync_gate(facts: Facts) -> list[str]:
    if facts.fsync_gate_ns is None:
        return []
    return [
        "for the faults of disks another process carries out each fsync of the servers, all through the run; with no"
        f" delay that takes {facts.fsync_gate_ns / 1000:,.0f} µs longer on this machine, as measured before the run."
        " Compare it with runs that have such a fault alone"
    ]


def _audit_incomplete(facts: Facts) -> list[str]:
    return _if(
        facts.audit_incomplete,
        f"not all that is missing could be looked for ({facts.audit_incomplete}), and what was not is told as"
        " undelivered; may this user run XRANGE, XPENDING and XINFO?",
    )


# -- what did not end well ---------------------------------------------------------------------------------------------

MOST_SEND_ERRORS = 3
"""Different errors of sends that become a caveat."""


def _unsent(facts: Facts) -> list[str]:
    return _if(facts.unsent, f"{facts.unsent:,} messages were due and never sent: this setup did not take the load")


def _unanswered(facts: Facts) -> list[str]:
    return _if(facts.unanswered, f"{facts.unanswered:,} messages had no reply when the drain ended")


def _failed_acks(facts: Facts) -> list[str]:
    return _if(
        facts.failed_acks,
        f"{facts.failed_acks:,} acknowledgements were refused or never answered, so their messages stay pending;"
        " may this user run XACK (with ack: delete XDEL or XACKDEL), and does the server have it?",
    )


def _reconnects(facts: Facts) -> list[str]:
    silence_ms = facts.longest_silence_ms
    gap = f"{silence_ms / 1000:,.3g} s" if silence_ms else f"below {LEAST_ACK_GAP_MS / 1000:g} s"
    return _if(
        facts.reconnects,
        f"{facts.reconnects:,} connections were lost and made anew; what was on its way may have come twice;"
        f" the longest gap in the acknowledgements was {gap}",
    )


def _under_replicated(facts: Facts) -> list[str]:
    return _if(
        facts.under_replicated,
        f"{facts.under_replicated:,} messages are stored, but the replicas or disks that waitReplicas or waitAof ask"
        " for had them not in time: they don't count as published, and a failover or a crash may lose them",
    )


def _polling_reads(facts: Facts) -> list[str]:
    return _if(
        facts.polling_rounds,
        "consumers have too many partitions for blocking reads on a cluster, so they asked all of them in turn,"
        f" up to 20 ms apart, {facts.polling_rounds:,} times; use more consumers with assignment: exclusive",
    )


def _early_reads(facts: Facts) -> list[str]:
    return _if(
        facts.early_reads,
        f"the server answered {facts.early_reads:,} reads at once with nothing, though they were to wait (BLOCK); each"
        " reader then asks every 50 ms, which adds to end-to-end latency; is it a server or proxy that ignores BLOCK?",
    )


def _lost_replies(facts: Facts) -> list[str]:
    return _if(
        facts.lost_replies,
        f"{facts.lost_replies:,} replies to reads were lost with their connections, and later reads asked for less; if"
        " no server ended, see its client-output-buffer-limit normal and maxmemory-clients",
    )


def _publish_errors(facts: Facts) -> list[str]:
    return [
        f"{count:,} messages met the error: {text}{f'; {facts.ways_out[text]}' if text in facts.ways_out else ''}"
        for text, count in facts.send_errors[:MOST_SEND_ERRORS]
    ]


def _forced(facts: Facts) -> list[str]:
    return [f"started by --force, though {fault.partition(';')[0]}" for fault in facts.forced]


def _servers_ended(facts: Facts) -> list[str]:
    return _if(
        facts.servers_ended,
        f"{', '.join(facts.servers_ended)} ended during the run, and what was left went on without; see the gap",
    )


def _retention_breached(facts: Facts) -> list[str]:
    return _if(
        facts.cut_unacknowledged,
        f"{facts.cut_unacknowledged:,} entries were cut that a group without live consumers had not acknowledged:"
        " a bound of retention was passed; raise maxlen or maxage, or see why nobody reads",
    )


def _trimming_failed(facts: Facts) -> list[str]:
    return _if(
        facts.failed_trims,
        f"{facts.failed_trims:,} attempts to trim failed, so streams grew; may this user run XTRIM (with"
        " retention: acknowledged EVAL and EVALSHA), and does the server have it?",
    )


def _refused(facts: Facts) -> list[str]:
    return _if(
        facts.refused_ms,
        f"the server refused commands of the run itself, which were no messages, for {facts.refused_ms / 1e3:.1f} s in"
        " all; they were sent again until it took them; look at its log",
    )


# -- samples, and the machine ------------------------------------------------------------------------------------------

LEAST_OF_TARGET = 0.9
UNEVEN = 2
"""Times its share that a primary may have of the streams."""
ROUNDED = 10
"""Messages that may be on their way at the end of a sample interval."""


def _few_samples(facts: Facts) -> list[str]:
    fewest = min(facts.samples, key=lambda family: facts.samples[family], default=None)
    if fewest is None:
        return []
    count = facts.samples[fewest]
    thin = {name: STATISTICS[name].least_count for name in PERCENTILES if name in REPORTED}
    thin = {name: needed for name, needed in thin.items() if count < needed}
    if not thin:
        return []
    first, last = next(iter(thin)), next(reversed(thin))
    which = first if first == last else f"{first} to {last}"
    return [
        f"{count:,} samples of {fewest} are too few for {which}, which takes {thin[last]:,}; run longer, or at a"
        " higher rate"
    ]


def _short_run(facts: Facts) -> list[str]:
    return _if(
        facts.window_ns < SHORT_NS,
        f"{facts.window_ns / 1e9:.3g} s were measured: too short for a figure to settle; run 10 s or longer"
        " (--duration)",
    )


def _over_range(facts: Facts) -> list[str]:
    return _if(
        facts.over_range,
        f"{facts.over_range:,} latencies were above 24 h and stand at 24 h; look for messages that are older than the"
        " run",
    )


def _clocks_of_hosts(facts: Facts) -> list[str]:
    below = f"; {facts.negative:,} were below 0 and stand at 0" if facts.negative else ""
    return _if(
        facts.clock_error_ns,
        f"end-to-end latencies are between hosts, whose clocks may be wrong by {milliseconds(facts.clock_error_ns)}"
        f"{below}; take no difference for real that is smaller",
    )


WITNESSES = {"kernel": "the wall clocks of its kernel and of this machine's", "serverTime": "the server's TIME"}


def _clock_witness(facts: Facts) -> list[str]:
    return [
        f"{WITNESSES[witness]} contradict{'' if witness == 'kernel' else 's'} what exchanges prove of the clock of host"
        f" {host}, by {milliseconds(beyond_ns)} more than both may be wrong: one of them does not hold; see what steps"
        " these clocks, and take no latency between hosts for true before"
        for host, witness, beyond_ns in facts.clock_contradictions
    ]


def _within_hosts(facts: Facts) -> list[str]:
    counted = facts.received - facts.received_from_other_hosts
    return _if(
        facts.received_from_other_hosts,
        f"end-to-end latencies are of {counted:,} of {facts.received:,} received messages, those that the host itself"
        f" had sent (--placement swarm); the other {facts.received_from_other_hosts:,} are in rates and delivery alone;"
        " for latencies between hosts write --placement mixed",
    )


def _clock_backwards(facts: Facts) -> list[str]:
    return _if(
        facts.negative and not facts.clock_error_ns,
        f"{facts.negative:,} latencies were below 0 and stand at 0: a clock went backwards; run on one host, with a"
        " steady clock source",
    )


def _behind_target(facts: Facts) -> list[str]:
    """The rate over the whole window is the verdict's; a spike of a changing rate may be missed in it."""
    if not facts.rate_changes:
        return []
    targets, rates, interval_ns = facts.target_rates, facts.publish_rates, facts.interval_ns
    lengths_s = [min(interval_ns, facts.window_ns - at * interval_ns) / 1e9 for at in range(len(targets))]
    behind = [
        at
        for at, (target, rate) in enumerate(zip(targets, rates, strict=False))
        if rate * lengths_s[at] + ROUNDED < LEAST_OF_TARGET * target * lengths_s[at]
    ]
    if not behind:
        return []
    worst = min(behind, key=lambda at: rates[at] / targets[at])
    return [
        f"less than {LEAST_OF_TARGET:.0%} of what was due was published in {len(behind)} of {len(targets)} samples,"
        f" first after {behind[0] * interval_ns / 1e9:g} s; least after {worst * interval_ns / 1e9:g} s,"
        f" {rates[worst] / targets[worst]:.0%}; see targetRates beside publishRate"
    ]


def _stalls(facts: Facts) -> list[str]:
    """Single pauses; whether there were so many that they spoil the run is for the verdict to say."""
    paused = [(each, max(each.longest_collection_ns, each.longest_stall_ns)) for each in facts.workers]
    return [
        f"{worker.name} was held up for {milliseconds(longest)} at once, above {milliseconds(facts.bound_of(worker))};"
        " read the maxima as this machine's, or end what else runs on it"
        for worker, longest in paused
        if longest > facts.bound_of(worker)
    ]


LEAST_OWN_NS = 1_000_000


def _own_part(facts: Facts) -> list[str]:
    """Percentiles that are the harness's for a good part; a pause below 1 % of the window may own the p99.9."""
    where = " beside the faults" if facts.faults else ""  # the tables have those of the whole window
    found = []
    for family, response in facts.responses.items():
        late = [each for each in facts.workers if family in DELAYED_BY[each.role] and each.lateness.count]
        parts = []
        for name in PERCENTILES:
            value_ns, own_ns = response.ns(name), max((each.lateness.ns(name) or 0 for each in late), default=0)
            if name in REPORTED and value_ns and own_ns > max(LEAST_OWN_NS, OWN_PART * value_ns):
                parts.append(f"{name} {milliseconds(value_ns)}, of which {milliseconds(min(own_ns, value_ns))}")
        if parts:
            found.append(
                f"of {family}{where} more than a third may be this machine's, whose event loops came late:"
                f" {'; '.join(parts)};"
                " end what else runs here, or lower the rate"
            )
    return found


FEWEST_IN_TAIL = 10
FEWEST_INTERVALS = 20
MOST_OF_TAIL = 0.8
"""The share of a tail that makes it that of a few sample intervals."""
FEW_INTERVALS = 0.05


def _tail_owner(facts: Facts) -> list[str]:
    """A p99.9 that a pause or two have made, and whose pauses these were; with faults these have made it."""
    if facts.faults:
        return []
    found = []
    for family, counts in facts.tails.items():
        value_ns = facts.responses[family].ns("p99.9") or 0
        few = _few_of(counts)
        if few and value_ns > LEAST_OWN_NS:
            times = ", ".join(f"{at * facts.interval_ns / 1e9:g} s" for at in few)
            found.append(
                f"the p99.9 of {family}, {milliseconds(value_ns)}, was made in {len(few)} of {len(counts)} sample"
                f" intervals, from {times} on: {_who_paused(facts, family, OWN_PART * value_ns)}; repeat the run to see"
                " whether that comes again"
            )
    return found


def _few_of(counts: Sequence[int]) -> list[int]:
    """The few intervals with nearly all of a tail, in order; none where it is spread, or too small to tell."""
    total = sum(counts)
    if total < FEWEST_IN_TAIL or len(counts) < FEWEST_INTERVALS:
        return []
    few: list[int] = []
    for at in sorted(range(len(counts)), key=lambda each: -counts[each])[: max(2, int(FEW_INTERVALS * len(counts)))]:
        few.append(at)
        if sum(counts[each] for each in few) >= MOST_OF_TAIL * total:
            return sorted(few)
    return []


def _who_paused(facts: Facts, family: str, least_ns: float) -> str:
    """What was held up at once for `least_ns` and more."""
    found = []
    for worker in facts.workers:
        if family in DELAYED_BY[worker.role]:
            if worker.longest_collection_ns > least_ns:
                found.append(
                    f"{worker.name} was held up by the garbage collector for"
                    f" {milliseconds(worker.longest_collection_ns)} at once"
                )
            elif max(worker.longest_stall_ns, worker.lateness.ns("max") or 0) > least_ns:
                longest_ns = max(worker.longest_stall_ns, worker.lateness.ns("max") or 0)
                found.append(f"{worker.name} was held up for {milliseconds(longest_ns)} at once")
    fork_ns = (facts.telemetry.longest_fork_ns if facts.telemetry else None) or 0
    if fork_ns > least_ns:
        found.append(f"the server was held up by a fork for {milliseconds(fork_ns)}")
    return " and ".join(found) or "the server or the network paused, and none of the workers did"


def _colocated(facts: Facts) -> list[str]:
    """There are fewer cores than processes that want one: the workers, all servers and the parent, or the agent."""
    if facts.is_elsewhere:
        return [message for each in facts.hosts for message in _colocated_on(facts, each)]
    cores, servers, workers = facts.cores, facts.servers_on_host, len(facts.workers)
    return _if(
        servers and cores < workers + servers + 1,
        f"{'the server shares' if servers == 1 else f'{servers} servers share'} {cores:g}"
        f" {'core' if cores == 1 else 'cores'} with the {workers} workers, so each is measured with the others; use a"
        " larger machine, or a server on another one (--url)",
    )


def _colocated_on(facts: Facts, host: HostUsage) -> list[str]:
    workers = sum(worker.host == host.name for worker in facts.workers)
    return _if(
        host.servers and workers and host.cores < workers + host.servers + 1,
        f"{'the server shares' if host.servers == 1 else f'{host.servers} servers share'} {host.cores}"
        f" {'core' if host.cores == 1 else 'cores'} of host {host.name} with {workers}"
        f" {'worker' if workers == 1 else 'workers'}, so each is measured with the others; let the scheduler have"
        " one host more than --hosts, which the server has for itself then",
    )


LEAST_OF_OTHERS = 0.1
"""A share of the window for which processes of others waited for a core."""


def _busy_machine(facts: Facts) -> list[str]:
    """Processes waited for a core, and not those of this run: the pressure is no more than what all waited together."""
    if facts.is_elsewhere:
        return [message for each in facts.hosts for message in _busy_host(facts, each)]
    telemetry = facts.telemetry
    pressure = telemetry.pressure.mean if telemetry else None
    servers_ns = 0.0
    if facts.servers_on_host:
        waiting = telemetry.server_process_waiting.mean if telemetry else None
        servers_ns = facts.window_ns * (1.0 if waiting is None else waiting)  # nobody knows: all of it may be theirs
    if pressure is None or not facts.window_ns:
        return []
    own = (servers_ns + sum(worker.run_delay_ns for worker in facts.workers)) / facts.window_ns
    return _if(
        pressure - own > LEAST_OF_OTHERS,
        f"processes waited for a core of this machine for {pressure:.0%} of the window, those of this run for"
        f" {own:.0%} at most: others run here too, so end what else runs",
    )


def _busy_host(facts: Facts, host: HostUsage) -> list[str]:
    pressure, own = host.pressure.mean or 0.0, facts.waited_on(host.name)
    return _if(
        pressure - own > LEAST_OF_OTHERS,
        f"processes waited for a core of host {host.name} for {pressure:.0%} of the window, those of this run for"
        f" {own:.0%} at most: others run there too, so end what else runs, or leave that host out",
    )


LEAST_MEMORY = 0.05
"""Of a host: with less left its kernel gives up files that it needs, and swaps."""
MOST_OF_ENGINE = 0.05
"""Of a core: what places processes is to have no part in what they measure."""


def _host_memory(facts: Facts) -> list[str]:
    return [
        f"host {each.name} had {format_size(each.least_available_bytes)} of {format_size(each.memory_bytes)} left at"
        f" worst, less than {LEAST_MEMORY:.0%}: its workers may have waited for memory; give it more, or fewer workers"
        for each in facts.hosts
        if each.memory_bytes
        and each.least_available_bytes is not None
        and each.least_available_bytes < LEAST_MEMORY * each.memory_bytes
    ]


def _engine_share(facts: Facts) -> list[str]:
    return [
        f"the engine's processes on host {each.name} took {each.engine_cpu.mean:.1%} of a core in the window, above"
        f" {MOST_OF_ENGINE:.0%}, which the workers lacked: end what else its scheduler does, or turn its profiler off"
        " (docs/cluster.md)"
        for each in facts.hosts
        if (each.engine_cpu.mean or 0.0) > MOST_OF_ENGINE
    ]


def _steal(facts: Facts) -> list[str]:
    """Whether messages were sent late by it is for the verdict to say."""
    return [
        f"a processor of {machine} was taken away by its host (steal) for {share:.1%} of the window: latencies"
        " are in part that machine's; use one whose processors are its own"
        for machine, share in facts.stolen_shares.items()
        if share > PAUSED_SHARE
    ]


def _uneven(facts: Facts) -> list[str]:
    """No more than can't be helped: with fewer streams than primaries some primary has a whole one."""
    if not facts.primaries:
        return []
    share, most = facts.streams / facts.primaries, facts.most_of_a_primary
    return _if(
        most > UNEVEN * share and most > math.ceil(share),
        f"one of {facts.primaries} primaries has {most:,} of {facts.streams:,} streams, more than twice its share, and"
        " is the limit; set streams.placement: balanced",
    )


def _caveat(kind: str, when: str, find: Callable[[Facts], list[str]]) -> Rule:
    return Rule(kind, CAVEAT, when, find)


CAVEATS = (
    _caveat(
        "carriedIn",
        "messages of the warm-up were still on their way when the measurement began; the rate may be more than the"
        " setup sustains",
        _carried_in,
    ),
    _caveat(
        "answeredLater",
        "less than 99 % of the target was published, or received by a group, within the window, though the system did"
        " not fall behind: a latency, or a pause that was not made up for at its end, is the cause",
        _answered_later,
    ),
    _caveat("closedLoop", "`maxInFlight` held producers back; 1 is a closed loop", _closed_loop),
    _caveat(
        "noStamps",
        "on topics that exist, messages of others came; only their number and times are known, so the message says what"
        " the result lacks",
        _no_stamps,
    ),
    _caveat("messagesLeft", "on topics that exist, what the run sent stays there", _messages_left),
    _caveat(
        "trimmingHeld",
        "a group fell further behind than a partition keeps, so trimming was held until it had caught up, or to the"
        " end, and streams grew past their usual length",
        _trimming_held,
    ),
    _caveat("undelivered", "a group had not received so many messages when the drain ended", _undelivered),
    _caveat(
        "duplicated",
        "messages came twice, and a lost connection, an ended server or a failed or unanswered send explains it",
        _duplicated,
    ),
    _caveat("reordered", "messages came after later ones of their producer and partition", _reordered),
    _caveat("faultLoss", "a fault that was ordered lost acknowledged messages", _fault_loss),
    _caveat("faultNoEffect", "nothing was seen of a fault that was ordered", _fault_no_effect),
    _caveat(
        "faultNotRecovered", "after a fault the responses did not come back to what they were", _fault_not_recovered
    ),
    _caveat(
        "fsyncGate",
        "the faults had fsyncs carried out by another process; how much longer each takes by that alone",
        _fsync_gate,
    ),
    _caveat(
        "auditIncomplete",
        "not all that is missing could be looked for, so some of it is told as undelivered without proof",
        _audit_incomplete,
    ),
    _caveat("unsent", "messages were due and never sent", _unsent),
    _caveat("unanswered", "messages had no reply when the drain ended", _unanswered),
    _caveat(
        "failedAcknowledgements",
        "acknowledgements were refused or never answered, so their messages stay pending",
        _failed_acks,
    ),
    _caveat(
        "reconnects",
        "connections were lost and made anew; what was on its way may have come twice; the longest gap in the"
        " acknowledgements",
        _reconnects,
    ),
    _caveat(
        "underReplicated",
        "messages are stored, but the replicas or disks that `waitReplicas` or `waitAof` ask for had them not in time",
        _under_replicated,
    ),
    _caveat(
        "pollingReads",
        "consumers with too many partitions for blocking reads on a cluster asked all of them in turn",
        _polling_reads,
    ),
    _caveat(
        "earlyReads",
        "the server answered reads at once though they were to wait, so readers asked every 50 ms",
        _early_reads,
    ),
    _caveat(
        "lostReplies",
        "replies to reads were lost with their connections, and later reads asked for less",
        _lost_replies,
    ),
    _caveat(
        "publishErrors",
        "so many messages met this error; the three most frequent errors are told",
        _publish_errors,
    ),
    _caveat("forced", "started by `--force`, though the server may not have the memory", _forced),
    _caveat(
        "serversEnded",
        "servers that were started for the run ended in it, and what was left went on",
        _servers_ended,
    ),
    _caveat(
        "retentionBreached",
        "a bound of `retention: acknowledged` was passed, so entries were cut that a group without live consumers had"
        " not acknowledged",
        _retention_breached,
    ),
    _caveat("unevenPlacement", "a primary of the cluster has more than twice its share of the streams", _uneven),
    _caveat("trimmingFailed", "streams could not be trimmed by acknowledgements, so they grew", _trimming_failed),
    _caveat(
        "refused",
        "the server refused commands of the run itself for a while, as one that loads, can't save, is full or fails"
        " over; they were sent again until it took them",
        _refused,
    ),
    _caveat(
        "fewSamples",
        "fewer than 10 samples beyond a percentile: 1,000 are needed for p99, 10,000 for p99.9, 100,000 for p99.99",
        _few_samples,
    ),
    _caveat("shortRun", "less than 10 s were measured", _short_run),
    _caveat("overRange", "latencies above 24 h; they stand at 24 h", _over_range),
    _caveat("clocksOfHosts", "workers were on several hosts; how wrong their clocks may be", _clocks_of_hosts),
    _caveat(
        "clockWitness",
        "the kernels of the hosts, or the TIME of a server, contradict what exchanges prove of a host's clock",
        _clock_witness,
    ),
    _caveat(
        "withinHosts",
        "with `--placement swarm`, how many of the received messages end-to-end latencies are of: those that a host has"
        " sent to itself",
        _within_hosts,
    ),
    _caveat("clockBackwards", "latencies below 0; they stand at 0", _clock_backwards),
    _caveat(
        "behindTarget",
        "with a profile, less than 90 % of what was due was published in some samples",
        _behind_target,
    ),
    _caveat(
        "stalls",
        f"a worker was held up at once for longer than {WORKERS_BOUND}",
        _stalls,
    ),
    _caveat(
        "ownShare",
        "more than a third of a percentile may be the harness's: its event loops came as late as that, and by more than"
        " 1 ms; each such percentile is named, with its own part",
        _own_part,
    ),
    _caveat(
        "tailOwner",
        "with 20 sample intervals, four fifths of the samples beyond a p99.9 of more than 1 ms come from two, or from 5"
        " % of them, at most; what paused then: a worker, its garbage collector, the server by a fork, or else the"
        " server or the network",
        _tail_owner,
    ),
    _caveat(
        "colocated",
        "servers run on this machine, which has fewer cores than there are workers, these servers (replicas and"
        " Sentinels among them) and the parent; or the run started them on a host with workers, and so few cores",
        _colocated,
    ),
    _caveat(
        "busyMachine",
        "processes of others waited for a core of this machine, or of a host of several, for more than 10 % of the"
        " window: its pressure (PSI) less what the workers and servers of this run waited",
        _busy_machine,
    ),
    _caveat(
        "steal",
        "the host of a machine with workers took one of its processors away for more than 1 % of the window",
        _steal,
    ),
    _caveat("hostMemory", "less than 5 % of a host's memory was left at worst", _host_memory),
    _caveat(
        "engineShare",
        "the processes of the engine that places agents took more than 5 % of a core of a host in the window",
        _engine_share,
    ),
)
"""In the order in which a result tells them."""
