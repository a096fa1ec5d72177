"""What judges a course of faults: a whole account breaks no promise, and one that is spoilt breaks its own."""

from collections.abc import Callable, Mapping

import pytest

from tests.faults.account import KINDS, NOT_STORED, STORED, UNKNOWN, Account, End, Fault, Letter, Place, condensed
from tests.faults.course import Course
from tests.faults.plan import MOTIFS, plan

FIRST, SECOND, THIRD = (Place("{t:0}", (1, n)) for n in range(3))
SHORT = 20
"""So many seeds `make test` tries."""


class Case:
    """One message after the other, each of which a runner's group handles unless the case spoils it.

    Attributes:
        account: of the case, of groups `g` (a runner's, in order) and `h`, and of a reader `w` without a group.
        entries: what stands in the end.
        letters: the dead letters in the end.
        told_letters: what the runners of `g` have counted.
        told_deleted: what the members of `g` have counted.
    """

    def __init__(self, **options: bool) -> None:
        runner = frozenset({"g"})
        self.account = Account(("g", "h"), ("w",), runners=runner, ordered=runner, max_deliveries=3, **options)
        self.entries: dict[Place, int] = {}
        self.letters: list[Letter] = []
        self.told_letters = self.told_deleted = 0

    def store(self, *places: Place, kind: str = "ok", read: bool = True) -> None:
        """A message for each place, told to be stored there; who reads without a group is given it."""
        for place in places:
            number = self.account.offer(kind, once=True)
            self.account.tell(number, STORED, place)
            self.entries[place] = number
            if read:
                self.account.read("w", place, number)

    def begin(self, place: Place, count: int, *, group: str = "g", who: str = "one", now: float = 0.0) -> None:
        """A handler begins with what stands at a place."""
        self.account.begin(group, place, self.entries[place], count, who, now)

    def handle(self, place: Place, count: int = 1, *, groups: str = "gh") -> None:
        """The groups handle what stands at a place."""
        for group in groups:
            self.begin(place, count, group=group)
            self.account.end(group, place, "k")

    def give_up(self, place: Place, attempts: int = 3, *, groups: str = "gh") -> None:
        """The groups give it up after so many failures."""
        for group in groups:
            for count in range(1, attempts + 1):
                self.begin(place, count, group=group)
                self.account.fail(group, place, "one", 0.0)
            self.letters.append(Letter(group, place, self.entries[place], attempts))

    def kinds(self) -> list[str]:
        """The kinds of faults that are found."""
        told = {"g": self.told_letters}, {"g": self.told_deleted}
        return [fault.kind for fault in self.account.faults(End(self.entries, self.letters, *told))]


def whole() -> Case:
    """A case with a bit of everything, and nothing wrong."""
    case = Case()
    case.store(FIRST, SECOND, kind="ok")
    case.store(THIRD, kind="bad")
    case.begin(FIRST, 1)  # its member died
    case.handle(FIRST, 2, groups="g")
    case.handle(FIRST, groups="h")
    case.handle(SECOND)
    case.give_up(THIRD)
    case.told_letters = 1
    case.account.tell(case.account.offer("ok", once=True), NOT_STORED)
    case.account.tell(case.account.offer("ok", once=False), UNKNOWN)
    return case


def test_what_is_as_promised_is_no_fault() -> None:
    """Deaths, failures, dead letters and refusals among it."""
    assert whole().kinds() == []


def spoil_lost(case: Case) -> None:
    """An entry stands that one of the groups has never handled."""
    case.store(Place("{t:1}", (1, 0)))
    case.handle(Place("{t:1}", (1, 0)), groups="g")


def spoil_gone(case: Case) -> None:
    """An entry is gone that one of the groups has never handled, and nobody else has removed it."""
    spoil_lost(case)
    del case.entries[Place("{t:1}", (1, 0))]


def spoil_told(case: Case) -> None:
    """What stands was told as not stored."""
    case.account.tell(case.entries[FIRST], NOT_STORED)


def spoil_place(case: Case) -> None:
    """What was told to stand somewhere stands elsewhere."""
    case.account.tell(case.entries[FIRST], STORED, SECOND)


def spoil_twice(case: Case) -> None:
    """What is to be stored once stands twice."""
    case.entries[again := Place("{t:0}", (2, 0))] = case.entries[FIRST]
    case.account.read("w", again, case.entries[again])
    case.handle(again)


def spoil_outcome(case: Case) -> None:
    """A caller was told nothing."""
    case.account.offer("ok", once=True)


def spoil_again(case: Case) -> None:
    """A message is given up that could have been sent again."""
    case.account.tell(case.account.offer("ok", once=True, sure=True), NOT_STORED)


def spoil_order(case: Case) -> None:
    """A message is handled after a later one of its key."""
    case.store(early := Place("{t:1}", (1, 0)), late := Place("{t:1}", (1, 10)))
    case.handle(late)
    case.handle(early)


def spoil_attempts(case: Case) -> None:
    """A message is begun more often than allowed."""
    case.begin(THIRD, 4)


def spoil_count_below(case: Case) -> None:
    """A delivery is not counted."""
    case.store(place := Place("{t:1}", (1, 0)))
    case.begin(place, 1)
    case.handle(place, 1)


def spoil_count_above(case: Case) -> None:
    """A delivery is counted that was none."""
    case.store(place := Place("{t:1}", (1, 0)))
    case.handle(place, 2, groups="g")
    case.handle(place, groups="h")


def spoil_counted_twice(case: Case) -> None:
    """An attempt after the first one is counted twice, where each is counted once."""
    case.account.counts_exactly = case.account.may_miscount = True
    case.store(place := Place("{t:1}", (1, 0)))
    case.begin(place, 1)
    case.handle(place, 3, groups="g")
    case.handle(place, groups="h")


def spoil_letter_counted_twice(case: Case) -> None:
    """A dead letter tells of more attempts than there were."""
    case.account.counts_exactly = True
    case.store(place := Place("{t:1}", (1, 0)), kind="bad")
    case.give_up(place)
    case.letters[-1] = case.letters[-1]._replace(deliveries=4)


def spoil_too_few(case: Case) -> None:
    """A message is given up before it had its attempts."""
    case.store(place := Place("{t:1}", (1, 0)), kind="bad")
    case.give_up(place, 2, groups="g")
    case.handle(place, groups="h")


def spoil_early(case: Case) -> None:
    """A retry comes before its time, in the member that knows it."""
    case.store(place := Place("{t:1}", (1, 0)))
    case.begin(place, 1, now=1.0)
    case.account.fail("g", place, "one", 2.0)
    case.begin(place, 2, now=1.9)
    case.account.end("g", place, "k")
    case.handle(place, groups="h")


def spoil_innocent(case: Case) -> None:
    """What never fails is given up, though with all its attempts."""
    case.store(place := Place("{t:1}", (1, 0)))
    case.give_up(place, groups="g")
    case.handle(place, groups="h")


def spoil_letters(case: Case) -> None:
    """More dead letters are told than there are."""
    case.told_letters += 1


def spoil_rejected(case: Case) -> None:
    """A rejection is told, and there is no dead letter."""
    case.account.reject("g", FIRST, case.entries[FIRST], "one", told=True)


def spoil_not_rejected(case: Case) -> None:
    """A rejection is told to have come to nothing, and there is a dead letter of it by that member."""
    case.account.reject("g", THIRD, case.entries[THIRD], "", told=False)


def spoil_read_again(case: Case) -> None:
    """Who reads without a group is given an entry twice."""
    case.account.read("w", SECOND, case.entries[SECOND])


def spoil_not_read(case: Case) -> None:
    """Who reads without a group is not given an entry that stands."""
    case.store(place := Place("{t:1}", (1, 0)), read=False)
    case.handle(place)


def spoil_deleted(case: Case) -> None:
    """What was trimmed while it was pending is neither handled nor told."""
    case.store(place := Place("{t:1}", (1, 0)))
    case.handle(place, groups="h")
    del case.entries[place]
    case.account.remove([place], {"g": [place]})


SPOILT: Mapping[Callable[[Case], None], str] = {
    spoil_lost: "lost",
    spoil_gone: "gone",
    spoil_told: "told",
    spoil_place: "told",
    spoil_twice: "twice",
    spoil_outcome: "outcome",
    spoil_again: "again",
    spoil_order: "order",
    spoil_attempts: "attempts",
    spoil_count_below: "attempts",
    spoil_count_above: "attempts",
    spoil_counted_twice: "attempts",
    spoil_letter_counted_twice: "attempts",
    spoil_too_few: "attempts",
    spoil_early: "early",
    spoil_innocent: "innocent",
    spoil_letters: "letters",
    spoil_rejected: "letters",
    spoil_deleted: "deleted",
    spoil_not_rejected: "letters",
    spoil_read_again: "order",
    spoil_not_read: "lost",
}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_what_is_spoilt_is_found(spoil: Callable[[Case], None]) -> None:
    """Each of these, and nothing else."""
    case = whole()
    spoil(case)
    assert case.kinds() == [SPOILT[spoil]]


def test_a_connection_that_is_given_up_is_found_where_none_was_taken_away() -> None:
    """And only there."""
    end = End({}, reconnects={"g": 1, "h": 0})
    assert [fault.kind for fault in Account(("g", "h"), loses_connections=False).faults(end)] == ["kept"]
    assert Account(("g", "h"), loses_connections=True).faults(end) == []


def test_what_others_trimmed_is_no_loss() -> None:
    """It was told once, and pending for one group, which says so."""
    case = whole()
    spoil_deleted(case)
    case.told_deleted = 1
    assert case.kinds() == []


def test_a_failover_may_lose_what_was_stored_and_not_what_stands() -> None:
    """Replication lags behind what was told."""
    case = Case(may_lose_writes=True)
    case.store(FIRST, SECOND, THIRD)
    del case.entries[FIRST]
    case.entries[THIRD] = case.entries[SECOND]  # its id was given again
    assert case.kinds() == ["twice", *["lost"] * 4]


def test_what_a_dead_member_held_of_a_destroyed_group_is_excused() -> None:
    """Nobody knows of it: neither the server nor the other members."""
    case = Case()
    case.store(FIRST)
    case.handle(FIRST, groups="h")
    case.account.destroy("g")
    assert case.kinds() == ["lost"]
    case.account.excused["g"].add(FIRST)
    assert case.kinds() == []


def test_a_redriven_message_has_its_attempts_anew() -> None:
    """And may be handled late, or stored anew."""
    case = Case()
    case.store(FIRST, kind="bad")
    case.store(SECOND)
    case.give_up(FIRST)
    case.handle(SECOND)
    case.account.redrive("g", case.letters)
    case.letters = [letter for letter in case.letters if letter.group == "h"]
    case.handle(FIRST, 1, groups="g")
    assert case.kinds() == []


def test_faults_that_differ_in_numbers_are_one_line() -> None:
    """The first of them, and how many more there are."""
    told = [Fault("lost", "message 1 is lost"), Fault("lost", "message 20 is lost"), Fault("told", "message 1 is lost")]
    assert condensed(told) == ["lost: message 1 is lost (and 1 more)", "told: message 1 is lost"]


# -- plans -----------------------------------------------------------------------------------------------------------


def test_a_seed_stands_for_one_course() -> None:
    """Or it could not be repeated."""
    assert [plan(seed) for seed in range(50)] == [plan(seed) for seed in range(50)]


def test_the_seeds_of_make_test_meet_each_topology_and_nearly_all_that_can_happen() -> None:
    """Those of `make soak` meet everything, many times."""
    short, long = ([plan(seed) for seed in range(count)] for count in (SHORT, 200))
    assert {each.topology for each in short} == {"standalone", "sentinel", "cluster"}
    assert {each.engine for each in short} == {"valkey", "redis"}
    met = {motif for each in short for motif in each.motifs}
    assert len(MOTIFS.keys() - met) <= 3, sorted(MOTIFS.keys() - met)
    for motif in MOTIFS:
        assert sum(motif in each.motifs for each in long) >= 5, motif


def test_all_that_is_planned_can_be_done() -> None:
    """Each step has a method, and each kind of fault that a course names is a promise."""
    assert all(hasattr(Course, f"_{step.do}") for motif in MOTIFS.values() for step in motif.steps)
    assert set(SPOILT.values()) < KINDS.keys()


def test_a_course_tells_how_it_goes() -> None:
    """Its servers, what happens, and each step on a line."""
    course = plan(0)
    head, *steps = str(course).splitlines()
    assert head.startswith("seed 0: standalone, valkey; ")
    assert len(steps) == len(course.steps)
