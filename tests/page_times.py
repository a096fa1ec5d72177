"""How fast pages of `ombdriver report` are there, in Chromium: `python -m tests.page_times PAGE...`.

Tells of each page its size, and the median of some visits of when there was text, the first plot (drawn beforehand, as
a sketch), and the first one by plotly.js; in ms from the beginning of the visit.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

VISITS = 5
PATIENCE_MS = 120_000
WATCH = """
window.seen = {};
const look = () => {
  for (const [name, what] of [["sketch", ".sketch polyline, .sketch circle"], ["plot", ".main-svg .trace path"]]) {
    if (!(name in window.seen) && document.querySelector(what)) window.seen[name] = performance.now();
  }
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
"""Once a frame: what is there when a frame begins is on the screen at its end."""
TEXT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


def visit(browser: Browser, path: Path) -> tuple[float, float, float]:
    """When there was text, a sketch, and a plot."""
    page = browser.new_page(viewport={"width": 1280, "height": 2400})  # so high that nothing has to be scrolled
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(WATCH)
    page.goto(path.resolve().as_uri())
    page.wait_for_selector(".main-svg .trace path", state="attached")
    page.evaluate("new Promise(then => requestAnimationFrame(() => requestAnimationFrame(then)))")
    seen = page.evaluate("window.seen")
    text = float(page.evaluate(TEXT))
    page.close()
    return text, max(text, float(seen["sketch"])), float(seen["plot"])  # nothing is seen before the first paint


def main(arguments: Sequence[str] | None = None) -> None:
    """Visits the pages, and tells a line of each."""
    parser = argparse.ArgumentParser(prog="python -m tests.page_times", description=__doc__, allow_abbrev=False)
    parser.add_argument("pages", type=Path, nargs="+", metavar="PAGE", help="a page of ombdriver report")
    options = parser.parse_args(arguments)
    program = shutil.which("chromium")
    if program is None:
        sys.exit("chromium is missing (Debian's package chromium)")
    sys.stdout.write("page                                   MB  text ms  first plot ms  by plotly.js ms\n")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program) as browser:
        for path in options.pages:
            times = zip(*(visit(browser, path) for _ in range(VISITS)), strict=True)
            text, sketch, plot = (median(each) for each in times)
            size = path.stat().st_size / 1e6
            sys.stdout.write(f"{path.name:36} {size:5.2f} {text:8.0f} {sketch:14.0f} {plot:16.0f}\n")


if __name__ == "__main__":
    main()
