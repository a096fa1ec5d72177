"""CONTRIBUTING's lists of places: short, and of places that there are."""

import re
from pathlib import Path

import pytest

from ombdriver.bench.verdict.rules import RULES

HOUSE = Path(__file__).parents[2]
(SECTION,) = re.findall(
    r"^## How to add\n(.*?)^## ", (HOUSE / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
LISTS = dict(re.findall(r"^A \*\*(.*?)\*\*:\n\n((?:\d\. .*\n)+)", SECTION, re.MULTILINE))
EXTENDED = ("field of a workload", "driver", "fault", "rule of the verdict", "latency family")


def test_there_is_a_list_for_each_thing_that_is_added_often() -> None:
    """Of at most four places each."""
    assert tuple(LISTS) == EXTENDED
    assert {what: places.count("\n") for what, places in LISTS.items() if places.count("\n") > 4} == {}


@pytest.mark.parametrize("what", EXTENDED)
def test_every_place_of_a_list_is_a_file(what: str) -> None:
    """By its path from the top."""
    paths = re.findall(r"`((?:ombdriver|tests|docs)/[\w/.-]+|pyproject\.toml)`", LISTS[what])

    assert paths
    assert [path for path in paths if not (HOUSE / path).exists()] == []


@pytest.mark.parametrize(
    ("name", "folder"),
    [*((key, "bench/faults") for key in ("hook", "bgsave", "clientPause")), (RULES[-1].name, "bench/verdict")],
)
def test_what_was_added_is_named_in_its_room_alone(name: str, folder: str) -> None:
    """So no place is missing in the lists of faults and rules: nothing else of the package names one of them."""
    package = HOUSE / "ombdriver"
    naming = [path for path in package.rglob("*.py") if f'"{name}"' in path.read_text(encoding="utf-8")]

    assert {path.relative_to(package).parent.as_posix() for path in naming} == {folder}
