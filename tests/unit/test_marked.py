"""The part of a page that a command makes, between its marks."""

from pathlib import Path

import pytest

from tests.marked import marks, put_into

PAGES = Path(__file__).parents[2] / "docs"


def test_the_table_is_put_between_the_marks_of_a_page(tmp_path: Path) -> None:
    """As often as one likes; a page without marks is left as it is."""
    page = tmp_path / "page.md"
    begins, ends = marks("trust")
    page.write_text(f"before\n{begins}\nold\n{ends}\nafter\n")
    put_into(page, "trust", "new\n")
    put_into(page, "trust", "newer\n")
    assert page.read_text() == f"before\n{begins}\n\nnewer\n\n{ends}\nafter\n"
    for text in ("nothing", f"{begins}\nno end", f"{ends}\nno beginning"):
        page.write_text(text)
        with pytest.raises(SystemExit, match="no place for the table"):
            put_into(page, "trust", "new\n")
        assert page.read_text() == text


@pytest.mark.parametrize(("page", "command"), [("explanation/trust.md", "trust"), ("faults.md", "chaos")])
def test_pages_have_a_place_for_their_tables(page: str, command: str) -> None:
    """Found before a command has run for many minutes."""
    text = (PAGES / page).read_text(encoding="utf-8")
    assert [text.count(each) for each in marks(command)] == [1, 1]
