"""What is known of a run: its metrics and deliveries, the hold of trimming, and the facts that follow from them.

Takes the reports of the workers, and makes the measured window of them. Knows no phase's place in the run, no command
and no server but what it may look at.
"""

import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ombdriver.bench.drivers.api import Inspector
from ombdriver.bench.faults.api import Site
from ombdriver.bench.faults.consequences import Observed, caught_up, consequences
from ombdriver.bench.faults.durability import Durability
from ombdriver.bench.faults.spec import FaultRecord
from ombdriver.bench.ledger.audit import Audit
from ombdriver.bench.ledger.ledger import AuditFindings, Ledger, LedgerMark
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.phase_view import LedgerSummary, PhaseView, run_metrics
from ombdriver.bench.metrics.recorder import MOMENT_NS, MomentKey, Recorder
from ombdriver.bench.metrics.report import ProcessUsage, Report
from ombdriver.bench.metrics.summary import BacklogDelivery, FaultDelivery, FaultMetrics, RunMetrics
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.units import SECOND
from ombdriver.bench.verdict.debt import Debts
from ombdriver.bench.verdict.facts import Facts, WorkerFacts, worker_facts

HOLD, RELEASE = 2, 8
"""Trimming is held when a lag passes half of what a stream keeps, and goes on below an eighth of it."""
MOST_WAITING_SAMPLES = 50_000
"""Samples that stand for the messages without an answer, however many these are."""
MOST_MARKS = 2_000
"""Times of a run at which it is noted how far it was; past that, every second one is dropped."""
AUDIT_S, HURRIED_AUDIT_S = 60.0, 5.0
"""How long what is missing may be looked for; and when something waits for that."""


class TrimmingHold:
    """Says when trimming has to be held, so that no stream is cut past a subscription that is still reading.

    What is known is how far a subscription lags over all streams, so in a run with many of them this holds sooner
    than it had to. It becomes a caveat when a single stream might have lost something without it.

    Args:
        kept: entries that a stream keeps; None when nothing is trimmed.

    Attributes:
        greatest_lag: so far.
        holding: whether everything is being kept.
    """

    def __init__(self, kept: int | None) -> None:
        self._kept = kept
        self.holding = False
        self.greatest_lag = 0

    def update(self, lag: int) -> bool | None:
        """Whether everything is to be kept from now on; None: as before.

        Args:
            lag: messages before the subscription that is furthest behind. What it will never get is none of them: else
                a loss would hold trimming for ever.
        """
        if self._kept is None:
            return None
        self.greatest_lag = max(self.greatest_lag, lag)
        if not self.holding and lag > self._kept // HOLD:
            self.holding = True
            return True
        if self.holding and lag < self._kept // RELEASE:
            self.holding = False
            return False
        return None


@dataclass(frozen=True, slots=True)
class _Start:
    """How things stood when the measurement began."""

    backlog: Mapping[str, int] = field(default_factory=dict)
    processes: Sequence[ProcessUsage] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)


class Measurement:
    """Everything that is measured in one run.

    Args:
        plan: the run.
        inspector: looks at the system; None when nothing can be looked at.
        site: what there is for faults to act on.
        durability: what an acknowledgement means.

    Attributes:
        durability: as given.
        collector: holds the metrics.
        reading: the subscriptions that somebody reads, in the plan's order.
        debts: of the phase that was looked at last.
        facts: what was observed of the run, as far as this knows it.
        view: of the measured window; None as long as there is none.
        backlog_deliveries: what became of a backlog that was built before it.
    """

    def __init__(
        self,
        plan: Plan,
        inspector: Inspector | None,
        site: Site | None = None,
        durability: Durability | None = None,
    ) -> None:
        self._plan, self._site, self.durability = plan, site or Site(), durability or Durability("unknown")
        self.collector = Collector(plan.subscriptions, plan.sample_interval_ns)
        self.reading = plan.reading
        self._ledger = Ledger(
            plan.flows.count, self.reading, exclusive=not plan.shared, checksums=plan.payload.checksums
        )
        self._audit = Audit(plan, self._ledger, inspector)
        self._trimming = TrimmingHold(plan.trimming.max_entries)
        self._start = _Start()
        self.debts = Debts()
        self._looked_at = -1
        self._warm_up_lost: Mapping[str, int] = {}
        self._backlog: Mapping[str, int] | None = None
        self._summary = LedgerSummary()
        self._counters: Mapping[str, int] = {}
        self.backlog_deliveries: Sequence[BacklogDelivery] = ()
        self.facts = Facts()
        self.view: PhaseView | None = None
        self._marks: list[LedgerMark] = []
        self._wiped_ns: int | None = None
        self._records: Sequence[FaultRecord] = ()
        self._faults: Sequence[FaultMetrics] = ()
        self._workers: Sequence[WorkerFacts] = ()

    def __repr__(self) -> str:
        return f"<Measurement {self.collector}, {self._ledger}>"

    def add(self, reports: Sequence[Report], asked_ns: int = 0) -> bool | None:
        """Adds one report of every worker; returns what is to be done about trimming (`TrimmingHold.update`).

        Args:
            reports: one of each worker.
            asked_ns: when they were asked for; some of them may be of then, however late others came.
        """
        self.collector.add(reports)
        self._ledger.add(
            (each.sent_report for each in reports), (some for each in reports for some in each.received_reports)
        )
        if self._plan.faults:
            self._mark(asked_ns)
        self._backlog = None
        self._audit.check_gaps()
        return self._trimming.update(max(self.lag().values(), default=0))

    # -- what is on its way ----------------------------------------------------------------------------------------

    def backlog(self) -> Mapping[str, int]:
        """Acknowledged messages that each subscription has not received, but for what of the warm-up it never will."""
        if self._backlog is None:
            lost = self._warm_up_lost
            self._backlog = {name: count - lost.get(name, 0) for name, count in self._ledger.backlog().items()}
        return self._backlog

    def lag(self) -> Mapping[str, int]:
        """Messages that are still before each subscription; see `Ledger.lag`."""
        return self._ledger.lag()

    def look(self, phase: Phase, elapsed_ns: int) -> None:
        """Looks at what was due and not answered when so much of `phase`, which is under way, had passed."""
        collector = self.collector
        if phase.index != self._looked_at:
            self._looked_at, self.debts = phase.index, Debts()
        sending = collector.overdue + collector.in_flight
        debts = {"published": sending} if collector.total_count(phase, "published") else {}
        debts |= {
            name: sending + count
            for name, count in self.backlog().items()
            if collector.total_count(phase, "received", name)
        }
        surplus: int | None = None
        if phase.poisson is not None and phase.profile is None:
            answered = collector.total_count(phase, "published") + collector.total_count(phase, "failed")
            surplus = sending + answered - phase.rate * elapsed_ns // SECOND
        self.debts.look(elapsed_ns / SECOND, debts, surplus)

    @property
    def all_delivered(self) -> bool:
        """Whether every subscription has every acknowledged message."""
        return not any(self._ledger.backlog().values())

    # -- faults ----------------------------------------------------------------------------------------------------

    def _mark(self, asked_ns: int) -> None:
        """Notes how far the run was at least, so that what was sent in the time of a fault can be told."""
        if self._wiped_ns is not None and asked_ns >= self._wiped_ns:
            self._wiped_ns = None
            self._ledger.note_wiped()
        if len(self._marks) >= MOST_MARKS:
            del self._marks[1::2]
        self._marks.append(self._ledger.mark(asked_ns))

    def note_wiped(self, *, partly: bool) -> None:
        """A server has come back without data; what was sent until workers are asked the next time is lost.

        Args:
            partly: it lacks only what no fsync had covered, so nothing that an acknowledgement by fsync promises.
        """
        if not (partly and self.durability.survives("memory", data_lost=False)):
            self._wiped_ns = time.monotonic_ns()

    def _observed(self, view: PhaseView) -> Observed:
        collector, phase = self.collector, view.phase
        whole = [each for each in view.each() if each.rated_ns == view.interval_ns] or list(view.each())
        groups = self.reading
        responses = {"publishResponse": [each.latency("publishResponse").ns("p99") for each in whole]}
        responses |= {
            f"endToEndResponse[{name}]": [each.latency("endToEndResponse", name).ns("p99") for each in whole]
            for name in groups
        }
        begin = phase.start_ns // MOMENT_NS
        which: list[MomentKey] = [("published", None), ("failed", None), *(("received", name) for name in groups)]
        return Observed(
            length_ns=view.length_ns,
            interval_ns=view.interval_ns,
            spacing_ns=round(SECOND / view.target_rate) if view.target_rate else 0,
            responses=responses,
            failures=[each.histogram("failed").count for each in whole],
            backlogs={name: view.backlog(self._start.backlog, [name]) for name in groups},
            moments={each: collector.moments(each) - begin for each in which},
        )

    def _fault_metrics(self, view: PhaseView, findings: AuditFindings | None) -> list[FaultMetrics]:
        """What each injection did, and what became of the messages of its time; without findings nothing of groups."""
        observed, start_ns = self._observed(view), view.phase.start_ns
        found: list[FaultMetrics] = []
        before, gone = 0, Counter[str]()
        promised = [
            self.durability.survives(each.spec.make().endangers(self._site), data_lost=each.data_lost)
            for each in self._records
        ]
        ones = consequences(observed, self._records, promised)
        for record, one, promises_no_loss in zip(self._records, ones, promised, strict=True):
            first = max(before, self._mark_at(start_ns + one.begin_ns, later=False))
            if not promises_no_loss and self._loses(before, first, findings):
                first = before  # what had not been delivered for long
            last = max(first, self._mark_at(start_ns + one.end_ns, later=True))
            account = self._ledger.account(self._marks[first], self._marks[last], findings or AuditFindings())
            groups = []
            for name, delivery in account.groups.items() if findings is not None else ():
                gone[name] += delivery.lost + delivery.trimmed + delivery.undelivered
                groups.append(
                    FaultDelivery(
                        name,
                        one.delivery_outages_ns.get(name, 0),
                        caught_up(observed, name, one, record.injected_ns, gone[name]),
                        acknowledged=delivery.acknowledged,
                        lost=delivery.lost,
                        undelivered=delivery.undelivered,
                        recovered=delivery.recovered,
                        redelivered=delivery.redelivered + delivery.repeated,
                        duplicated=delivery.duplicated,
                        reordered=delivery.reordered,
                    )
                )
            found.append(
                FaultMetrics(
                    number=record.spec.number,
                    kind=record.spec.kind,
                    text=str(record.spec),
                    hit=tuple(record.hit),
                    asked_ns=record.asked_ns,
                    injected_ns=record.injected_ns,
                    healed_ns=record.healed_ns,
                    error=record.error,
                    data_lost=record.data_lost,
                    begin_ns=min(one.begin_ns, max(0, self._marks[first].at_ns - start_ns)),
                    end_ns=one.end_ns,
                    detect_ns=one.detect_ns,
                    outage_ns=one.outage_ns,
                    recover_ns=one.recover_ns,
                    had_effect=one.had_effect or any(each.lost or each.redelivered for each in groups),
                    failed=account.failed,
                    indeterminate=account.indeterminate,
                    groups=groups,
                    promises_no_loss=promises_no_loss,
                )
            )
            before = last
        return found

    def _loses(self, first: int, last: int, findings: AuditFindings | None) -> bool:
        """Whether anything that was sent between two marks is lost."""
        if findings is None or first >= last:
            return False
        account = self._ledger.account(self._marks[first], self._marks[last], findings)
        return any(each.lost for each in account.groups.values())

    def _mark_at(self, at_ns: int, *, later: bool) -> int:
        """The mark nearest to a time: the first one after it, or the last one before it."""
        times = [each.at_ns for each in self._marks]
        if later:
            return min(bisect_left(times, at_ns), len(times) - 1)
        return max(bisect_right(times, at_ns) - 1, 0)

    @property
    def calm(self) -> PhaseView | None:
        """The window without the intervals in which faults were felt, which may leave none; None without faults."""
        view = self.view
        if view is None or not self._faults:
            return None
        felt: set[int] = set()
        for each in self._faults:
            lengths_ns = [each.recover_ns, *(one.catch_up_ns for one in each.groups)]
            ends_ns = [view.length_ns if some is None else each.injected_ns + some for some in lengths_ns]
            last_ns = max([each.end_ns, each.healed_ns or 0, *ends_ns])
            felt |= {*range(each.injected_ns // view.interval_ns, last_ns // view.interval_ns + 1)}
        return view.only([at for at in view.intervals if at not in felt])

    # -- the measured window ---------------------------------------------------------------------------------------

    async def end_warm_up(self) -> None:
        """The warm-up is over; nothing of it should be on its way."""
        self._ledger.begin_window()
        if not self.all_delivered:  # what is lost is not on its way
            losses = self._ledger.warm_up_losses(await self._audit.finish(HURRIED_AUDIT_S))
            self._warm_up_lost, self._backlog = {name: sum(counts) for name, counts in losses.items()}, None
        if self._plan.warmup_ns:
            carried_in = sum(self.backlog().values()) + self.collector.in_flight
            self.facts = replace(self.facts, carried_in=carried_in)

    def begin_backlog(self) -> None:
        """What is sent from here on is a backlog, until the window begins."""
        self._ledger.begin_backlog()

    def begin_window(self) -> None:
        """What is sent from here on is measured."""
        collector = self.collector
        self._ledger.begin_window()
        self._start = _Start(self.backlog(), collector.processes(), collector.counters(), collector.errors())

    def sent_before_window(self, flow: int) -> int:
        """How many messages of a flow had been sent when the window began."""
        return self._ledger.sent_before_window(flow)

    def note_workers(self) -> None:
        """Notes what the workers took so far in the window; what comes later is of the drain."""
        self._workers = worker_facts(self._plan.workers, self._start.processes, self.collector.processes())

    async def finish(
        self,
        measured: Phase,
        length_ns: int,
        ended_ns: int,
        *,
        hurried: bool,
        records: Sequence[FaultRecord] = (),
    ) -> None:
        """Makes the measured window, when nothing is waited for any longer.

        Args:
            measured: the phase.
            length_ns: how much of it was measured.
            ended_ns: when nothing was waited for any longer, on the monotonic clock.
            hurried: somebody waits for this.
            records: the faults that were injected, in their order.
        """
        ledger, self._records = self._ledger, tuple(records)
        findings = await self._audit.finish(HURRIED_AUDIT_S if hurried else AUDIT_S)
        self.backlog_deliveries = ledger.backlog_deliveries(findings)
        deliveries = ledger.deliveries(findings) if self._plan.producers else ()
        summary = LedgerSummary(deliveries, ledger.indeterminate(), ledger.warm_up_losses(findings))
        self._make_window(measured, length_ns, ended_ns, summary)
        if self._records and self.view is not None:
            self._faults = self._fault_metrics(self.view, findings)

    def break_off(self, measured: Phase, length_ns: int, ended_ns: int, records: Sequence[FaultRecord] = ()) -> None:
        """Makes the window of what there is; nobody can be asked what became of what is missing. Args: see `finish`."""
        self._records = tuple(records)
        if not self._workers:
            self.note_workers()
        self._account_for_the_rest(measured, ended_ns)
        self._make_window(measured, length_ns, ended_ns, LedgerSummary(indeterminate=self._ledger.indeterminate()))
        if self._records and self.view is not None:
            self._faults = self._fault_metrics(self.view, None)

    def _account_for_the_rest(self, measured: Phase, ended_ns: int) -> None:
        """What was due at the last poll and had no answer, which the workers can't be asked for any more.

        How many these are is known; by their order, they were due last.
        """
        collector, plan = self.collector, self._plan
        unsent = collector.overdue
        unanswered = collector.in_flight - collector.histogram(measured, "unanswered").count
        stripe = replace(measured, poisson=None).stripe(max(1, plan.producers), range(max(1, plan.producers)))
        due = max(unsent + unanswered, stripe.due(min(ended_ns, measured.end_ns)))
        recorder = Recorder(plan.sample_interval_ns)
        recorder.begin_phase(measured)
        for family, which in (
            ("unanswered", range(due - unsent - unanswered, due - unsent)),
            ("unsent", range(due - unsent, due)),
        ):
            step = max(1, len(which) // MOST_WAITING_SAMPLES)
            recorder.record_waiting(family, stripe.intended_of, which, ended_ns, step)
        collector.add_metrics([recorder.take()])

    def _make_window(self, measured: Phase, length_ns: int, ended_ns: int, summary: LedgerSummary) -> None:
        collector, start = self.collector, self._start
        self.view = PhaseView(collector, measured, length_ns, ended_ns)
        self._summary, self._counters = summary, collector.counters(start.counters)
        self.facts = replace(
            self.facts,
            workers=self._workers,
            debt_growth=self.debts.usual_growth(),
            send_errors=(collector.errors() - start.errors).most_common(),
            audit_incomplete=self._audit.incomplete,
            furthest_behind=self._trimming.greatest_lag,
            trimming_held=self._trimming.holding,
        )

    def metrics(self) -> RunMetrics:
        """The metrics of the measured window, which there is."""
        assert self.view is not None
        start, only_reads = self._start, not self._plan.producers
        metrics = run_metrics(self.view, start.backlog, self._counters, self._summary, only_reads=only_reads)
        return replace(metrics, faults=tuple(self._faults))
