"""Results of older versions: read step by step, and never refused for what they could not know."""

from pathlib import Path
from typing import Any

import pytest

from ombdriver.bench.results.result import FORMAT_VERSION, Result
from ombdriver.bench.results.versions import UPGRADES, content_sha256, upgraded
from ombdriver.errors import InputError

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("result-v*.json")), ids=lambda path: path.stem)
def test_results_of_every_version_stay_readable(path: Path) -> None:
    """Files as they were written then, with today's keys filled in; written again they are of today's version."""
    read = Result.loads(path.read_text(encoding="utf-8"), path.name)

    assert read.workload.startswith("golden-v")
    assert read.totals["published"] == read.latency["publish"].count > 0
    assert read.setup_sha256 == content_sha256(read.setup)
    again = Result.loads(read.dumps(), "again")
    assert again == read
    assert again.to_json()["formatVersion"] == FORMAT_VERSION


def test_there_is_a_step_from_every_version_and_a_file_of_it() -> None:
    """Nobody raises the version without both."""
    assert list(UPGRADES) == list(range(1, FORMAT_VERSION))
    for version in range(1, FORMAT_VERSION + 1):
        assert (GOLDEN / f"result-v{version}.json").is_file()


def test_steps_are_taken_one_after_the_other() -> None:
    """From where a result stands to where it is wanted, then what is still missing is added."""

    def renamed(data: dict[str, Any]) -> dict[str, Any]:
        return {("rate" if key == "speed" else key): value for key, value in data.items()}

    steps = {1: renamed, 2: lambda data: data | {"rate": data["rate"] * 2}}
    added = {"half": lambda data: data["rate"] / 2, "speed": lambda _: "new"}

    assert upgraded({"formatVersion": 1, "speed": 3}, "r", 3, steps, added) == {
        "formatVersion": 3,
        "rate": 6,
        "half": 3,
        "speed": "new",
    }
    assert upgraded({"formatVersion": 3, "rate": 6, "half": 1, "speed": 0}, "r", 3, steps, added)["half"] == 1


def test_a_later_version_is_refused_with_who_wrote_it() -> None:
    """That one can read it."""
    with pytest.raises(InputError, match=r"r: formatVersion is 4, this ombdriver reads up to 3; use .* \(2\.1\.0\)"):
        upgraded({"formatVersion": 4, "version": "2.1.0"}, "r", 3)


def test_the_hash_is_of_the_content_not_of_its_order() -> None:
    """And another content has another one."""
    assert content_sha256({"a": 1, "b": [1, "é"]}) == content_sha256({"b": [1, "é"], "a": 1})
    assert content_sha256({"a": 1}) != content_sha256({"a": 2})
