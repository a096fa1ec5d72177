"""Facts of a run: the typed figures that rules and caveats are found from. Pure data; times are nanoseconds.

They are made once, from the metrics, the plan, and what was observed of the run. Rules and caveats know nothing else.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ombdriver.bench.metrics.figures import Source
from ombdriver.bench.metrics.latency import LatencySummary, summarise
from ombdriver.bench.metrics.report import ProcessUsage
from ombdriver.bench.metrics.summary import DrainMetrics, FaultMetrics
from ombdriver.bench.plan.plan import WorkerPlan
from ombdriver.bench.telemetry.hosts import HostUsage
from ombdriver.bench.telemetry.summary import TelemetrySummary
from ombdriver.bench.verdict.model import Ending
from ombdriver.bench.verdict.trend import Trend

LEAST_LAG_NS = 2_000_000
"""Schedule lags and pauses up to that never matter."""
PART_OF_RESPONSE = 0.5
"""Above that, they matter from this part of the p99 of `publishResponse` on."""
DELAYED_BY = {
    "produce": ("publishResponse",),
    "consume": ("endToEndResponse",),
    "both": ("publishResponse", "endToEndResponse"),
}
"""Which latencies a worker delays when it is late, by its role."""
OWN_PART = 1 / 3
"""A percentile of which the harness may have more is told to be its own in good part."""
SHORT_NS = 10 * 10**9
"""Shorter windows hold no trimming, no garbage collection of the server and no slow wave."""


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One worker process in the window.

    Attributes:
        index: its number in the plan.
        role: what it does: `produce`, `consume` or `both`.
        host: the name of the host that it is on; empty for this machine.
        cpu_ns: processor time.
        run_delay_ns: time that it was ready to run and had no core; 0 where the system does not tell.
        throttled_ns: time that a limit of its cgroup kept it from running; None where the system does not tell.
        collections: pauses by the garbage collector.
        collections_ns: all of them together.
        longest_collection_ns: the longest of them.
        stalls: times that its event loop was held up.
        stalls_ns: all of them together.
        longest_stall_ns: the longest of them.
        lateness: how late its event loop came to what was due.
        peak_rss_bytes: the greatest resident size since its start.
        rss_growth_bytes: by how much the resident size has grown.
        spins: whether it never sleeps, so that it takes a whole core whatever there is to do.
    """

    index: int
    role: str
    cpu_ns: int = 0
    run_delay_ns: int = 0
    throttled_ns: int | None = None
    collections: int = 0
    collections_ns: int = 0
    longest_collection_ns: int = 0
    stalls: int = 0
    stalls_ns: int = 0
    longest_stall_ns: int = 0
    lateness: LatencySummary = field(default_factory=LatencySummary.none)
    peak_rss_bytes: int = 0
    rss_growth_bytes: int = 0
    spins: bool = False
    host: str = ""

    @property
    def name(self) -> str:
        """As messages have it."""
        return f"{self.planned_name} on host {self.host}" if self.host else self.planned_name

    @property
    def planned_name(self) -> str:
        """As the plan has it, which knows no host by name."""
        return f"worker {self.index} ({self.role})"


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules and caveats are found from; None, 0 or nothing in it for what was not measured or did not happen.

    The window:

    Attributes:
        window_ns: its length.
        ending: why the run ended before its time; None when it did not.
        target_rate: messages per second.
        rate_changes: whether that is the mean of a rate that changes.
        rate_unknown: why a search knows no rate that is sustained, when this machine is the cause; None otherwise.
        achieved: the messages that were acknowledged per second, by `published`, and those that each subscription
            received, by its name.
        debt_growth: by how many messages per second what was due and not published, or not received by a subscription,
            usually grew; by the same names.
        interval_ns: the length of a sample interval; the last one may be shorter.
        intervals: how many sample intervals trends are judged by.
        target_rates, publish_rates: messages per second that each sample interval asked for, and that were
            acknowledged in it; no target rates where all intervals ask for the same.
        trends: of each series that has enough intervals, by its name.
        samples: how many samples each latency family has.
        schedule_lag_p99_ns: of the part of the publish delay that is the harness's.
        publish_delay_p99_ns: of the time from due until sent.
        publish_response_p99_ns: of the publish latency from the intended send.
        responses: the latencies from the intended send, by family.
        tails: by family of `responses`: samples beyond the p99.9 in each sample interval.
        over_range, negative: samples that were above the greatest latency, or below 0.
        most_negative_ns: how far below 0 the least of them was.
        clock_error_ns: how wrong an end-to-end latency may be by the clocks of other hosts; 0 on this machine.
        clock_contradictions: host, witness, and by how much (ns) more than both allow that witness says something else
            of its clock than the exchanges.
        received: messages that consumers were given, over all subscriptions.
        received_from_other_hosts: of these, those in no latency, since latencies are counted within hosts alone.

        due: messages that were due; the messages from here on are those of the window.
        errors: that met an error.
        send_errors: the errors that were met, each with its count, the most frequent ones first.
        ways_out: what to do about these errors, by their texts, as far as that is known.
        unsent: that were due and never sent.
        unanswered: that had no reply when nothing was waited for any longer.
        under_replicated: that are stored, but not on the replicas and disks that were asked for.
        lost, trimmed: acknowledged messages that a subscription never got, by its name; None without a ledger.
        corrupt: messages whose checksum did not fit, by subscription; None without a ledger or without checksums.
        duplicated: times that a message came again, by subscription: as another entry, or the same one.
        reordered: messages that came after later ones of their producer and partition, by subscription.
        undelivered: acknowledged messages that a subscription had not got when the drain ended, by its name.
        audit_incomplete: why not all that is missing could be looked for; None when it could.
        drains: how each subscription drained a backlog, by its name; none when none was built.
        carried_in: messages of the warm-up that were on their way when the window began.
        of_others: messages of others that were received.

        workers: the worker processes.
        hosts: that they are on, where these are others, each with what it took.
        cores: that the run could use, on this machine.
        servers_on_host: server processes of the run, or that its URL names, on this machine.
        telemetry: what server and processes took, in a few figures; None when it was not sampled.
        servers_ended: servers of the run that ended by themselves, by name.
        reconnects: connections that were lost and made anew.
        longest_silence_ms: the longest time in which messages were due and none was acknowledged; 0 for a short one.
        failed_acks: acknowledgements of consumers that were refused or never answered.
        early_reads: reads that the server answered at once with nothing, though they were to wait.
        lost_replies: reads whose reply was lost with its connection.
        polling_rounds: rounds in which consumers asked all their partitions in turn.
        furthest_behind: messages that a subscription was behind at worst.
        kept_entries: what each stream keeps; None when nothing is trimmed, or when a backlog was asked for.
        trimming_held: whether trimming was still held when the run ended.
        cut_unacknowledged: entries that were trimmed before a group without live consumers had acknowledged them.
        failed_trims: attempts to trim that failed.
        refused_ms: for how long the server refused commands that were no messages, and took them later.
        primaries: of the cluster; 0 when it is none.
        streams: that the run has on it.
        most_of_a_primary: of these, how many one primary has at most.

        sends, reads: whether the run does.
        existing_topics: whether the topics are somebody else's.
        max_in_flight: messages that each producer may have without a reply; None leaves it to the driver.
        forced: what would have kept the run from starting without `--force`.
        faults: each injection of a fault. Where there are some, rates, latencies, errors and what had no answer are of
            the intervals that none of them was felt in; what they lost is theirs, unless this setup promises otherwise.
        durability: what an acknowledgement means, in words.
        fsync_gate_ns: by how much each fsync of the servers took longer, since another process carried it out for the
            faults, as it was measured just before; None where that was not so, or could not be measured.
    """

    window_ns: int = 0
    ending: Ending | None = None
    target_rate: float = 0.0
    rate_changes: bool = False
    rate_unknown: str | None = None
    achieved: Mapping[str, float] = field(default_factory=dict)
    debt_growth: Mapping[str, float] = field(default_factory=dict)
    interval_ns: int = 0
    intervals: int = 0
    target_rates: Sequence[float] = ()
    publish_rates: Sequence[float] = ()
    trends: Mapping[str, Trend] = field(default_factory=dict)
    samples: Mapping[str, int] = field(default_factory=dict)
    schedule_lag_p99_ns: int | None = None
    publish_delay_p99_ns: int | None = None
    publish_response_p99_ns: int | None = None
    responses: Mapping[str, LatencySummary] = field(default_factory=dict)
    tails: Mapping[str, Sequence[int]] = field(default_factory=dict)
    over_range: int = 0
    negative: int = 0
    most_negative_ns: int = 0
    clock_error_ns: int = 0
    clock_contradictions: Sequence[tuple[str, str, int]] = ()
    received: int = 0
    received_from_other_hosts: int = 0

    due: int = 0
    errors: int = 0
    send_errors: Sequence[tuple[str, int]] = ()
    ways_out: Mapping[str, str] = field(default_factory=dict)
    unsent: int = 0
    unanswered: int = 0
    under_replicated: int = 0
    lost: Mapping[str, int] | None = None
    trimmed: Mapping[str, int] | None = None
    corrupt: Mapping[str, int] | None = None
    duplicated: Mapping[str, int] | None = None
    reordered: Mapping[str, int] | None = None
    undelivered: Mapping[str, int] = field(default_factory=dict)
    audit_incomplete: str | None = None
    drains: Mapping[str, DrainMetrics] = field(default_factory=dict)
    carried_in: int = 0
    of_others: int = 0

    workers: Sequence[WorkerFacts] = ()
    hosts: Sequence[HostUsage] = ()
    cores: float = 0.0
    servers_on_host: int = 0
    telemetry: TelemetrySummary | None = None
    servers_ended: Sequence[str] = ()
    reconnects: int = 0
    longest_silence_ms: int = 0
    failed_acks: int = 0
    early_reads: int = 0
    lost_replies: int = 0
    polling_rounds: int = 0
    furthest_behind: int = 0
    kept_entries: int | None = None
    trimming_held: bool = False
    cut_unacknowledged: int = 0
    failed_trims: int = 0
    refused_ms: int = 0
    primaries: int = 0
    streams: int = 0
    most_of_a_primary: int = 0

    sends: bool = True
    reads: bool = True
    existing_topics: bool = False
    max_in_flight: int | None = None
    forced: Sequence[str] = ()
    faults: Sequence[FaultMetrics] = ()
    durability: str = ""
    fsync_gate_ns: int | None = None

    @property
    def explains_repetition(self) -> bool:
        """Whether anything happened after which a message may rightly come twice."""
        failed = self.reconnects or self.servers_ended or self.errors or self.unanswered
        return bool(failed or self.ending or self.faults)

    def beyond_faults(self, counts: Mapping[str, int] | None, attribute: str) -> Mapping[str, int] | None:
        """`counts`, by subscription, without those of faults, of which this setup does not promise the contrary."""
        if counts is None or not self.faults:
            return counts
        excused: Counter[str] = Counter()
        for place, each in enumerate(self.faults):
            # What was sent in the time of one may be lost by a later one.
            if not all(later.promises_no_loss for later in self.faults[place:]):
                for group in each.groups:
                    excused[group.subscription] += getattr(group, attribute)
        return {name: max(0, count - excused[name]) for name, count in counts.items()}

    @property
    def paused_workers(self) -> set[str]:
        """The names of workers that a fault has stopped: what held them up was ordered."""
        return {name for each in self.faults if each.kind == "pause" for name in each.hit}

    @property
    def is_elsewhere(self) -> bool:
        """Whether the workers were on hosts of a scheduler: what this machine lacks or has to spare is not theirs."""
        return any(worker.host for worker in self.workers)

    @property
    def stolen_shares(self) -> dict[str, float]:
        """By machine that has workers: for how much of the window its host took one of its processors away."""
        if self.is_elsewhere:
            return {f"host {each.name}": each.steal.mean for each in self.hosts if each.steal.mean is not None}
        share = self.telemetry.steal.mean if self.telemetry else None
        return {} if share is None else {"this machine": share}

    def waited_on(self, host: str) -> float:
        """For how much of the window the workers and servers of a host waited for a core, all of them together."""
        waited_ns = sum(worker.run_delay_ns for worker in self.workers if worker.host == host)
        workers = waited_ns / self.window_ns if self.window_ns else 0.0
        servers = [each.servers_waiting.mean for each in self.hosts if each.name == host and each.servers]
        return workers + sum(1.0 if each is None else each for each in servers)  # nobody knows: all may be theirs

    @property
    def is_late(self) -> bool:
        """Whether messages were sent so late that their latencies are not those of their due times alone."""
        return (self.publish_delay_p99_ns or 0) > self.bound_ns

    @property
    def bound_ns(self) -> float:
        """What a lag or a pause must not be larger than."""
        return max(LEAST_LAG_NS, PART_OF_RESPONSE * (self.publish_response_p99_ns or 0))

    def bound_of(self, worker: WorkerFacts) -> float:
        """What a pause of `worker` must not be larger than: producers delay publishing, consumers the delivery."""
        of = [self.responses.get(family, LatencySummary.none()).ns("p99") for family in DELAYED_BY[worker.role]]
        return max(LEAST_LAG_NS, PART_OF_RESPONSE * min((each for each in of if each is not None), default=0))


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """A rule can't be applied to these facts, and why not."""

    why: str


RuleResult = list[str] | NotApplicable
"""The messages of a rule; none when all is well."""


# -- facts from metrics ------------------------------------------------------------------------------------------------


def worker_facts(
    workers: Sequence[WorkerPlan], before: Sequence[ProcessUsage], after: Sequence[ProcessUsage]
) -> list[WorkerFacts]:
    """Each worker, from its figures at the beginning and at the end of the window."""
    return [
        WorkerFacts(
            index=worker.index,
            role=worker.role,
            spins=worker.spins,
            cpu_ns=now.cpu_ns - then.cpu_ns,
            run_delay_ns=now.run_delay_ns - then.run_delay_ns,
            throttled_ns=_difference(then.throttled_ns, now.throttled_ns),
            collections=now.gc_pauses,
            collections_ns=now.gc_ns,
            longest_collection_ns=now.gc_longest_ns,
            stalls=now.stalls,
            stalls_ns=now.stalled_ns,
            longest_stall_ns=now.longest_stall_ns,
            lateness=summarise(now.lateness),
            peak_rss_bytes=now.peak_rss_bytes,
            rss_growth_bytes=now.rss_bytes - then.rss_bytes,
        )
        for worker, then, now in zip(workers, before, after, strict=True)
    ]


def _difference(then: int | None, now: int | None) -> int | None:
    return None if then is None or now is None else now - then


def phase_facts(
    observed: Facts,
    source: Source,
    subscriptions: Iterable[str],
    *,
    window_ns: int,
    intervals: int,
    target_rate: float,
) -> Facts:
    """The facts that are known of any phase, be it over or not.

    Args:
        observed: the facts that are no figures: the workers, for one.
        source: the figures.
        subscriptions: the names of those that are read.
        window_ns: how long it was, or has been.
        intervals: sample intervals that are complete.
        target_rate: messages per second that were asked for.
    """
    totals = ("published", "publish_errors", "unsent", "unanswered")
    due = {name: int(source.count("totals", None, name) or 0) for name in totals}
    return replace(
        with_latencies(observed, source),
        window_ns=window_ns,
        target_rate=target_rate,
        achieved=_achieved(source, subscriptions),
        due=sum(due.values()),
        errors=due["publish_errors"],
        workers=[_within(each, window_ns) for each in observed.workers],
        intervals=intervals,
    )


def with_latencies(facts: Facts, source: Source) -> Facts:
    """The same facts with the latencies of `source`, over all groups."""
    families = ("scheduleLag", "publishDelay", "publishResponse")
    lag, delay, response = (source.latency(family, None) for family in families)
    return replace(
        facts,
        schedule_lag_p99_ns=lag.ns("p99"),
        publish_delay_p99_ns=delay.ns("p99"),
        publish_response_p99_ns=response.ns("p99"),
        responses={family: source.latency(family, None) for family in ("publishResponse", "endToEndResponse")},
    )


_TIMES = ("run_delay_ns", "throttled_ns", "collections_ns", "longest_collection_ns", "stalls_ns", "longest_stall_ns")


def _within(worker: WorkerFacts, window_ns: int) -> WorkerFacts:
    """Held up for no longer than the window.

    The kernel counts throttling for each processor, and limits may hold up at once; and a report that is late is of a
    longer time. Processor time may be of several threads.
    """
    times = {name: min(held_up_ns, window_ns) for name in _TIMES if (held_up_ns := getattr(worker, name)) is not None}
    return replace(worker, **times)


def _achieved(source: Source, subscriptions: Iterable[str]) -> dict[str, float]:
    """Messages per second, `published` and received by each subscription."""
    return {"published": source.rate("publishRate", None) or 0.0} | {
        name: source.rate("consumeRate", name) or 0.0 for name in subscriptions
    }
