"""The page in a real browser: Debian's Chromium without a network, driven by Playwright.

Skips where there is no Chromium, and fails there when CI is set. Nothing is downloaded: the installed one is used.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sample_faults import sample_faults
from sample_page import LONG, every_kind, files, hostile, run, two_setups
from sample_search import SEARCH

from ombdriver.bench.faults.standard import STANDARD, TAG
from ombdriver.bench.report.page import html
from ombdriver.bench.report.page.comparison import NO_COMPARISON, ComparisonSection, RatioBar
from ombdriver.bench.report.page.content import content
from ombdriver.bench.results.compare.metrics import DECLARED
from ombdriver.bench.results.store import ResultFile
from tests.missing import missing

pytestmark = pytest.mark.timeout(180)

WAIT_MS = 60_000
"""How long the browser may take for one thing, on a machine that has other things to do."""
CURVES, TIME, LOAD = '[data-figure="curves"]', '[data-figure="0"]', '[data-figure="load"]'
LINES = ".scatterlayer .trace .js-line"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests, without a window."""
    program = shutil.which("chromium")
    if program is None:
        missing("no chromium; install it (Debian's package chromium)")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages that are looked at."""
    folder = tmp_path_factory.mktemp("pages")
    bars = ComparisonSection((RatioBar("endToEndResponse.p99", "redis-local", 1.2, 1.1, 1.3, "20 % slower"),))
    long_bars = tuple(
        RatioBar(str(figure), f"{LONG}{at}", 1.2 + at / 10, 1.1, 1.7, "1.2 times, not claimed", at != 2)
        for at in (1, 2)
        for figure in DECLARED
    )
    many = files(*(run(number, f"setup-{number % 4}") for number in range(20)))
    several: dict[str, tuple[list[ResultFile], ComparisonSection]] = {
        "two": (two_setups(), bars),
        "many": (many, NO_COMPARISON),
        "hostile": (hostile(), NO_COMPARISON),
        "search": (files(run(1, search=SEARCH)), NO_COMPARISON),
        "every-kind": (every_kind(), ComparisonSection(long_bars)),
        "chaos": (met_by_faults(), NO_COMPARISON),
    }
    for name, (results, told) in several.items():
        (folder / f"{name}.html").write_text(html.render(content(results, told), "1.0"), encoding="utf-8")
    return folder


def met_by_faults() -> list[ResultFile]:
    """Results of two setups, one with a long name, that have met each standard fault."""
    met = [(setup, fault.name) for fault in STANDARD for setup in ("embedded", LONG)]
    runs = [replace(run(at, setup), faults=sample_faults(), tags={TAG: name}) for at, (setup, name) in enumerate(met)]
    return files(*runs)


class Visit:
    """A page that was opened from its file with the network cut, and what it asked for or complained of."""

    def __init__(self, browser: Browser, path: Path, **how: Any) -> None:
        self.address = path.as_uri()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._context = browser.new_context(offline=True, **({"viewport": {"width": 1280, "height": 900}} | how))
        self._context.set_default_timeout(WAIT_MS)
        self.page: Page = self._context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(self.address)

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def drawn(self, figure: str) -> None:
        """Waits until the figure is drawn, which it is once it comes near the screen."""
        self.page.locator(figure).scroll_into_view_if_needed()
        self.page.wait_for_selector(f"{figure} {LINES}", state="attached")

    def lines(self, figure: str) -> list[str]:
        """The paths of its lines, as drawn."""
        found: list[str] = self.page.eval_on_selector_all(
            f"{figure} {LINES}", "all => all.map(one => one.getAttribute('d'))"
        )
        return found


def test_the_page_opens_without_a_network_and_asks_for_nothing(browser: Browser, pages: Path) -> None:
    """One request, for the file itself; not a word in the console; the policy is broken nowhere."""
    with Visit(browser, pages / "two.html") as visit:
        visit.drawn(CURVES)
        visit.drawn(TIME)
        visit.page.locator('[data-figure="bars"]').scroll_into_view_if_needed()
        visit.page.wait_for_selector('[data-figure="bars"] .errorbars path', state="attached")

        assert visit.requests == [visit.address]
        assert visit.complaints == []


def test_a_browser_that_cannot_unpack_the_plots_says_so(browser: Browser, pages: Path) -> None:
    """In their places, or under what was drawn before; tables and texts are there."""
    with Visit(browser, pages / "two.html") as visit:
        visit.page.add_init_script("delete window.DecompressionStream")
        visit.page.reload()

        for place in (f"{CURVES} .legend", f"{TIME} .plot"):
            expect(visit.page.locator(place)).to_contain_text("one of 2023 or later can", timeout=WAIT_MS)
        assert visit.page.locator(f"{CURVES} .sketch polyline").count() == 2
        assert visit.page.locator("#summary tbody tr").count() == 3


def test_the_first_plots_are_there_before_any_script_has_run(browser: Browser, pages: Path) -> None:
    """As sketches: the curves, and where there are any the bars, the loads and what was swept."""
    for name, figures in {"two": ("bars", "curves"), "search": ("load", "curves"), "every-kind": ("swept",)}.items():
        with Visit(browser, pages / f"{name}.html", java_script_enabled=False) as visit:
            for figure in figures:
                drawn = visit.page.locator(f'[data-figure="{figure}"] .sketch')
                assert drawn.locator("polyline, circle").count() > 0
                assert drawn.locator("text").count() >= 4
            assert visit.complaints == []


def test_a_sketch_makes_room_for_its_plot(browser: Browser, pages: Path) -> None:
    """One of both is there at any time, in a place that keeps its height."""
    height = "one => one.getBoundingClientRect().height"
    with Visit(browser, pages / "two.html", java_script_enabled=False) as visit:
        before = visit.page.locator(f"{CURVES} .plot").evaluate(height)
    with Visit(browser, pages / "two.html") as visit:
        visit.drawn(CURVES)

        assert visit.page.locator(f"{CURVES} .sketch").count() == 0
        assert visit.page.locator(f"{CURVES} .plot").evaluate(height) == before


def test_plots_hold_the_data(browser: Browser, pages: Path) -> None:
    """A line for each setup, for each group when asked, and one for each series over time."""
    with Visit(browser, pages / "two.html") as visit:
        visit.drawn(CURVES)
        by_setup = visit.lines(CURVES)
        visit.page.locator('[data-choose="by"]').select_option("group")
        by_group = visit.lines(CURVES)
        visit.page.locator('[data-choose="family"]').select_option("publish")
        publish = visit.lines(CURVES)
        visit.drawn(TIME)

        assert [len(each) for each in (by_setup, by_group, publish)] == [2, 4, 2]
        assert all(path.count("L") + path.count("C") >= 10 for path in by_setup)
        assert publish != by_setup
        assert visit.page.locator('[data-choose="by"]').is_disabled()
        assert len(visit.lines(TIME)) == 2 + 4 + 4 + 3 + 4 + 2 + 1 + 3


def test_latency_against_load_is_drawn_for_a_run_that_searched(browser: Browser, pages: Path) -> None:
    """Six percentiles, each with the rates that were not sustained apart; there is no other place for such a run's."""
    with Visit(browser, pages / "search.html") as visit:
        visit.drawn(LOAD)

        assert len(visit.lines(LOAD)) == 6
        assert visit.page.locator(f"{LOAD} .legend button").count() == 12 + 1
    with Visit(browser, pages / "two.html") as visit:
        assert visit.page.locator(LOAD).count() == 0


def test_what_setups_lost_by_faults_is_a_table_that_the_head_of_the_page_leads_to(
    browser: Browser, pages: Path
) -> None:
    """A row for each fault on each setup; of other results there is no such table, and no way to it."""
    with Visit(browser, pages / "chaos.html") as visit:
        visit.page.get_by_role("link", name="Faults by setup").click()

        expect(visit.page.locator("#chaos h2")).to_be_in_viewport(timeout=WAIT_MS)
        assert visit.page.locator("#chaos tbody tr").count() == 2 * len(STANDARD)
        assert visit.page.locator("#chaos tbody tr").first.inner_text().split("\t")[1:] == [
            *("restart", "1", "1,204", "17", "2.3", "4.0", "none")
        ]
        assert visit.complaints == []
    with Visit(browser, pages / "two.html") as visit:
        assert visit.page.locator('#chaos, a[href="#chaos"]').count() == 0


def test_a_legend_toggles_its_line_by_mouse_and_by_keyboard(browser: Browser, pages: Path) -> None:
    """The button says which; the line goes and comes back."""
    with Visit(browser, pages / "two.html") as visit:
        visit.drawn(CURVES)
        button = visit.page.locator(f"{CURVES} .legend button").first
        button.click()
        without = len(visit.lines(CURVES))
        off = button.get_attribute("aria-pressed")
        button.focus()
        visit.page.keyboard.press("Space")

        assert (without, off) == (1, "false")
        assert (len(visit.lines(CURVES)), button.get_attribute("aria-pressed")) == (2, "true")


def test_a_latency_may_be_seen_on_a_linear_scale(browser: Browser, pages: Path) -> None:
    """The lines are drawn anew."""
    with Visit(browser, pages / "two.html") as visit:
        visit.drawn(CURVES)
        before = visit.lines(CURVES)
        visit.page.locator('[data-choose="log"]').uncheck()

        assert visit.lines(CURVES) != before
        visit.page.locator(f'{CURVES} [data-act="reset"]').click()
        assert visit.complaints == []


INK = f"getComputedStyle(document.querySelector('{CURVES} .xtick text')).fill"
PAPER = "getComputedStyle(document.body).backgroundColor"


def test_the_page_follows_the_colour_scheme_also_in_its_plots(browser: Browser, pages: Path) -> None:
    """When it is opened, and when it changes meanwhile."""
    with Visit(browser, pages / "two.html", color_scheme="dark") as visit:
        visit.drawn(CURVES)
        dark = [visit.page.evaluate(each) for each in (PAPER, INK)]
        visit.page.emulate_media(color_scheme="light")
        expect(visit.page.locator(f"{CURVES} .xtick text").first).not_to_have_css("fill", dark[1], timeout=WAIT_MS)
        light = [visit.page.evaluate(each) for each in (PAPER, INK)]

    assert dark == ["rgb(15, 19, 24)", "rgb(230, 234, 239)"]
    assert light == ["rgb(255, 255, 255)", "rgb(27, 31, 36)"]


@pytest.mark.parametrize("name", ["two", "many", "hostile", "every-kind", "chaos"])
def test_a_phone_scrolls_in_one_direction_only(browser: Browser, pages: Path, name: str) -> None:
    """390 px wide, everything unfolded; a wide table scrolls in its own box."""
    with Visit(browser, pages / f"{name}.html", **PHONE) as visit:
        visit.drawn(CURVES)
        visit.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        visit.drawn(TIME)

        assert visit.page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [390, 390]


PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
SCREEN = {"viewport": {"width": 1280, "height": 900}}
EVERY_FIGURE = ('[data-figure="bars"]', '[data-figure="swept"]', LOAD, CURVES, TIME)
OUTSIDE = """all => all.filter(one => {
  const own = one.getBoundingClientRect(), of = one.closest('.plot').getBoundingClientRect();
  return own.width && (own.left < of.left - 1 || own.right > of.right + 1 || own.bottom > of.bottom + 1);
}).map(one => one.textContent)"""
"""The texts of plots that reach beyond their plot."""
TOGETHER = """all => all.flatMap((one, at) => {
  const a = one.getBoundingClientRect();
  return all.slice(at + 1).filter(two => {
    const b = two.getBoundingClientRect();
    return a.width && b.width && one.closest('.plot') === two.closest('.plot') && a.left < b.right - 1
      && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2;
  }).map(two => `${one.textContent} | ${two.textContent}`);
})"""
"""Pairs of upright texts of one plot that cover each other."""
CUT = "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent.trim().slice(0, 40))"
"""The elements whose text is wider than they are, so that it stands over what is beside them."""


@pytest.mark.parametrize("how", [SCREEN, PHONE], ids=["screen", "phone"])
def test_long_names_cover_nothing(browser: Browser, pages: Path, how: dict[str, Any]) -> None:
    """Neither in a table, nor in a legend, nor in a plot."""
    with Visit(browser, pages / "every-kind.html", **how) as visit:
        for figure in EVERY_FIGURE:
            visit.drawn(figure) if figure != EVERY_FIGURE[0] else visit.page.locator(
                figure
            ).scroll_into_view_if_needed()
        visit.page.wait_for_selector(f"{EVERY_FIGURE[0]} .errorbars path", state="attached")
        texts = ".plot .ytick text, .plot .xtick text, .plot .g-ytitle text, .plot .g-xtitle text"

        assert visit.page.eval_on_selector_all("th, td, caption, .legend button, summary, h1, h3", CUT) == []
        assert visit.page.eval_on_selector_all(texts, OUTSIDE) == []
        assert visit.page.eval_on_selector_all(".plot .ytick text, .plot .g-xtitle text", TOGETHER) == []


def test_what_is_not_valid_is_marked_in_every_table_and_drawn_hollow_in_every_plot(
    browser: Browser, pages: Path
) -> None:
    """Each table has a column of verdicts, or a mark at the figure; over time the verdict stands above."""
    with Visit(browser, pages / "every-kind.html") as visit:
        for figure in EVERY_FIGURE[1:]:
            visit.drawn(figure)
        page = visit.page

        assert page.locator("#summary tbody tr:has(.hollow)").count() == 15 - 5 - 1
        assert page.locator("#sweep table").first.locator("tbody tr:has(.hollow)").count() == 9
        assert page.locator("#sweep .matrix .hollow").count() > 0
        assert page.locator("#summary th", has_text="verdict").count() == 1
        assert page.locator("#sweep th", has_text="verdict").count() == 1
        assert (
            page.locator("#time details .badge").all_inner_texts() == page.locator("#verdicts .badge").all_inner_texts()
        )
        fills = "all => [...new Set(all.map(one => getComputedStyle(one).fill === 'none'))]"
        assert page.eval_on_selector_all("#percentiles .trace:nth-of-type(3) path.point", fills) == [True]
        page.locator("#time details").nth(6).locator("summary").click()
        visit.drawn('[data-figure="6"]')
        assert page.eval_on_selector_all('[data-figure="6"] path.point', fills) == [True]
        assert page.locator('[data-figure="0"] path.point').count() == 0  # the first run is VALID
        assert set(page.eval_on_selector_all('[data-figure="swept"] path.point', fills)) == {True, False}


def test_a_table_that_is_wider_than_a_phone_says_so_until_its_end_is_seen(browser: Browser, pages: Path) -> None:
    """On a screen where it fits it says nothing."""
    said = "one => getComputedStyle(one, '::after').display !== 'none'"
    with Visit(browser, pages / "two.html", **PHONE) as visit:
        table = visit.page.locator("#summary .scroll")
        expect(table).to_have_attribute("data-more", "", timeout=WAIT_MS)
        assert table.evaluate(said)
        table.evaluate("one => { one.scrollLeft = one.scrollWidth }")
        expect(table).not_to_have_attribute("data-more", "", timeout=WAIT_MS)
        assert not table.evaluate(said)
    with Visit(browser, pages / "two.html", **SCREEN) as visit:
        visit.drawn(CURVES)
        assert not visit.page.locator("#summary .scroll").evaluate(said)


REACHED = "(one => one.dataset.choose || one.dataset.act || one.className || one.textContent.trim())"


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("two", 1280, "dark"),
        ("search", 390, "dark"),
        ("every-kind", 1280, "light"),
        ("chaos", 390, "light"),
    ],
)
def test_a_page_has_nothing_that_axe_finds_wrong(
    browser: Browser, pages: Path, name: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    """By the rules of WCAG 2 and of good practice that a program can look for, with all plots drawn and texts open."""
    with Visit(browser, pages / f"{name}.html", color_scheme=scheme, viewport={"width": width, "height": 900}) as visit:
        visit.page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
        for figure in visit.page.locator("[data-figure]").all():
            figure.scroll_into_view_if_needed()
            figure.locator(".main-svg").first.wait_for()
        found = Axe().run(visit.page)

        assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found.response["violations"]] == []


def test_the_keyboard_reaches_every_control_in_the_order_of_the_page(browser: Browser, pages: Path) -> None:
    """From the link that skips to the table, to the buttons of a legend; what is reached is seen to be."""
    with Visit(browser, pages / "two.html") as visit:
        visit.drawn(CURVES)
        visit.page.evaluate("scrollTo(0, 0)")
        order = []
        for _ in range(40):
            visit.page.keyboard.press("Tab")
            order.append(visit.page.evaluate(f"{REACHED}(document.activeElement)"))
            if order[-1] == "redis-local" and "family" in order:  # the bars above have a legend too
                break
        outline = visit.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")

    wanted = ["skip", "Verdicts", "What ran", "scroll", "family", "by", "log", "reset", "embedded", "redis-local"]
    positions = [len(order) - 1 - order[::-1].index(each) for each in wanted]
    assert positions == sorted(positions)
    assert outline == "solid"


def test_of_many_results_only_what_is_looked_at_is_drawn(browser: Browser, pages: Path) -> None:
    """That is why a page of twenty opens as fast as one; the others come when they are unfolded."""
    with Visit(browser, pages / "many.html") as visit:
        visit.drawn(CURVES)
        visit.drawn(TIME)
        at_first = visit.page.locator("details.run .main-svg").count()
        visit.page.locator("details.run").nth(7).locator("summary").click()
        visit.drawn('[data-figure="7"]')

        assert visit.page.locator("details.run").count() == 20
        assert 0 < at_first < visit.page.locator("details.run .main-svg").count()


def test_on_paper_everything_is_unfolded_and_drawn_in_ink(browser: Browser, pages: Path) -> None:
    """Also of a dark page; afterwards it is as it was."""
    with Visit(browser, pages / "two.html", color_scheme="dark") as visit:
        visit.drawn(CURVES)
        visit.page.emulate_media(media="print")
        visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        plots = visit.page.locator(".plot .main-svg:first-child").count()
        printed = [visit.page.evaluate(each) for each in (PAPER, INK)]
        folded = visit.page.locator("details.run:not([open])").count()
        visit.page.emulate_media(media="screen")
        visit.page.evaluate("dispatchEvent(new Event('afterprint'))")

        assert (plots, folded) == (5, 0)
        assert printed == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        assert visit.page.locator("details.run:not([open])").count() == 2
        assert visit.page.evaluate(PAPER) == "rgb(15, 19, 24)"


def test_twenty_results_are_printed_on_few_sheets(browser: Browser, pages: Path) -> None:
    """With all of their plots: small ones, four on a sheet."""
    with Visit(browser, pages / "many.html") as visit:
        visit.drawn(CURVES)
        printed = visit.page.pdf(format="A4")

    assert len(re.findall(rb"/Type /Page\b", printed)) <= 12


def test_a_hostile_result_is_shown_and_does_nothing(browser: Browser, pages: Path) -> None:
    """Neither in the text nor in a plot, its legend or what hovers over it."""
    with Visit(browser, pages / "hostile.html") as visit:
        visit.drawn(CURVES)
        visit.page.locator('[data-choose="by"]').select_option("group")
        visit.drawn(TIME)
        for figure in (CURVES, TIME):
            visit.page.locator(figure).locator(".plot").hover(position={"x": 600, "y": 80})

        assert visit.page.evaluate("window.hacked") is None
        assert visit.page.locator("img, .plot a").count() == 0
        assert "<script>window.hacked" in visit.page.locator("h1").inner_text()
        assert visit.requests == [visit.address]
        assert visit.complaints == []
