"""The examples of docs/library/publish.md run as they are printed, but for the address of the server."""

import pytest
from printed import LIBRARY, examples_of, run

EXAMPLES = examples_of(LIBRARY / "publish.md")


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
async def test_an_example_runs(server_url: str, number: int) -> None:
    """On an empty server; each holds by itself what it says."""
    await run(EXAMPLES[number], server=server_url)


def test_there_are_examples() -> None:
    """The page has not been emptied."""
    assert len(EXAMPLES) == 6
