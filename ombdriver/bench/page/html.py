"""Content -> one HTML file that needs nothing else. The only importer of jinja2.

Results are not trusted: jinja2 escapes all that comes from them, data for the plots is JSON in which no tag can end,
and a content security policy lets only the page's own two scripts run (by their hashes), and nothing be fetched.
"""

import base64
import hashlib

import jinja2

from ombdriver.bench.page import plotting
from ombdriver.bench.page.content import LATENCIES, Content
from ombdriver.bench.page.summary import COLUMNS
from ombdriver.bench.page.swept import FIGURES
from ombdriver.bench.report import units
from ombdriver.bench.report.drain_words import COLUMNS as DRAIN_COLUMNS

_MARKS = {"VALID": "✓", "LOSS": "✕", "INVALID": "✕", "PARTIAL": "◐", "OVERLOADED": "▲", "UNSTEADY": "≈"}
_TONES = {"VALID": "good", "LOSS": "bad", "INVALID": "bad"}
_FOLDED_FROM = 4
"""Of so many results the reasons are folded away at first, so that all verdicts are on the first screen."""


def render(content: Content, version: str) -> str:
    """The text of the file.

    Args:
        content: what it shows.
        version: of ombdriver, for the foot.

    Raises:
        RunError: if plotly.js is missing.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ombdriver.bench.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The template takes these as they are; nothing of a result is in them.
    style, own, library = _file(environment, "page.css"), _file(environment, "page.js"), plotting.source()
    figures = {
        "curves": content.curves,
        "runs": [section.figure for section in content.sections],
        "bars": content.bar_figure,
        "load": content.load_figure,
        "swept": content.swept_figure,
    }
    return environment.get_template("page.html").render(
        content=content,
        columns=COLUMNS,
        swept_columns=list(FIGURES),
        drain_columns=DRAIN_COLUMNS,
        latencies={family: LATENCIES[family] for family in content.curves},
        figures=figures,
        marks=_MARKS,
        tones=_TONES,
        folded=len(content.verdicts) >= _FOLDED_FROM,
        version=version,
        rate=units.rate,
        ms=units.latency,
        style=style,
        library=library,
        own=own,
        hashes=" ".join(map(_hash, (library, own))),
    )


def _file(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _hash(script: str) -> str:
    """As a content security policy names a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
