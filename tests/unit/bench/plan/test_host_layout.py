"""`HostLayout.places`: who is on which host, for every number of hosts, processes, producers and readers."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.plan.host_layout import PLACEMENTS, HostLayout, Placement
from ombdriver.errors import InputError


@st.composite
def layouts(draw: st.DrawFn) -> HostLayout:
    """Any that the command line takes."""
    placement: Placement = draw(st.sampled_from(PLACEMENTS))
    hosts = draw(st.integers(2 if placement == "split" else 1, 20))
    return HostLayout(hosts, draw(st.integers(1 if placement == "split" else 2, 6)), placement)


@given(layouts(), st.integers(1, 5), st.integers(0, 300), st.integers(0, 300))
def test_every_host_has_work_and_no_more_processes_than_asked_for(
    layout: HostLayout, groups: int, producers: int, readers: int
) -> None:
    """Or the run is refused; hosts that are split never send and read, and every producer and reader has a process."""
    assert layout.errors() == []
    try:
        sending, reading = layout.places(groups, producers, readers)
    except InputError:
        assert layout.hosts * layout.workers_per_host > min(producers, readers)
        return

    assert set(sending) | set(reading) == set(range(layout.hosts))
    assert max(Counter([*sending, *reading]).values()) <= layout.workers_per_host
    assert (len(sending) > 0, len(reading) > 0) == (producers > 0, readers > 0)
    assert len(sending) <= producers
    assert len(reading) <= readers
    if layout.placement == "split" and producers and readers:
        assert not set(sending) & set(reading)
    for places in (sending, reading):
        counts = Counter(places)
        assert max(counts.values(), default=0) - min(counts.values(), default=0) <= 1


@pytest.mark.parametrize(
    ("layout", "places"),
    [
        (HostLayout(3, 2, "mixed"), ([0], [0, 1, 2])),
        (HostLayout(3, 2, "split"), ([0], [1, 2, 1])),
        (HostLayout(1, 2, "mixed"), ([0], [0])),
        (HostLayout(2, 1, "split"), ([0], [1])),
    ],
)
def test_one_producer_and_three_groups(layout: HostLayout, places: tuple[list[int], list[int]]) -> None:
    """The shipped workload 1kb-3groups."""
    assert layout.places(3, 1, 3) == places


def test_hosts_without_work_are_refused() -> None:
    """They would count as part of what made the load."""
    with pytest.raises(
        InputError, match=r"^--hosts: 1 of 4 hosts would have nothing to do \(producers: 1, readers: 3\)"
    ):
        HostLayout(4, 2, "mixed").places(3, 1, 3)
