"""What importing the library does to a process."""

import subprocess
import sys

PROGRAM = """
import logging, sys, warnings
before = (logging.getLogger().level, list(logging.getLogger().handlers))
from ombdriver import *
assert (logging.getLogger().level, list(logging.getLogger().handlers)) == before, "the root logger was touched"
logging.getLogger("ombdriver.messaging.group").warning("nobody asked for this")
print(*sorted(set(sys.modules) & {"click", "hdrh", "multiprocessing", "numpy", "pydantic", "rich", "uvloop", "yaml"}))
"""


def test_importing_loads_nothing_of_the_harness_and_leaves_logging_alone() -> None:
    """No foreign package of the harness is loaded, the root logger stays, a warning goes nowhere unasked."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=30
    )

    assert done.stderr == ""
    assert done.stdout.strip() == ""


def test_the_names_are_the_same_in_both_places() -> None:
    """`ombdriver` gives what `ombdriver.messaging` gives."""
    import ombdriver
    import ombdriver.messaging

    assert ombdriver.__all__ == ombdriver.messaging.__all__
    assert all(getattr(ombdriver, name) is getattr(ombdriver.messaging, name) for name in ombdriver.__all__)


def test_the_error_names_of_aio_redis_mq_are_aliases() -> None:
    """Code that was written for aio-redis-mq catches the same classes under the names that it knows."""
    import ombdriver

    assert ombdriver.AioRedisMQException is ombdriver.MessagingError
    assert ombdriver.AioRedisMQValueError is ombdriver.MessagingValueError
    assert ombdriver.AioGroupError is ombdriver.GroupError
    assert ombdriver.AioGroupCreateError is ombdriver.GroupCreateError
