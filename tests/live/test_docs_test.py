"""The tests in docs/library/test.md are run by pytest, as they are printed, in a project that has nothing else."""

import re
import sys
from pathlib import Path

import pytest

from ombdriver import testing
from ombdriver.testing import LocalServer

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).parents[2] / "docs" / "library" / "test.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"


@pytest.mark.parametrize(("number", "tests"), [(0, 1), (1, 2), (2, 1)])
def test_an_example_passes(pytester: pytest.Pytester, number: int, tests: int) -> None:
    """Each block is a file of tests."""
    pytester.makepyfile(test_orders=EXAMPLES[number])
    pytester.makeini(INI)
    pytester.runpytest_subprocess().assert_outcomes(passed=tests)


def test_the_configuration_that_is_printed_is_one(pytester: pytest.Pytester) -> None:
    """Here with a program that there is surely none of, where it names one."""
    (printed,) = re.findall(r"^```ini\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    pytester.makeini(INI + printed.replace("[pytest]\n", "").replace("redis", sys.executable + "-none"))
    pytester.makepyfile("def test_it(ombdriver_url): pass")
    pytester.runpytest_subprocess().assert_outcomes(errors=1)


def test_the_plugin_can_be_left_out(pytester: pytest.Pytester) -> None:
    """By its name."""
    pytester.makepyfile("def test_it(ombdriver_url): pass")
    pytester.runpytest_subprocess("-p", "no:ombdriver").assert_outcomes(errors=1)


def test_everything_of_a_server_is_told() -> None:
    """Its attributes and methods, and the names of the module."""
    told = set(re.findall(r"`(\w+)", PAGE))
    assert {name for name in vars(LocalServer) if not name.startswith("_")} | {"url", "port", "pid"} <= told
    assert set(testing.__all__) <= told
    assert len(EXAMPLES) == 3
