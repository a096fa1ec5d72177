"""Values of a result that have another type than they are to have are found, whatever field they stand in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import sample_result

from ombdriver.bench.results.field_types import fits, misfit
from ombdriver.bench.results.result import Result


@pytest.mark.parametrize(
    ("value", "annotation", "does"),
    [
        (1, float, True),
        (1.5, float, True),
        (float("nan"), float, False),
        (float("inf"), float, False),
        (True, float, False),
        (True, int, False),
        (1.0, int, False),
        (None, float | None, True),
        ("a", float | None, False),
        ([1, None], list[float | None], True),
        ([1, None], list[float], False),
        ("abc", list[str], False),
        (("a",), tuple[str, ...], True),
        (["a", 1], tuple[str, ...], False),
        ({"a": 1}, Mapping[str, int], True),
        ({"a": "1"}, Mapping[str, int], False),
        ({"a": [1.0]}, dict[str, list[float]], True),
        ([], Mapping[str, int], False),
        (object(), Any, True),
    ],
)
def test_a_value_fits_a_type_or_not(value: object, annotation: Any, does: bool) -> None:
    """A whole number will do for a float; a flag is no number, and neither is what JSON has not."""
    assert fits(value, annotation) is does


@dataclass
class _Inner:
    some_count: int


@dataclass
class _Outer:
    name: str
    inner_parts: tuple[_Inner, ...]


def test_the_field_is_named_by_its_key() -> None:
    """Also where it is a dataclass inside that does not fit."""
    assert misfit(_Outer("a", (_Inner(1),))) is None
    assert misfit(_Outer("a", (_Inner(1), _Inner("x")))) == "innerParts"  # type: ignore[arg-type]
    assert misfit(_Outer(5, ())) == "name"  # type: ignore[arg-type]


def test_what_is_written_is_read_back_and_fits() -> None:
    """A result of ours has no misfit."""
    assert misfit(Result.loads(sample_result.result().dumps(), "r.json")) is None
