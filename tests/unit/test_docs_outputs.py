"""Outputs that pages show: each is made by a command that a table names, and is where `make docs-outputs` puts it."""

import re
from pathlib import Path

import pytest

from tests.docs_outputs import __main__ as program
from tests.docs_outputs.blocks import MADE_BY, Block, MissingPartError, Part, put, selected, shown, written
from tests.docs_outputs.outputs import OUTPUTS, Output
from tests.marked import marks

TOP = Path(__file__).parents[2]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
PLACES = [(output, block) for output in OUTPUTS for block in output.blocks]
OF_GOLDEN_FILES = {"docs/how-to/watch.md": "live-display-whole.txt"}
"""Pages that show what is drawn on a terminal and gone at the end, and the golden file which holds that."""


def of(place: tuple[Output, Block]) -> str:
    """A place as a failure shows it."""
    return f"{place[0].name} in {place[1].page}"


def test_every_console_block_is_an_output_of_the_table() -> None:
    """Between its marks; so none is written by hand."""
    by_hand = []
    for page in PAGES:
        name = page.relative_to(TOP).as_posix()
        text = page.read_text(encoding="utf-8")
        for output, block in PLACES:
            if block.page == name:
                begins, ends = marks(output.name, MADE_BY)
                text = re.sub(f"{re.escape(begins)}.*?{re.escape(ends)}", "", text, flags=re.DOTALL)
        by_hand += [name] * text.count("```console")

    assert by_hand == list(OF_GOLDEN_FILES)


@pytest.mark.parametrize("page", OF_GOLDEN_FILES)
def test_what_a_terminal_draws_is_the_golden_file(page: str) -> None:
    """To the letter."""
    (text,) = re.findall(r"^```console\n(.*?)^```", (TOP / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)

    assert text == (TOP / "tests" / "golden" / OF_GOLDEN_FILES[page]).read_text(encoding="utf-8")


@pytest.mark.parametrize("place", PLACES, ids=of)
def test_a_page_shows_the_parts_that_the_table_names(place: tuple[Output, Block]) -> None:
    """With the commands of the table; what a part leaves out is an ellipsis."""
    output, block = place
    text = shown(TOP, output.name, block)
    commands = [re.sub(r"\b(RESULT|URL)\b", "…", each) for each in output.commands]
    if block.fence:
        text = re.fullmatch(rf"```{block.fence}\n(.*)```\n", text, re.DOTALL)[1]  # type: ignore[index]
    if block.shows_command:
        found = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
        wanted = [re.escape(each).replace("…", r"\S+") for each in commands]
        assert [each for each, told in zip(wanted, found, strict=True) if not re.fullmatch(each, told)] == []
        text = text.rpartition(f"$ {found[-1]}\n")[2]

    chunks = [chunk for chunk in re.split(r"^…\n", text, flags=re.MULTILINE) if chunk.strip()]
    assert len(chunks) == len(block.parts)
    for chunk, part in zip(chunks, block.parts, strict=True):
        first, *rest = chunk.rstrip("\n").split("\n")
        assert re.search(part.begins, first)
        assert [line for line in rest if part.ends and re.search(part.ends, line)] == []


OUTPUT = "noise\nA 1\na\n\nB 2\nb\n\nend\n"


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([Part("")], OUTPUT.rstrip("\n")),
        ([Part("^A", "^$")], "…\nA 1\na\n…"),
        ([Part("^A", "^$"), Part("^end")], "…\nA 1\na\n…\nend"),
        ([Part("^noise", "^B"), Part("^B", "^end")], "noise\nA 1\na\n\nB 2\nb\n…"),
    ],
)
def test_parts_are_told_in_order_with_an_ellipsis_for_the_rest(parts: list[Part], told: str) -> None:
    """None stands for blank lines alone."""
    assert selected(OUTPUT, parts) == told


def test_a_part_that_an_output_lacks_is_told() -> None:
    """So a report whose words have changed does not empty a page."""
    with pytest.raises(MissingPartError, match=r"no line has '\^C'"):
        selected(OUTPUT, [Part("^C")])


def test_a_block_has_each_command_with_its_output() -> None:
    """Or the last output alone, be it Markdown."""
    commands, outputs = ["first", "second"], ["1\n", OUTPUT]

    assert written(Block("p"), commands, ["", "2\n"]) == "```console\n$ first\n$ second\n2\n```\n"
    assert written(Block("p"), commands, ["1\n", ""]) == "```console\n$ first\n1\n$ second\n```\n"
    assert written(Block("p", [Part("^B", "^b")], False), commands, outputs) == "```console\n…\nB 2\n…\n```\n"
    assert written(Block("p", [Part("^B", "^b")], False, ""), commands, outputs) == "…\nB 2\n…\n"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page with a place for the output `hello`, in a checkout of its own."""
    monkeypatch.setattr(program, "TOP", tmp_path)
    found = tmp_path / "page.md"
    found.write_text("\n".join(marks("hello", MADE_BY)), encoding="utf-8")
    put(tmp_path, "hello", Block("page.md"), "old\n")
    return found


@pytest.mark.parametrize(
    ("commands", "now"),
    [
        (
            ["echo one", "echo two >&2; echo three"],
            "$ echo one\none\n$ echo two >&2; echo three\nthree\n",
        ),
        (["false", "echo $?"], "$ false\n$ echo $?\n1\n"),
    ],
)
def test_commands_are_run_in_one_shell_and_put_into_the_page(
    page: Path, monkeypatch: pytest.MonkeyPatch, commands: list[str], now: str
) -> None:
    """Each with what it printed on standard output."""
    monkeypatch.setattr(program, "OUTPUTS", [Output("hello", commands, [Block("page.md")])])
    program.main(["--only", "hello"])

    assert f"```console\n{now}" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["false", "echo hello"])
def test_an_output_that_is_not_as_it_should_be_leaves_the_page(
    page: Path, monkeypatch: pytest.MonkeyPatch, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Be it by its exit code, or by a part that it lacks; the program says which output it was."""
    before = page.read_text(encoding="utf-8")
    monkeypatch.setattr(program, "OUTPUTS", [Output("hello", [command], [Block("page.md", [Part("^bye")])])])

    with pytest.raises(SystemExit, match="not made: hello"):
        program.main([])
    assert page.read_text(encoding="utf-8") == before
    assert "hello: " in capfd.readouterr().out
