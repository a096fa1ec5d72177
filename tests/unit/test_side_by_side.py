"""Which tests stay in one process when `make test` runs them in several, and in which order; see `tests/order.py`."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.order import spread


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


@pytest.fixture(scope="module", params=["one", "another"])
def each(request: pytest.FixtureRequest) -> str:
    """Made once for each value."""
    value: str = request.param
    return value


def test_what_asks_for_a_value_of_a_fixture_stays_with_those_that_ask_for_the_same(
    request: pytest.FixtureRequest, each: str
) -> None:
    """So that two values are made at once."""
    assert group(request) == f"{request.node.nodeid.partition('::')[0]}-each{['one', 'another'].index(each)}"


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


HOUSE = Path(__file__).parents[2]


def test_every_file_of_tests_is_in_one_part_of_make_test() -> None:
    """Or in `make cluster-test`, so that a new folder of tests is not forgotten."""
    makefile = (HOUSE / "Makefile").read_text("utf-8")
    recipes = re.findall(r"^\t(?:nice (?:-n \d+ )?)?\$\(PYTEST\) (.*)$", makefile, re.MULTILINE)
    parts = [
        (re.findall(r" (tests/\S+)", f" {recipe}"), re.findall(r"--ignore=(\S+)", recipe))
        for recipe in recipes
        if "tests/" in recipe and not re.search(r"-m '?(?!not\b)\w", recipe)  # those of a mark are the rest of a part
    ]

    def taken(path: str) -> int:
        return sum(
            any(path.startswith(f"{folder}/") for folder in folders)
            and not any(path.startswith(f"{folder}/") for folder in ignored)
            for folders, ignored in parts
        )

    files = [path.relative_to(HOUSE).as_posix() for path in (HOUSE / "tests").rglob("test_*.py")]
    assert len(files) > 200
    assert {path: taken(path) for path in files if taken(path) != 1} == {}


FILES = st.lists(st.sampled_from([Path("a"), Path("b"), Path("c")]), max_size=60)


@given(FILES)
def test_all_tests_are_run_and_those_of_a_file_in_their_order(files: list[Path]) -> None:
    """None is lost, and none is run twice."""
    numbers = spread(range(len(files)), files)

    assert sorted(numbers) == list(range(len(files)))
    for file in set(files):
        of_file = [number for number in numbers if files[number] == file]
        assert of_file == sorted(of_file)


@given(FILES)
def test_at_any_time_each_file_has_its_share_of_the_tests_so_far(files: list[Path]) -> None:
    """To within one test of each file, wherever one stops."""
    order = [files[number] for number in spread(range(len(files)), files)]

    for stop in range(len(order) + 1):
        done = order[:stop]
        for file in set(files):
            assert abs(done.count(file) - files.count(file) * stop / len(files)) <= len(set(files))
