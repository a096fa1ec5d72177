"""What to do where a machine lacks a program or a package that a test takes: skip, and fail with CI set.

`.ci/run` installs all of them, so a test that skips there would never be run at all. What a machine *is* (another
system, one processor, no root) is no such lack: those tests use pytest's own marks.
"""

import os
from typing import NoReturn

import pytest


def missing(lack: str) -> NoReturn:
    """Ends the test: skipped, or failed with CI set.

    Args:
        lack: what is missing, and how to get it.
    """
    if os.environ.get("CI"):
        pytest.fail(f"CI is set, and there everything is installed that a test takes; here is {lack}", pytrace=False)
    pytest.skip(lack)
