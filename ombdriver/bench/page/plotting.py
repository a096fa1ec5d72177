"""The program that draws the plots in the browser: plotly.js, as it comes in the wheel. The only importer of plotly."""

from pathlib import Path

import plotly

from ombdriver.errors import RunError


def source() -> str:
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
