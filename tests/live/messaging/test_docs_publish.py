"""The examples of docs/library/publish.md run as they are printed, but for the address of the server."""

import pytest
from printed import LIBRARY, examples_of, output_of

EXAMPLES = examples_of(LIBRARY / "publish.md")


@pytest.mark.timeout(240)
def test_the_examples_run_in_their_order(server_url: str) -> None:
    """On one server, which is empty at first; each holds by itself what it says."""
    for text in EXAMPLES:
        output_of(text, server=server_url)


def test_there_are_examples() -> None:
    """The page has not been emptied."""
    assert len(EXAMPLES) == 6
