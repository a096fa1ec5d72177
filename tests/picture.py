"""Takes a picture of a section of a page of `ombdriver report`: `python -m tests.picture PAGE SECTION PNG`."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH = 1000


def take(page_file: Path, section: str, picture: Path) -> None:
    """Draws the page in Chromium, and keeps the section of that id (comparison, load, sweep) as a PNG."""
    program = shutil.which("chromium")
    assert program is not None, "chromium is missing (Debian's package chromium)"
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program) as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(page_file.resolve().as_uri())
        page.locator(f"#{section} .plot").scroll_into_view_if_needed()  # plots are drawn when they are looked at
        page.locator(f"#{section} .plot .main-svg").first.wait_for()
        page.locator(f"#{section}").screenshot(path=picture)


if __name__ == "__main__":
    take(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
