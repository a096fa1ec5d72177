"""What the pages of documentation and docstrings name is there: files, modules, classes, and the pages linked to."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ombdriver.bench.spec.catalog import workload_names
from ombdriver.bench.spec.setup import setup_names

HOUSE = Path(__file__).parents[2]
PAGES = sorted([*HOUSE.glob("*.md"), *(HOUSE / "docs").rglob("*.md"), *(HOUSE / "tests").rglob("*.md")])
PACKAGE = sorted((HOUSE / "ombdriver").rglob("*.py"))
GROUPS = {"ombdriver.drivers", "ombdriver.faults"}
"""Entry-point groups, which are no modules."""
FOREIGN = ("redis.", "asyncio.", "msgspec.", "signal.", "socket.")


def named(page: Path) -> str:
    """The name of a page as a failure shows it."""
    return str(page.relative_to(HOUSE))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    """As a path from the top of the repository."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"`((?:ombdriver|tests|examples|workloads|docs|\.ci)/[\w./-]+)`", text)

    assert [path for path in found if not (HOUSE / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_dotted_name_of_a_page_leads_somewhere(page: Path) -> None:
    """A module of ours, or a class or function in one; not a line of a program, which is run elsewhere."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = set(re.findall(r"`(ombdriver(?:\.\w+)+)", text)) - GROUPS

    assert sorted(name for name in found if not resolves(name)) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_workload_and_setup_that_a_command_names_ships(page: Path) -> None:
    """In the commands of a page; what has a dot is a file of the reader's, and a word in capitals stands for a name."""
    text = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8"))
    commands = re.findall(r"^(?:    |\$ )ombdriver (.*)$", text, re.MULTILINE)
    named_workloads = [
        name
        for command in commands
        if (verb := re.match(r"(?:run|curve|chaos|plan|workloads show) ((?:(?!-)\S+ ?)+)", command))
        for name in verb[1].split()
    ]
    named_setups = re.findall(r"(?:--setup|setups show) (\S+)", "\n".join(commands))

    assert [name for name in named_workloads if is_ours(name) and name not in workload_names()] == []
    assert [name for name in named_setups if is_ours(name) and name not in setup_names()] == []


def is_ours(name: str) -> bool:
    """Whether a word of a command can only be the name of something that ships."""
    return re.fullmatch(r"[a-z0-9-]+", name) is not None


def resolves(name: str) -> bool:
    """Whether a name is a module, or what a module has."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found is not None
    return False


def test_every_type_that_a_docstring_names_is_in_its_module() -> None:
    """Written as the end of a module's name and the type: `publisher.Publisher`."""
    types = {
        f".{'.'.join(path.relative_to(HOUSE).with_suffix('').parts)}.{name}" for path in PACKAGE for name in of(path)
    }
    missing = [
        f"{path.name}: {name}"
        for path in [*PACKAGE, *(HOUSE / "tests").rglob("*.py")]
        for name in re.findall(r"`((?:[a-z_]+\.)+[A-Z]\w*[a-z]\w*)[^`]*`", path.read_text(encoding="utf-8"))
        if not name.startswith(FOREIGN) and not any(each.endswith(f".{name}") for each in types)
    ]

    assert missing == []


def of(path: Path) -> Iterator[str]:
    """The classes of a module, and the types that it gives a name."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """To a file, and to a heading in it."""
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]

    assert [link for link in links if not leads(page, link)] == []


def leads(page: Path, link: str) -> bool:
    """Whether a link is to a file that exists, and to one of its headings if it names one."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return False
    return not anchor or anchor in anchors(target)


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", each).lower()).replace(" ", "-") for each in headings}


def test_every_page_is_found_from_the_index() -> None:
    """By links: from docs/index.md to a page, and from there on, so that none is an orphan."""
    waiting, found = [HOUSE / "docs" / "index.md"], set[Path]()
    while waiting:
        page = waiting.pop()
        if page not in found and page.suffix == ".md" and page.exists():
            found.add(page)
            links = re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8"))
            waiting += [(page.parent / link).resolve() for link in links if "://" not in link]

    assert [named(page) for page in sorted((HOUSE / "docs").rglob("*.md")) if page not in found] == []


def test_readme_shows_outputs_that_a_tutorial_has_as_a_whole() -> None:
    """Line by line; an ellipsis stands for lines that are left out."""
    shown, whole = (
        [
            line
            for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
            for line in block.splitlines()
        ]
        for text in (
            (HOUSE / "README.md").read_text(encoding="utf-8"),
            "".join(page.read_text(encoding="utf-8") for page in (HOUSE / "docs" / "tutorials").glob("*.md")),
        )
    )

    assert shown
    assert [line for line in shown if line.strip(" …") and line not in whole] == []


def test_readme_is_short() -> None:
    """All else has a page."""
    assert len((HOUSE / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "decisions" not in page.parts and page.name != "CHANGELOG.md"], ids=named
)
def test_no_sentence_of_a_page_is_long(page: Path) -> None:
    """Of more than 45 words, outside of programs and tables; names in capitals, as those of commands, are none."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    prose = [line for line in text.splitlines() if not line.startswith(("|", "    "))]
    sentences = [each for line in prose for each in re.split(r"(?<=[.:?]) ", line)]

    assert [each for each in sentences if len([word for word in each.split() if not word.isupper()]) > 45] == []


def test_no_row_has_two_lists_to_be_counted() -> None:
    """In a table: whoever has to count semicolons to find what belongs together gets rows of their own."""
    rows = [row for page in PAGES for row in page.read_text(encoding="utf-8").splitlines() if row.startswith("|")]
    lists = [[cell.count("; ") for cell in row.strip("| ").split(" | ")] for row in rows]

    assert [row for row, counts in zip(rows, lists, strict=True) if sorted(counts)[-2:-1] >= [3]] == []


def test_the_architecture_page_is_short() -> None:
    """Why things are as they are stands elsewhere."""
    assert len((HOUSE / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_decisions_are_numbered_in_order_and_listed() -> None:
    """By date; each begins with its number, its title and its date, and the list has all three."""
    folder = HOUSE / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.*) \| (\S+) \|$", index, re.MULTILINE)
    pages = sorted(path.name for path in folder.glob("[0-9]*.md"))

    assert [name for _, name, _, _ in rows] == pages
    numbers = [number for number, *_ in rows]
    assert numbers == sorted(set(numbers))
    assert [date for *_, date in rows] == sorted(date for *_, date in rows)
    for number, name, title, date in rows:
        text = (folder / name).read_text(encoding="utf-8")
        assert text.startswith(f"# {number}: {title}\n\nDecided {date}")
        assert name.startswith(f"{number}-")
        assert [part for part in ("\n## Problem\n", "\n## Decision\n", "\n## Alternatives\n") if part not in text] == []
