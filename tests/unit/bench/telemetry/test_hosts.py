"""`HostSeries`: what a host took in the window, from counters that its agent tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.telemetry.hosts import HostSample, HostSeries
from ombdriver.bench.telemetry.summary import CpuShare, OuterUsage
from ombdriver.bench.telemetry.window import Window

SECOND = 10**9
FACTS = {"cores": 4, "memoryBytes": 1000}


@given(
    st.integers(0, 4 * SECOND),
    st.integers(0, SECOND),
    st.integers(0, SECOND),
    st.lists(st.integers(0, 1000), min_size=30, max_size=30),
)
def test_shares_are_of_the_window_alone_whatever_counters_began_with(
    busy_ns: int, stolen_ns: int, engine_ns: int, left: list[int]
) -> None:
    """So is the least memory that was left; before and after it everything was taken."""
    series = HostSeries("alpha", FACTS)
    series.begin(Window(10 * SECOND, 20 * SECOND))
    counted = [0, 0, 0]
    for at in range(30):
        within = 10 < at <= 20
        for place, grown in enumerate((busy_ns, stolen_ns, engine_ns)):
            counted[place] += grown if within else 4 * SECOND
        busy, stolen, engine = (7 * SECOND + each for each in counted)
        memory = left[at] if 10 <= at <= 20 else 0
        series.add(HostSample(at * SECOND, busy, (stolen,), None, memory, 0, engine))

    usage = series.usage()

    assert (usage.name, usage.cores, usage.memory_bytes) == ("alpha", 4, 1000)
    shares = ((usage.cpu, busy_ns), (usage.steal, stolen_ns), (usage.engine_cpu, engine_ns), (usage.agent_cpu, 0))
    for share, grown in shares:
        assert share.mean == pytest.approx(grown / SECOND)
        assert share.peak == pytest.approx(grown / SECOND)
    assert usage.pressure == CpuShare()
    assert usage.least_available_bytes == min(left[10:21])


@given(st.integers(0, 8 * SECOND), st.integers(0, 2 * SECOND))
def test_servers_on_a_host_are_told_beside_it_as_of_the_window(ran_ns: int, waited_ns: int) -> None:
    """By what they took in it, whatever they took before."""
    series = HostSeries("alpha", FACTS, servers=2)
    series.begin(Window(10 * SECOND, 20 * SECOND))
    assert series.servers_now is None
    ran, waited = 3 * SECOND, 5 * SECOND
    for at in range(30):
        within = 10 < at <= 20
        ran += ran_ns if within else SECOND
        waited += waited_ns if within else SECOND
        series.add(HostSample(at * SECOND, servers_cpu_ns=ran, servers_rss_bytes=at, servers_waited_ns=waited))

    usage = series.usage()

    assert usage.servers == 2
    assert usage.servers_cpu.mean == pytest.approx(ran_ns / SECOND)
    assert usage.servers_waiting.mean == pytest.approx(waited_ns / SECOND)
    assert usage.to_json()["serversCpu"]["mean"] == pytest.approx(ran_ns / SECOND, abs=1e-3)
    assert series.servers_now == OuterUsage(ran, 29, waited)


def test_a_host_that_told_nothing_in_the_window_has_no_figures() -> None:
    """Its agent came too late, or the host was gone."""
    series = HostSeries("alpha", {})
    series.add(HostSample(SECOND, 0))
    series.begin(Window(10 * SECOND, 20 * SECOND))
    series.add(HostSample(60 * SECOND, 5))

    usage = series.usage()

    assert (usage.cores, usage.memory_bytes, usage.least_available_bytes) == (0, None, None)
    assert usage.cpu == CpuShare()
