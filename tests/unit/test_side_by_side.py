"""Which tests stay in one process when `make test` runs them in several; see `tests/conftest.py`."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def dear() -> str:
    """What takes long to make."""
    return "made once"


@pytest.fixture
def borrowed(dear: str) -> str:
    """Needs it, too."""
    return dear


def group(request: pytest.FixtureRequest) -> str | None:
    """The group that a test is run in; None when any process may run it."""
    marker = request.node.get_closest_marker("xdist_group")
    return None if marker is None else str(marker.args[0])


def test_what_asks_for_a_fixture_of_the_module_stays_with_its_module(request: pytest.FixtureRequest, dear: str) -> None:
    """The fixture is made once then."""
    assert Path(group(request) or "").name == Path(__file__).name


def test_what_asks_for_it_by_way_of_another_fixture_stays_as_well(
    request: pytest.FixtureRequest, borrowed: str
) -> None:
    """However it comes to need it."""
    assert Path(group(request) or "").name == Path(__file__).name


def test_what_shares_nothing_is_run_by_any_process(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """So that no process is left with a long file at the end."""
    assert group(request) is None


def test_the_groups_are_known_to_what_deals_out_tests(request: pytest.FixtureRequest) -> None:
    """pytest-xdist reads them from the ids of tests, where it has put them; some versions of pytest lose them."""
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("only where several processes run tests by group")
    for item in request.session.items:
        marker = item.get_closest_marker("xdist_group")
        assert ("@" in item.nodeid.rpartition("]")[2]) == (marker is not None), item.nodeid
