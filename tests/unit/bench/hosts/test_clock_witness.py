"""`clock_witness`: what witnesses say holds, and what does not fit is told."""

from hypothesis import example, given
from hypothesis import strategies as st

from ombdriver.bench.hosts.clock_witness import (
    STEPPED_RATE,
    Claim,
    WallReading,
    kernels_claim,
    servers_claims,
)
from ombdriver.bench.hosts.kernel_clock import read_wall
from ombdriver.bench.load.host_clock import ServerTime

SECOND = 10**9
DAYS = 10 * 86_400 * SECOND
WALL = 1_800_000_000 * SECOND
delays = st.integers(0, SECOND // 10)


@given(
    st.integers(-DAYS, DAYS),
    st.integers(-DAYS, DAYS),
    st.lists(st.tuples(delays, delays, st.integers(0, 5 * SECOND)), min_size=1, max_size=5),
    st.lists(st.tuples(delays, delays, st.integers(0, 5 * SECOND)), min_size=1, max_size=5),
    st.floats(-STEPPED_RATE, STEPPED_RATE),
)
@example(0, 0, [(0, 0, 0)], [(0, 0, 88_129_042)], -STEPPED_RATE)
def test_the_servers_clock_tells_how_far_a_host_is_ahead_within_its_error(
    ahead_ns: int,
    server_ns: int,
    own: list[tuple[int, int, int]],
    there: list[tuple[int, int, int]],
    drift: float,
) -> None:
    """However long its answers took each way, wherever its own clock stands, and however that drifts meanwhile."""

    def asked(some: list[tuple[int, int, int]], offset_ns: int) -> list[ServerTime]:
        found = []
        for out_ns, back_ns, at_ns in some:
            moment = at_ns + out_ns  # at which the server looks at its clock, which tells whole microseconds
            told_ns = (WALL + server_ns + moment + round(drift * moment)) // 1000 * 1000
            found.append(ServerTime(at_ns + offset_ns, told_ns, moment + back_ns + offset_ns))
        return found

    (told,) = servers_claims(asked(own, 0), asked(there, ahead_ns))

    assert abs(told.ahead_ns - ahead_ns) <= told.error_ns + 1
    assert told.beyond_ns(ahead_ns, 1) == 0


@given(st.integers(-DAYS, DAYS), st.integers(-SECOND, SECOND), st.integers(-SECOND, SECOND), st.integers(0, SECOND))
def test_kernels_tell_how_far_a_host_is_ahead_within_what_they_take_for_their_error(
    ahead_ns: int, own_wrong_ns: int, wrong_ns: int, later_ns: int
) -> None:
    """As far as that is true; it matters not when each was looked at."""
    own = WallReading(5 * SECOND, WALL + own_wrong_ns, 0, synchronised=True, max_error_ns=abs(own_wrong_ns))
    there = WallReading(
        5 * SECOND + later_ns + ahead_ns, WALL + later_ns + wrong_ns, 0, synchronised=True, max_error_ns=abs(wrong_ns)
    )

    told = kernels_claim(own, there)

    assert told is not None
    assert told.beyond_ns(ahead_ns, 0) == 0


@given(st.integers(-SECOND, SECOND), st.integers(0, SECOND), st.integers(0, SECOND))
def test_what_is_further_off_than_both_allow_is_told(said_ns: int, error_ns: int, bound_ns: int) -> None:
    """By how much."""
    beyond = Claim("kernel", 0, said_ns, error_ns).beyond_ns(0, bound_ns)

    assert beyond == max(0, abs(said_ns) - error_ns - bound_ns)


def test_a_clock_that_nobody_keeps_and_a_server_that_was_not_asked_say_nothing() -> None:
    """A host may have no NTP, and a user no permission for TIME."""
    kept, unkept = (WallReading(0, 0, 0, synchronised=each) for each in (True, False))
    silent = WallReading(0, 0, 0)

    pairs = ((kept, unkept), (unkept, kept), (silent, kept), (kept, silent))
    assert [kernels_claim(*pair) for pair in pairs] == [None] * 4
    assert servers_claims([], [ServerTime(0, 0, 1)]) == []
    assert servers_claims([ServerTime(0, 0, 1)], []) == []


SERVERS = st.dictionaries(st.sampled_from("abcdef"), st.integers(-DAYS, DAYS))


@given(SERVERS, st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")), st.integers(-DAYS, DAYS))
def test_each_server_that_both_have_asked_is_a_witness_of_its_own(
    servers: dict[str, int], own: set[str], there: set[str], ahead_ns: int
) -> None:
    """However far their clocks are apart; one that only one of the two could ask is none, unless each knows but one."""

    def asked(some: set[str], offset_ns: int) -> list[ServerTime]:
        known = sorted(some & servers.keys())
        return [ServerTime(offset_ns, WALL + servers[name], offset_ns + 1, name) for name in known]

    here, other = asked(own, 0), asked(there, ahead_ns)
    told = servers_claims(here, other)

    if len(here) == len(other) == 1:
        assert [each.server for each in told] == [other[0].server]
        return
    assert sorted(each.server for each in told) == sorted(own & there & servers.keys())
    for each in told:
        assert each.witness == "serverTime"
        assert each.beyond_ns(ahead_ns, 1) == 0


def test_this_machine_tells_its_clocks() -> None:
    """The wall clock close to the monotonic one; what its kernel says is of either kind, and nothing was changed."""
    first, second = read_wall(), read_wall()

    assert 0 <= first.between_ns < SECOND
    assert first.monotonic_ns < second.monotonic_ns
    assert first.synchronised == second.synchronised
    assert first.max_error_ns >= 0
    assert set(first.to_json()) == {"synchronised", "maxErrorMs", "estimatedErrorMs", "frequencyPpm"}
