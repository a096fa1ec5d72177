"""What installs with what: the library alone, and what the command asks for before it does anything."""

import re
import sys
import tomllib
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

from ombdriver import __main__ as program
from ombdriver import __version__

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def required(requirements: list[str]) -> set[str]:
    """The normalised names of the packages."""
    return {re.split(r"[\[<>=;~! ]", each)[0].lower().replace("_", "-") for each in requirements}


def test_the_library_installs_with_redis_py_alone() -> None:
    """All other packages are extras."""
    assert PROJECT["dependencies"] == ["redis[hiredis]>=8,<9"]


def test_the_changelog_begins_with_what_is_unreleased_and_then_with_this_version() -> None:
    """By its headings, of which each release has a date."""
    text = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased, newest, *_ = re.findall(r"^## (.*)$", text, re.MULTILINE)

    assert unreleased == "Unreleased"
    assert re.fullmatch(rf"{re.escape(__version__)} - \d{{4}}-\d{{2}}-\d{{2}}", newest)


def test_the_command_looks_for_all_that_its_extra_brings() -> None:
    """A package that is added to the one is added to the other."""
    distributions = packages_distributions()
    looked_for = {each.lower().replace("_", "-") for name in program.HARNESS for each in distributions[name]}

    assert looked_for == required(PROJECT["optional-dependencies"]["bench"])


def test_a_package_that_is_missing_ends_the_command_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one that only the last step of a run would need."""

    def without_scipy(name: str) -> ModuleSpec | None:
        return None if name == "scipy" else find_spec(name)

    monkeypatch.setattr(program, "find_spec", without_scipy)
    monkeypatch.setattr(sys, "argv", ["ombdriver", "--version"])
    with pytest.raises(SystemExit) as ended:
        program.main()

    told = "ombdriver: the harness is not installed (scipy missing); install it: pip install 'ombdriver[bench]'\n"
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", told)
