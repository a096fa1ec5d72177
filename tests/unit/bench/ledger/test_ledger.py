"""The delivery ledger against an account kept message by message."""

import itertools
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.ledger.ledger import AuditFindings, Ledger
from ombdriver.bench.ledger.received import DeliveryRecorder
from ombdriver.bench.ledger.spans import Spans
from ombdriver.bench.metrics.report import SentReport
from ombdriver.bench.metrics.summary import BacklogDelivery, WindowDelivery

GROUP = "group-1"


def runs(*some: tuple[int, int, int]) -> np.typing.NDArray[np.int64]:
    """Runs (flow, first, count)."""
    return np.array(some, np.int64).reshape(-1, 3)


class Run:
    """One flow that is sent on, and a group of consumers that are given what the test says."""

    def __init__(self, consumers: int = 1, flows: int = 1) -> None:
        self.ledger = Ledger(flows, [GROUP], exclusive=consumers == 1)
        self.consumers = [DeliveryRecorder(flows) for _ in range(consumers)]

    def sent(self, attempted: int, replied: int | None = None, **outcomes: object) -> None:
        """The producer's report: so many messages of flow 0 in all."""
        flows = runs((0, attempted, attempted if replied is None else replied))
        self.ledger.add([SentReport(flows, **outcomes)], [])  # type: ignore[arg-type]

    def given(self, sequences: list[int], consumer: int = 0, again: bool = False) -> None:
        """A consumer is given these messages of flow 0 in this order."""
        flags = np.ones(len(sequences), np.bool_) if again else None
        self.consumers[consumer].add(np.zeros(len(sequences), np.int64), np.array(sequences, np.int64), flags)

    def report(self) -> None:
        """Every consumer reports."""
        self.ledger.add([], [(GROUP, each.take()) for each in self.consumers])

    def account(self, findings: AuditFindings | None = None) -> WindowDelivery:
        """The account after a last report."""
        self.report()
        return self.ledger.deliveries(findings or AuditFindings())[0]


def test_a_sound_run_is_all_acknowledged_and_all_received() -> None:
    """Nothing is missing, and everything else is zero."""
    run = Run()
    run.sent(1000)
    run.given(list(range(1000)))
    assert run.account() == WindowDelivery(GROUP, 1000, 1000)
    assert run.ledger.backlog() == {GROUP: 0}


def test_what_the_system_still_holds_is_undelivered_and_the_rest_is_lost() -> None:
    """Missing messages are told apart by what was found when the drain ended."""
    run = Run()
    run.sent(100)
    run.given([n for n in range(90) if n != 17])
    assert run.ledger.backlog() == {GROUP: 100}
    account = run.account(AuditFindings(undelivered={(GROUP, 0): Spans.of([(90, 100)])}))
    assert (account.received, account.lost, account.undelivered) == (89, 1, 10)
    assert run.ledger.backlog() == {GROUP: 11}


def test_trimmed_is_told_by_the_floor_at_the_time_of_the_gap() -> None:
    """What was cut off later does not turn an earlier loss into trimming."""
    run = Run()
    run.sent(300)
    run.given([*range(40), *range(50, 100)])  # 40 to 49 deleted: the stream still began at 0
    run.report()
    assert run.ledger.new_gaps() == {}, "another consumer might still bring them"
    gaps = run.ledger.new_gaps()
    assert gaps == {0: Spans.of([(40, 50)])}
    run.ledger.note_log_starts({0: 0})
    run.given(list(range(200, 250)))  # 100 to 199 were cut off
    run.report()
    run.ledger.new_gaps()
    assert run.ledger.new_gaps() == {0: Spans.of([(100, 200)])}
    run.ledger.note_log_starts({0: 200})
    account = run.account(AuditFindings(log_starts={0: 280}))  # and the end of the stream up to 279, before it was read
    assert (account.lost, account.trimmed) == (10 + 20, 100 + 30)


def test_a_gap_that_another_consumer_fills_is_no_gap() -> None:
    """Consumers of a shared group see parts; together they have everything."""
    run = Run(consumers=2)
    run.sent(100)
    run.given(list(range(0, 100, 2)), consumer=0)
    run.report()
    run.ledger.new_gaps()
    run.given(list(range(1, 100, 2)), consumer=1)
    run.report()
    assert run.ledger.new_gaps() == {}
    assert run.account() == WindowDelivery(GROUP, 100, 100, order_exact=False)


def test_the_same_entry_again_is_redelivered_and_a_new_entry_is_a_duplicate() -> None:
    """A consumer that holds its partition alone can tell the two."""
    run = Run()
    run.sent(100)
    run.given(list(range(100)))
    run.given(list(range(20, 30)), again=True)
    run.given(list(range(50, 55)))
    account = run.account()
    assert (account.received, account.redelivered, account.duplicated, account.repeated) == (100, 10, 5, 0)
    assert account.reordered == 0, "repetitions are not reordered"


def test_a_shared_group_tells_that_messages_came_again() -> None:
    """Which of the two it was can't be told when another consumer had the first."""
    run = Run(consumers=2)
    run.sent(100)
    run.given(list(range(100)), consumer=0)
    run.given(list(range(20, 30)), consumer=1)
    run.given(list(range(50, 55)), consumer=0, again=True)
    account = run.account()
    assert (account.redelivered, account.duplicated, account.repeated) == (0, 0, 15)


def test_unknown_outcomes_that_arrive_are_recovered_and_those_that_don_t_are_not_lost() -> None:
    """A lost connection may have lost the message or only its reply; a refused message is not waited for."""
    run = Run()
    run.sent(100, replied=95, failed=runs((0, 10, 5)), indeterminate=runs((0, 50, 20)))
    run.given([n for n in range(60) if not 10 <= n < 15])
    run.given(list(range(70, 97)))
    account = run.account()
    assert account.acknowledged == 95 - 5 - 20
    assert account.recovered == 10 + 2, "50 to 59 were sent well, and 95 and 96 have no reply yet"
    assert account.lost == 0
    assert run.ledger.indeterminate() == 20


def test_the_window_leaves_out_what_was_before() -> None:
    """Losses and repetitions of the warm-up are told apart from those of the measured time."""
    run = Run()
    run.sent(100)
    run.given([n for n in range(100) if n not in (7, 8)])
    run.given([20, 21])
    run.report()
    run.ledger.new_gaps()
    run.ledger.new_gaps()
    run.ledger.note_log_starts({0: 8})
    run.ledger.begin_window()
    run.sent(150)
    run.given(list(range(100, 150)))
    assert run.account() == WindowDelivery(GROUP, 50, 50)
    assert run.ledger.warm_up_losses(AuditFindings()) == {GROUP: (1, 1)}


def test_checkpoints_below_every_mark_are_forgotten() -> None:
    """What all subscriptions have is never asked for again, so a long run keeps few of them."""
    run = Run()
    run.sent(100_000, checkpoints=[(0, n, b"%d-0" % n) for n in range(0, 100_000, 1000)])
    run.given(list(range(80_500)))
    run.report()
    kept = [sequence for sequence, _ in run.ledger.sent.checkpoints(0)]
    assert kept == list(range(80_000, 100_000, 1000))
    assert run.ledger.sent.around(0, 90_100, 90_200) == (b"90000-0", b"91000-0")
    assert run.ledger.sent.around(0, 99_500, 99_600) == (b"99000-0", None)


# -- any course of events ------------------------------------------------------------------------------------------


@dataclass
class Story:
    """A random course of events, and the account of it kept message by message."""

    flows: int
    attempted: dict[int, int]
    not_acknowledged: dict[int, dict[int, str]]
    fates: dict[int, dict[int, str]]
    deliveries: list[list[tuple[int, int, bool]]]
    floors: dict[int, int]
    counts: dict[str, int] = field(default_factory=dict)


FATES = st.sampled_from(["received", "received", "received", "lost", "waiting"])
OUTCOMES = st.sampled_from(["ok", "ok", "ok", "failed", "indeterminate"])


@st.composite
def stories(draw: st.DrawFn, consumers: int) -> Story:
    """Messages of a few flows, each with an outcome and a fate; what arrives is repeated and reordered at random."""
    flows = draw(st.integers(1, 3))
    attempted = {flow: draw(st.integers(0, 12)) for flow in range(flows)}
    outcomes = {flow: {n: draw(OUTCOMES) for n in range(count)} for flow, count in attempted.items()}
    fates = {flow: {n: draw(FATES) for n in range(count)} for flow, count in attempted.items()}
    arriving = [(flow, n, False) for flow in fates for n, fate in fates[flow].items() if fate == "received"]
    repeats = draw(st.lists(st.sampled_from(arriving), max_size=5)) if arriving else []
    arriving = list(draw(st.permutations(arriving)))
    for flow, n, _ in repeats:
        place = draw(st.integers(arriving.index((flow, n, False)) + 1, len(arriving)))
        arriving.insert(place, (flow, n, draw(st.booleans())))
    deliveries: list[list[tuple[int, int, bool]]] = [[] for _ in range(consumers)]
    for one in arriving:
        deliveries[draw(st.integers(0, consumers - 1))].append(one)
    floors = {flow: draw(st.integers(0, 12)) for flow in range(flows)}
    not_ok = {flow: {n: outcome for n, outcome in each.items() if outcome != "ok"} for flow, each in outcomes.items()}
    return Story(flows, attempted, not_ok, fates, deliveries, floors)


def told(story: Story, cuts: list[int]) -> tuple[WindowDelivery, Ledger]:
    """The ledger's account of `story`, which is reported in several parts."""
    consumers = len(story.deliveries)
    ledger = Ledger(story.flows, [GROUP], exclusive=consumers == 1)
    for flow, count in story.attempted.items():
        outcomes = story.not_acknowledged[flow].items()
        answered = SentReport(
            runs((flow, count, count)),
            failed=runs(*((flow, n, 1) for n, outcome in outcomes if outcome == "failed")),
            indeterminate=runs(*((flow, n, 1) for n, outcome in outcomes if outcome == "indeterminate")),
        )
        ledger.add([answered], [])
    arrivals = [DeliveryRecorder(story.flows) for _ in range(consumers)]
    longest = max(map(len, story.deliveries))
    edges = sorted({0, *(cut for cut in cuts if cut < longest), longest})
    for first, end in itertools.pairwise(edges):
        for consumer, all_of_it in zip(arrivals, story.deliveries, strict=True):
            if part := all_of_it[first:end]:
                flows, sequences, again = (np.array(column) for column in zip(*part, strict=True))
                consumer.add(flows, sequences, again if again.any() else None)
        ledger.add([], [(GROUP, consumer.take()) for consumer in arrivals])
    waiting = {
        (GROUP, flow): Spans.of([(n, n + 1) for n, fate in fates.items() if fate == "waiting"])
        for flow, fates in story.fates.items()
    }
    return ledger.deliveries(AuditFindings(waiting, story.floors))[0], ledger


def check_sets(story: Story, account: WindowDelivery, ledger: Ledger) -> None:
    """Everything that order does not matter to, counted message by message."""
    counts = dict.fromkeys(("acknowledged", "received", "lost", "trimmed", "undelivered", "recovered"), 0)
    for flow, fates in story.fates.items():
        for n, fate in fates.items():
            acknowledged = n not in story.not_acknowledged[flow]
            counts["acknowledged"] += acknowledged
            counts["received"] += fate == "received"
            counts["recovered"] += fate == "received" and not acknowledged
            counts["undelivered"] += fate == "waiting" and acknowledged
            if fate == "lost" and acknowledged:
                counts["trimmed" if n < story.floors[flow] else "lost"] += 1
    assert {name: getattr(account, name) for name in counts} == counts
    missing = account.lost + account.trimmed + account.undelivered
    assert account.acknowledged + account.recovered == account.received + missing
    assert ledger.backlog() == {GROUP: missing}


CUTS = st.lists(st.integers(1, 20), max_size=3)


@given(stories(1), CUTS)
def test_any_course_of_events_is_counted_exactly(story: Story, cuts: list[int]) -> None:
    """Loss, trimming, duplication, redelivery and reordering in any interleaving, with one consumer per partition."""
    account, ledger = told(story, cuts)
    check_sets(story, account, ledger)
    expected = [0] * story.flows
    seen: set[tuple[int, int]] = set()
    redelivered = duplicated = reordered = 0
    for flow, n, again in story.deliveries[0]:
        if (flow, n) in seen:
            redelivered += again
            duplicated += not again
        else:
            reordered += n < expected[flow]
        seen.add((flow, n))
        expected[flow] = max(expected[flow], n + 1)
    assert (account.redelivered, account.duplicated, account.repeated) == (redelivered, duplicated, 0)
    assert (account.reordered, account.order_exact) == (reordered, True)


@given(stories(3), CUTS)
def test_a_shared_group_is_counted_exactly_but_for_its_order(story: Story, cuts: list[int]) -> None:
    """Consumers that share a partition: repetitions are exact as a sum, reordering never more than it was."""
    account, ledger = told(story, cuts)
    check_sets(story, account, ledger)
    arrived = sum(map(len, story.deliveries))
    assert account.repeated == arrived - account.received
    assert (account.redelivered, account.duplicated, account.order_exact) == (0, 0, False)
    assert account.reordered <= account.received


def test_what_is_lost_is_not_before_a_group() -> None:
    """Trimming is held by what can still be delivered, or one loss would hold it to the end."""
    run = Run()
    run.sent(100)
    run.given(list(range(10)))
    run.given(list(range(70, 90)))
    run.report()

    assert run.ledger.backlog() == {GROUP: 70}
    assert run.ledger.lag() == {GROUP: 10}


@given(st.data())
def test_a_backlog_has_an_account_of_its_own(data: st.DataObject) -> None:
    """Warm-up, backlog and window share out what was sent, and each message is in one place of its own account."""
    warm, built, fresh = (data.draw(st.integers(0, 30)) for _ in range(3))
    total = warm + built + fresh
    run = Run()
    run.sent(warm)
    run.ledger.begin_window()
    run.ledger.begin_backlog()
    run.sent(warm + built)
    run.ledger.begin_window()
    failed = data.draw(st.sets(st.integers(0, total - 1))) if total else set()
    run.sent(total, failed=runs(*((0, each, 1) for each in sorted(failed))))
    arrived = data.draw(st.sets(st.integers(0, total - 1))) if total else set()
    run.given(sorted(arrived))
    run.report()
    waiting = data.draw(st.sets(st.integers(0, total - 1))) if total else set()
    findings = AuditFindings({(GROUP, 0): Spans.of([(each, each + 1) for each in sorted(waiting)])})

    (told,) = run.ledger.backlog_deliveries(findings)
    acknowledged = set(range(total)) - failed
    of_backlog = set(range(warm, warm + built))
    assert told == BacklogDelivery(
        GROUP,
        acknowledged=len(acknowledged & of_backlog),
        received=len(arrived & of_backlog),
        lost=len((acknowledged - arrived - waiting) & of_backlog),
        undelivered=len((acknowledged - arrived) & waiting & of_backlog),
        recovered=len((arrived - acknowledged) & of_backlog),
    )
    assert told.acknowledged + told.recovered == told.received + told.lost + told.trimmed + told.undelivered
    (window,) = run.ledger.deliveries(findings)
    assert window.acknowledged == len(acknowledged & set(range(warm + built, total)))
    before = sum(run.ledger.warm_up_losses(findings).get(GROUP, (0, 0)))
    assert before == len((acknowledged - arrived - waiting) & set(range(warm)))


def test_without_a_backlog_there_is_no_account_of_one() -> None:
    """And the warm-up is all that was sent before the window."""
    run = Run()
    run.sent(10)
    run.ledger.begin_window()

    assert run.ledger.backlog_deliveries(AuditFindings()) == []
    assert run.ledger.warm_up_losses(AuditFindings()) == {GROUP: (10, 0)}


# -- faults ------------------------------------------------------------------------------------------------------------


def test_what_is_gone_with_the_memory_of_a_server_is_lost_and_not_trimmed() -> None:
    """The stream begins behind it now, as it does after a trim."""
    run = Run()
    run.sent(1000)
    run.given([*range(900), *range(950, 1000)])
    trimmed = AuditFindings(log_starts={0: 950})
    assert (run.account(trimmed).lost, run.account(trimmed).trimmed) == (0, 50)

    run.ledger.note_wiped()

    assert (run.account(trimmed).lost, run.account(trimmed).trimmed) == (50, 0)


def test_messages_between_two_marks_have_an_account_of_their_own() -> None:
    """The accounts of a window that is divided add up to that of the window."""
    run = Run()
    marks = [run.ledger.mark(0)]
    run.sent(100)
    run.given([*range(90), *range(80, 85)])
    run.report()
    marks.append(run.ledger.mark(1))
    run.sent(300, failed=runs((0, 120, 10)), indeterminate=runs((0, 140, 5)))
    run.given([*range(100, 120), *range(142, 300)])
    run.report()
    marks.append(run.ledger.mark(2))

    first, second = (run.ledger.account(*each, AuditFindings()) for each in itertools.pairwise(marks))

    assert (first.failed, first.indeterminate) == (0, 0)
    assert (second.failed, second.indeterminate) == (10, 5)
    assert (first.groups[GROUP].lost, first.groups[GROUP].duplicated) == (10, 5)
    assert (second.groups[GROUP].lost, second.groups[GROUP].recovered) == (10, 3)
    whole = run.account()
    assert whole.lost == first.groups[GROUP].lost + second.groups[GROUP].lost
    assert whole.acknowledged == first.groups[GROUP].acknowledged + second.groups[GROUP].acknowledged
