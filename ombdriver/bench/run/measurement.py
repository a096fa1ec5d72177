"""What is known of a run: figures, deliveries, the hold of trimming, and what has to be said of them.

Takes the reports of the workers, and makes the measured window of them. Knows no phase's course, no order and no server
but what it may look at.

When trimming has to be held, so that no stream is cut past a subscription that is still reading. Pure.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ombdriver.bench.drivers.api import Inspector
from ombdriver.bench.ledger.audit import Audit
from ombdriver.bench.ledger.ledger import Ledger
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.phase_view import DeliveryAccount, Window
from ombdriver.bench.metrics.report import ProcessUsage, Report
from ombdriver.bench.metrics.summary import BacklogDelivery
from ombdriver.bench.plan.plan import Plan
from ombdriver.bench.verdict.facts import Facts, WorkerFacts, worker_facts

HOLD, RELEASE = 2, 8
"""Trimming is held when a backlog passes half of what a stream keeps, and goes on below an eighth of it."""


class TrimmingHold:
    """Streams must never be cut past a subscription that is still reading, however slow it is.

    What is known is how far behind a subscription is over all streams, so in a run with many of them this holds sooner
    than it had to. It is told when a single stream might have lost something without it.

    Args:
        kept: entries that a stream keeps; None when nothing is trimmed.

    Attributes:
        furthest_behind: the greatest backlog so far.
        holding: whether everything is being kept.
    """

    def __init__(self, kept: int | None) -> None:
        self._kept = kept
        self.holding = False
        self.furthest_behind = 0

    def look(self, behind: int) -> bool | None:
        """Whether everything is to be kept from now on; None: as before.

        Args:
            behind: messages before the subscription that is furthest behind. What it will never get is none of them:
                else a loss would hold trimming for ever.
        """
        if self._kept is None:
            return None
        self.furthest_behind = max(self.furthest_behind, behind)
        if not self.holding and behind > self._kept // HOLD:
            self.holding = True
            return True
        if self.holding and behind < self._kept // RELEASE:
            self.holding = False
            return False
        return None


AUDIT_S, HURRIED_AUDIT_S = 60.0, 5.0
"""How long what is missing may be looked for; and when something waits for that."""


@dataclass(frozen=True, slots=True)
class _Start:
    """How things stood when the measurement began."""

    carried_in: Mapping[str, int] = field(default_factory=dict)
    processes: Sequence[ProcessUsage] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)


class Measurement:
    """Keeps the accounts of one run.

    Args:
        plan: the run.
        collector: takes the figures.
        inspector: looks at the system; None when nothing can be looked at.

    Attributes:
        reading: the subscriptions that somebody reads, in the plan's order.
        facts: what was observed of the run, as far as this knows it.
        window: what was measured; None as long as there is nothing.
        workers: what each worker took in it.
        backlog: what became of a backlog that was built before it.
    """

    def __init__(self, plan: Plan, collector: Collector, inspector: Inspector | None) -> None:
        self._plan, self._collector = plan, collector
        self.reading = plan.reading
        self._ledger = Ledger(
            plan.flows.count, self.reading, exclusive=not plan.shared, checksums=plan.payload.checksums
        )
        self._audit = Audit(plan, self._ledger, inspector)
        self._trimming = TrimmingHold(plan.trimming.max_entries)
        self._start = _Start()
        self._gone: Mapping[str, int] = {}
        self.backlog: Sequence[BacklogDelivery] = ()
        self.facts = Facts()
        self.window: Window | None = None
        self.workers: Sequence[WorkerFacts] = ()

    def __repr__(self) -> str:
        return f"<Measurement {self._collector}, {self._ledger}>"

    def take(self, reports: Sequence[Report]) -> bool | None:
        """Adds one report of every worker; returns what is to be done about trimming (`TrimmingHold.look`)."""
        self._collector.add(reports)
        self._ledger.add(
            (each.sent_report for each in reports), (some for each in reports for some in each.received_reports)
        )
        self._audit.check_gaps()
        return self._trimming.look(max(self._ledger.lag().values(), default=0))

    def missing(self) -> dict[str, int]:
        """Acknowledged messages that each subscription does not have, by its name."""
        return self._ledger.backlog()

    @property
    def all_delivered(self) -> bool:
        """Whether every subscription has every acknowledged message."""
        return not any(self._ledger.backlog().values())

    # -- the window ------------------------------------------------------------------------------------------------

    async def cut(self) -> None:
        """The warm-up is over; nothing of it should be on its way."""
        ledger = self._ledger
        ledger.begin_window()
        if any((left := ledger.backlog()).values()):  # what is lost is not on its way
            gone = ledger.warm_up_losses(await self._audit.finish(HURRIED_AUDIT_S))
            self._gone = {name: sum(counts) for name, counts in gone.items()}
            left = self.on_its_way()
        if self._plan.warmup_ns:
            self.facts = replace(self.facts, carried_in=sum(left.values()) + self._collector.in_flight)

    def begin_backlog(self) -> None:
        """What is sent from here on is a backlog, until the window opens."""
        self._ledger.begin_backlog()

    def begin_window(self) -> None:
        """What is sent from here on is measured."""
        collector = self._collector
        self._ledger.begin_window()
        left = self.on_its_way()
        self._start = _Start(left, collector.processes(), collector.counters(), collector.errors())

    def on_its_way(self) -> dict[str, int]:
        """Acknowledged messages that each subscription does not have, but for what of the warm-up it never will."""
        return {name: count - self._gone.get(name, 0) for name, count in self._ledger.backlog().items()}

    def behind(self) -> dict[str, int]:
        """Messages that each subscription has before it: of what was replied to, be it refused, since its last one.

        What it will never get is none of them once something that was sent later has come.
        """
        return self._ledger.lag()

    def note_workers(self) -> None:
        """Notes what the workers took so far in the window; what comes later is of the drain."""
        self.workers = worker_facts(self._plan.workers, self._start.processes, self._collector.processes())

    async def close(self, measured: Phase, length_ns: int, end_ns: int, *, hurried: bool) -> None:
        """Makes the window, when nothing is waited for any longer.

        Args:
            measured: its phase.
            length_ns: how much of it was measured.
            end_ns: when nothing was waited for any longer, on the monotonic clock.
            hurried: somebody waits for this.
        """
        ledger = self._ledger
        findings = await self._audit.finish(HURRIED_AUDIT_S if hurried else AUDIT_S)
        self.backlog = ledger.backlog_deliveries(findings)
        deliveries = ledger.deliveries(findings) if self._plan.producers else ()
        account = DeliveryAccount(deliveries, ledger.indeterminate(), ledger.warm_up_losses(findings))
        self._make_window(measured, length_ns, end_ns, account)

    def break_off(self, measured: Phase, length_ns: int, end_ns: int) -> None:
        """Makes the window of what there is; nobody can be asked what became of what is missing. Args: see `close`."""
        if not self.workers:
            self.note_workers()
        self._make_window(measured, length_ns, end_ns, DeliveryAccount(indeterminate=self._ledger.indeterminate()))

    def _make_window(self, measured: Phase, length_ns: int, end_ns: int, account: DeliveryAccount) -> None:
        collector, start, trimming, plan = self._collector, self._start, self._trimming, self._plan
        self.window = Window(
            collector, measured, length_ns, start.carried_in, end_ns, start.counters, account, not plan.producers
        )
        self.facts = replace(
            self.facts,
            workers=self.workers,
            send_errors=(collector.errors() - start.errors).most_common(),
            audit_incomplete=self._audit.incomplete,
            furthest_behind=trimming.furthest_behind,
            trimming_held=trimming.holding,
        )
