"""The mends that can be taken out of the library, to see what finds that: each can be, as the library is now."""

import ast
import importlib.util
from pathlib import Path

import pytest

from tests.faults.account import KINDS
from tests.faults.mends import MENDS, ROOT, Edit, edited
from tests.faults.plan import MOTIFS

HERE = Path(__file__).parents[2]


def source_of(module: str) -> str:
    """The text of a module of the library."""
    spec = importlib.util.find_spec(ROOT + module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text()


@pytest.mark.parametrize("name", MENDS)
def test_what_is_taken_out_is_there_and_leaves_a_module(name: str) -> None:
    """Its lines stand once in their module, and without them it is another one that Python can read."""
    for module in {edit.module for edit in MENDS[name].edits}:
        source = source_of(module)
        without = edited(source, [edit for edit in MENDS[name].edits if edit.module == module])
        assert without != source
        ast.parse(without)


@pytest.mark.parametrize("name", MENDS)
def test_it_is_said_what_finds_it(name: str) -> None:
    """Courses, by kinds of faults and motifs that there are, or tests that there are."""
    mend = MENDS[name]
    assert mend.told or mend.tests
    assert set(mend.told) <= KINDS.keys()
    assert set(mend.motifs) <= MOTIFS.keys()
    for test in mend.tests:
        path, _, function = test.partition("::")
        assert f"def {function}" in (HERE / path).read_text()


@pytest.mark.parametrize("text", ["nowhere", "one"])
def test_what_is_not_there_once_is_told(text: str) -> None:
    """The library has changed, and the mend has to follow."""
    with pytest.raises(ValueError, match="and not once"):
        edited("one, and one more", [Edit("a.module", text, "")])
