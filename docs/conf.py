"""How `make docs` makes a site of the pages: Sphinx, with the top of the repository as its folder of sources.

So a link in a page leads to the same file on the site, in an editor and where the repository is shown.
What the navigation holds is read from the lists of links in `docs/index.md` and the other pages of `DOORS`.
"""

import re
from pathlib import PurePosixPath

from sphinx.application import Sphinx

project = "ombdriver"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = ["build", "dist", ".*", "results"]
html_theme = "furo"
html_title = "ombdriver"
html_additional_pages = {"index": "to_index.html"}
templates_path = ["site"]
html_show_copyright = False
html_copy_source = False
highlight_language = "text"
myst_heading_anchors = 4

# The library's docstrings: single backticks are code, and types stand in the signature alone.
default_role = "code"
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False
toc_object_entries = False

DOORS = ("docs/index", "docs/library/README")


def add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Appends a table of contents to a page of `DOORS`: one for each section that has links to pages.

    Decisions stand in the table of their own page, which a test holds, and not in the navigation of every page.
    """
    if page.startswith("docs/decisions/0"):
        source[0] = f"---\norphan: true\n---\n{source[0]}"
    if page not in DOORS:
        return
    sections = re.split(r"^## (.*)$", source[0], flags=re.MULTILINE)
    for title, text in zip(["", *sections[1::2]], sections[::2], strict=True):
        pages = [link.removesuffix(".md") for link in re.findall(r"^(?:- |\|).*?\]\(([\w./-]+\.md)\)", text, re.M)]
        if page != "docs/index":
            pages = [each for each in pages if PurePosixPath(each).parent == PurePosixPath()]
        if pages:
            caption = f":caption: {title}\n" if title else ""
            source[0] += "\n```{toctree}\n:hidden:\n" + caption + "\n" + "\n".join(pages) + "\n```\n"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_navigation)
