"""How often hosts are asked for the time: of few each as often as is good for the bound, of many all together."""

import pytest

from ombdriver.bench.hosts.coordinator import between_exchanges_s, first_exchanges


@pytest.mark.parametrize(
    ("hosts", "first", "first_s", "later_s"),
    [(1, 50, 0.04, 0.1), (100, 50, 0.04, 0.1), (200, 50, 0.04, 0.2), (500, 20, 0.1, 0.5), (1000, 10, 0.2, 1.0)],
)
def test_many_hosts_are_asked_less_often(hosts: int, first: int, first_s: float, later_s: float) -> None:
    """All of them at most 5,000 times a second before the start, which takes 2 s, and 1,000 times after it."""
    assert first_exchanges(hosts) == first
    assert between_exchanges_s(hosts, is_first=True) == pytest.approx(first_s)
    assert between_exchanges_s(hosts, is_first=False) == pytest.approx(later_s)
