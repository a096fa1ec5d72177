"""Pages as text: Markdown for a pull request, HTML that trusts no result, the files they are made of, and the verb."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from sample_drain import measured_drain
from sample_faults import sample_faults
from sample_hosts import OF_HOSTS
from sample_page import IMAGE, INVALID, LINK, PASSWORD, SCRIPT, files, hostile, run, two_setups

from ombdriver.bench.faults.standard import TAG
from ombdriver.bench.report.page import html, markdown
from ombdriver.bench.report.page.comparison import ComparisonSection, RatioBar
from ombdriver.bench.report.page.content import content
from ombdriver.bench.report.page.summary import INTERVALS
from ombdriver.bench.results.store import load_all
from ombdriver.cli.report import report
from ombdriver.errors import InputError

BAR = RatioBar("endToEndResponse.p99", "redis-local", 1.2, 1.1, 1.3, "20 % slower")


class Tags(HTMLParser):
    """Every tag with its attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps it."""
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
            self._in_script = True

    def handle_endtag(self, tag: str) -> None:
        """Of a script, for one."""
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        """The text of a script, in pieces."""
        if self._in_script:
            self.scripts[-1] += data


# -- Markdown ----------------------------------------------------------------------------------------------------------


def test_the_markdown_of_several_results(golden: Callable[[str, str], None]) -> None:
    """Verdicts first, then the table."""
    golden("page.md", markdown.render(two_setups()))


def test_the_markdown_of_standard_faults_ends_with_what_setups_lost() -> None:
    """The table of `ombdriver chaos`, with names as they are."""
    met = [replace(run(1, "a|b"), faults=sample_faults(), tags={TAG: "kill"})]

    lines = markdown.render(files(*met)).splitlines()

    assert lines[-5] == "| setup | fault | runs | lost | unknown | outage s | recover s | promise |"
    assert lines[-3] == r"| a\|b | kill | 1 | 1,204 | 17 | 2.3 | 4.0 | none |"
    assert lines[-1].startswith("Messages that were acknowledged and lost")


def test_a_figure_whose_interval_is_known_has_it_behind() -> None:
    """On the page and in the short form, with a word on what it is; and only where it is known."""
    plain, known = ([replace(run(1), confidence=each)] for each in ({}, {"publishResponse.p99": [0.41, 0.531]}))

    for text in (html.render(content(files(*known)), "1"), markdown.render(files(*known))):
        assert "(410-531 µs)" in text
        assert INTERVALS in text
    for text in (html.render(content(files(*plain)), "1"), markdown.render(files(*plain))):
        assert INTERVALS not in text


def test_markdown_takes_nothing_of_a_result_as_markup(golden: Callable[[str, str], None]) -> None:
    """No HTML, no link, no row or mention that is not ours, and no password."""
    text = markdown.render(hostile())

    assert PASSWORD not in text
    assert "<" not in text
    golden("page-hostile.md", text)


# -- HTML --------------------------------------------------------------------------------------------------------------


def test_the_page_names_nothing_outside_of_itself() -> None:
    """No tag loads anything; addresses within plotly's code are never followed, which the browser's tests hold."""
    tags = Tags(html.render(content(two_setups(), ComparisonSection((BAR,))), "1.0")).tags
    addresses = [value for _, attributes in tags for name, value in attributes.items() if name in ("src", "href")]

    assert [each for each in addresses if not (each or "").startswith(("#", "data:"))] == []
    assert not {"iframe", "object", "embed", "img", "base"} & {tag for tag, _ in tags}


def test_a_backlog_is_a_table_of_groups() -> None:
    """Of a run that has drained one; a page of other runs has no such part."""
    drained = run(1, backlog_drain=measured_drain())
    text = html.render(content(files(drained)), "1.0")

    assert "Backlogs and how they were drained" in text
    assert '<tr><th scope="row">group-2</th><td>10,000</td><td>5.0 s</td>' in text
    assert 'id="backlog_tables"' not in html.render(content(two_setups()), "1.0")


def test_an_invalid_run_has_what_was_measured_and_what_would_help() -> None:
    """On the page and in the short form."""
    for text in (
        html.render(content(files(run(1, verdict=INVALID))), "1"),
        markdown.render(files(run(1, verdict=INVALID))),
    ):
        assert "his machine: this run took 0.84 of 2 cores, others 1.06" in text
        assert "end what else runs on this machine: it took 1.06 of 2 cores" in text


def test_the_policy_lets_the_pages_own_scripts_run_and_no_other() -> None:
    """By the hashes of their text."""
    page = Tags(html.render(content(hostile()), "1.0"))
    (policy,) = (attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes)
    assert policy is not None
    library = next(attributes for _, attributes in page.tags if attributes.get("id") == "library")
    packed = base64.b85decode(page.scripts[1].replace(".", "<"))[: int(library["data-bytes"] or 0)]
    scripts = (gzip.decompress(packed), page.scripts[2].encode())
    hashes = {base64.b64encode(hashlib.sha256(each).digest()).decode() for each in scripts}

    assert policy.startswith("default-src 'none';")
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes
    assert "unsafe-inline" not in policy.partition("script-src")[2]
    assert "unsafe-eval" not in policy


def test_a_page_of_one_result_is_smaller_than_two_megabytes() -> None:
    """With the library that draws its plots, and with the licence of that, since the page is given to others."""
    text = html.render(content(files(run(1))), "1.0")

    assert len(text.encode()) < 2_000_000
    assert "Permission is hereby granted, free of charge" in text


def test_nothing_of_a_result_becomes_a_tag() -> None:
    """Three scripts are ours: data, library, page; a hostile text adds none, and no image, link or password."""
    text = html.render(content(hostile()), "1.0")
    page = Tags(text)
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]

    assert len(page.scripts) == 3
    assert all((link or "").startswith("#") for link in links)
    assert not [each for each in (SCRIPT, IMAGE, LINK, PASSWORD) if each in text]
    assert json.loads(page.scripts[0])["runs"]


def test_a_comparison_is_shown_when_it_is_given() -> None:
    """With its words, for those who can't see the bars."""
    without, with_bars = (html.render(content(two_setups(), ComparisonSection(bars)), "1.0") for bars in ((), (BAR,)))

    assert 'id="comparison"' not in without
    assert 'id="comparison"' in with_bars
    assert '<th scope="col">endToEndResponse.p99</th>' in with_bars
    assert "<td>20 % slower</td>" in with_bars


def test_the_answer_comes_first() -> None:
    """The table of all runs, then the comparison, the curves, and what is said of each run."""
    text = html.render(content(two_setups(), ComparisonSection((BAR,))), "1.0")
    parts = re.findall(r'<section id="(\w+)"', text)

    assert parts == ["summary", "comparison", "percentiles", "verdicts", "time", "texts"]
    assert re.findall(r'<a href="#(\w+)">', text.partition("<nav")[2].partition("</nav>")[0]) == parts


def test_hosts_have_a_table_with_what_each_took() -> None:
    """And a link to it."""
    text = html.render(content(files(run(1, **OF_HOSTS))), "1.0")

    assert '<a href="#hosts">Hosts</a>' in text
    row = text.partition('<tr><th scope="row">10.0.0.11</th>')[2].partition("</tr>")[0]
    assert re.findall("<td>([^<]*)</td>", row) == ["4", "62 %", "18 %", "8.00 ms", "50 GiB", "41.0 µs", "0.4 %"]


def test_the_page_of_one_result_is_small_enough_to_send() -> None:
    """Under 6 MB, most of which is plotly.js."""
    assert len(html.render(content(two_setups()[:1]), "1.0").encode()) < 6_000_000


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two results, and two other files as they lie beside results."""
    for number, setup in ((2, "embedded"), (1, "redis-local")):
        (tmp_path / f"{setup}.json").write_text(run(number, setup).dumps())
    (tmp_path / "20260301T120000Z-calibration.json").write_text('{"kind": "calibration"}')
    (tmp_path / "notes.txt").write_text("nothing")
    return tmp_path


def test_files_patterns_and_folders_are_results_once_and_in_the_order_of_time(folder: Path) -> None:
    """Whatever else lies in a folder is passed over."""
    by_folder = [each.source for each in load_all([str(folder)])]

    assert by_folder == ["redis-local.json", "embedded.json"]
    assert [each.source for each in load_all([str(folder), str(folder / "*.json")])] == by_folder
    assert [each.source for each in load_all([str(folder / "emb*")])] == ["embedded.json"]


def test_all_that_is_wrong_with_what_was_named_is_told_at_once(folder: Path) -> None:
    """A file that is named must be a result."""
    empty = folder / "empty"
    empty.mkdir()
    calibration = folder / "20260301T120000Z-calibration.json"

    with pytest.raises(InputError) as caught:
        load_all([str(empty), str(folder / "no-*.json"), str(calibration), str(folder / "gone.json")])

    first, second, third, fourth = caught.value.messages
    assert first == f"{empty}: there is no result in it; give files that `ombdriver run` wrote, or their folder"
    assert "no-*.json: there is no result" in second
    assert "not the result of a run" in third
    assert "gone.json can't be read" in fourth


# -- the verb ----------------------------------------------------------------------------------------------------------


def test_the_verb_writes_a_page_and_says_where(folder: Path) -> None:
    """A file that is there is not replaced."""
    page = folder / "report.html"

    done = CliRunner().invoke(report, [str(folder), "-o", str(page)], catch_exceptions=False)
    again = CliRunner().invoke(report, [str(folder), "-o", str(page)])

    assert (done.exit_code, done.output) == (0, f"{page}\n")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert "is not replaced" in str(again.exception)


def test_markdown_goes_to_standard_output(folder: Path) -> None:
    """To be piped into a comment; in UTF-8 whatever the terminal speaks."""
    done = CliRunner(charset="ascii").invoke(report, [str(folder), "--format", "markdown"], catch_exceptions=False)

    assert done.stdout_bytes.decode("utf-8").startswith(
        "### ombdriver: 2 results: 2 VALID\n\n- ✅ **VALID** redis-local"
    )
