"""A test that lacks its tool skips on a newcomer's machine, and fails in CI; there is one way to do so."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.missing import missing

TESTS = Path(__file__).parents[1]
WAY, HERE = TESTS / "missing.py", Path(__file__)


def test_without_ci_it_is_skipped_and_with_ci_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is missing in both."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no hammer; install it"):
        missing("no hammer; install it")

    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no hammer; install it"):
        missing("no hammer; install it")


def skips(tree: ast.AST) -> Iterator[str]:
    """The source of each `pytest.skip(…)` and each mark `skipif`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.skip", "pytest.mark.skipif"):
            yield ast.unparse(node)


def test_no_test_skips_for_a_lack_by_itself() -> None:
    """What can be installed is no reason for pytest's own skip, which CI would not see; one place alone asks for CI."""
    others = {path: path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py") if path not in (WAY, HERE)}
    found = [
        f"{path.relative_to(TESTS)}: {each}"
        for path, text in others.items()
        if "pytest.skip(" in text or "skipif(" in text
        for each in skips(ast.parse(text))
        if any(word in each for word in ("install", "lacks_", "error"))
    ]

    assert len(others) > 300
    assert found == []
    assert [path for path, text in others.items() if 'environ.get("CI")' in text] == []
