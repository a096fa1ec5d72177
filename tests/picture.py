"""Takes a picture of the comparison on a page of `ombdriver report`: `python -m tests.picture PAGE PNG`."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH = 1000


def take(page_file: Path, picture: Path) -> None:
    """Draws the page in Chromium, and keeps its section of bars as a PNG."""
    program = shutil.which("chromium")
    assert program is not None, "chromium is missing (Debian's package chromium)"
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program) as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(page_file.resolve().as_uri())
        page.locator("#comparison .plot").scroll_into_view_if_needed()  # plots are drawn when they are looked at
        page.locator("#comparison .plot .main-svg").first.wait_for()
        page.locator("#comparison").screenshot(path=picture)


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
