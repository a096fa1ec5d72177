"""Fixtures for the tests of programs that use the library; pytest finds them once ombdriver is installed.

pytest loads this in every run, so it loads nothing itself: what a fixture needs is imported when a test asks for it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ombdriver.testing import LocalServer

_ENGINE = "ombdriver_engine"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The setting `ombdriver_engine` of pytest's configuration."""
    parser.addini(_ENGINE, "the server of the fixture ombdriver_server: valkey, redis, or a path", default="valkey")


@pytest.fixture(scope="session")
def ombdriver_server(pytestconfig: pytest.Config) -> "Iterator[LocalServer]":
    """A private server for the whole session (of each worker, with pytest-xdist): an `ombdriver.testing.LocalServer`.

    It is not emptied between tests; `ombdriver_url` is.
    """
    from ombdriver.testing import private_server

    with private_server(pytestconfig.getini(_ENGINE)) as server:
        yield server


@pytest.fixture
def ombdriver_url(ombdriver_server: "LocalServer") -> str:
    """The URL of the private server, emptied before the test."""
    ombdriver_server.empty()
    return ombdriver_server.url
