"""Content -> one HTML file that needs nothing else. The only importer of jinja2.

Results are not trusted: jinja2 escapes all that comes from them, data for the plots is JSON in which no tag can end,
and a content security policy lets only the page's own two scripts run (by their hashes), and nothing be fetched.
The plots are drawn in the browser by plotly.js, as it comes in the wheel of plotly, which is imported here alone.
"""

import base64
import functools
import gzip
import hashlib
from importlib.metadata import distribution
from pathlib import Path

import jinja2
import plotly

from ombdriver.bench.report import host_words, units
from ombdriver.bench.report.backlog import COLUMNS as BACKLOG_COLUMNS
from ombdriver.bench.report.chaos import HEAD as CHAOS_COLUMNS
from ombdriver.bench.report.chaos import ORDER as CHAOS_ORDER
from ombdriver.bench.report.fault_words import COLUMNS as FAULT_COLUMNS
from ombdriver.bench.report.marks import HOLLOW
from ombdriver.bench.report.page.content import LATENCIES, Content
from ombdriver.bench.report.page.sketch import WIDTH, Sketch, sketch
from ombdriver.bench.report.page.summary import COLUMNS
from ombdriver.bench.report.page.sweep import FIGURES
from ombdriver.errors import RunError


def plotly_js() -> str:
    """The text of plotly.js, some 4.8 MB; reading the file is all that is needed of the package.

    Raises:
        RunError: if the installed plotly does not have it.
    """
    path = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        version = plotly.__version__
        raise RunError(f"plotly {version} came without plotly.min.js; install another: pip install plotly") from error


@functools.cache
def packed_plotly_js() -> tuple[str, int]:
    """plotly.js as a page holds it, a third as long: gzip in base 85, whose `<` is a dot, so that no tag is in it.

    Returns:
        the text, and the number of bytes that it stands for; what follows these is padding.

    Raises:
        RunError: see `plotly_js`.
    """
    data = gzip.compress(plotly_js().encode(), 9, mtime=0)
    return base64.b85encode(data, pad=True).decode().replace("<", "."), len(data)


@functools.cache
def plotly_licence() -> str:
    """The licence of plotly.js, as it comes in the wheel of plotly; empty if that came without it."""
    found = [path for path in distribution("plotly").files or () if path.name.startswith("LICENSE")]
    return found[0].read_text(encoding="utf-8") if found else ""


_MARKS = {
    "VALID": "✓",
    "LOSS": "✕",
    "CORRUPT": "✕",
    "INVALID": "✕",
    "PARTIAL": "◐",
    "OVERLOADED": "▲",
    "UNSTEADY": "≈",
}
_TONES = {"VALID": "good", "LOSS": "bad", "CORRUPT": "bad", "INVALID": "bad"}
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
        loader=jinja2.PackageLoader("ombdriver.bench.report.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The template takes these as they are; nothing of a result is in them.
    style, own, library = _file(environment, "page.css"), _file(environment, "page.js"), plotly_js()
    packed, packed_bytes = packed_plotly_js()
    figures = {
        "curves": content.curves,
        "runs": [section.plot for section in content.sections],
        "bars": content.bar_plot,
        "load": content.load_plot,
        "swept": content.sweep_plot,
    }
    return environment.get_template("page.html").render(
        content=content,
        columns=COLUMNS,
        sweep_columns=list(FIGURES),
        backlog_columns=BACKLOG_COLUMNS,
        chaos_columns=CHAOS_COLUMNS,
        chaos_order=CHAOS_ORDER,
        fault_columns=FAULT_COLUMNS,
        host_columns=host_words.COLUMNS,
        hosts_explained=host_words.EXPLAINED,
        latencies={family: LATENCIES[family] for family in content.curves},
        figures=figures,
        sketches=_sketches(content),
        sketch_width=WIDTH,
        marks=_MARKS,
        tones=_TONES,
        hollow=HOLLOW,
        folded=len(content.verdicts) >= _FOLDED_FROM,
        version=version,
        rate=units.rate,
        style=style,
        library=packed,
        library_bytes=packed_bytes,
        licence=plotly_licence(),
        own=own,
        hashes=" ".join(map(_hash, (library, own))),
    )


def _sketches(content: Content) -> dict[str, Sketch | None]:
    """Of the figures that are seen at once, as their controls stand at first: there before plotly.js is."""
    first = next(iter(content.curves.values()), {})
    plots = {
        "curves": first.get("setup"),
        "bars": content.bar_plot,
        "load": content.load_plot,
        "swept": content.sweep_plot,
    }
    return {name: sketch(plot) for name, plot in plots.items()}


def _file(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _hash(script: str) -> str:
    """As a content security policy names a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
