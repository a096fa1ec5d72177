"""The pages on web apps, idempotent handlers and tuning: examples run as they are printed, and options are options."""

import re

import pytest
from printed import LIBRARY, examples_of, output_of

from ombdriver.messaging.topics.consumer.config import ConsumerOptions
from ombdriver.messaging.topics.producer.config import ProducerOptions
from ombdriver.messaging.topics.runner.config import RunnerOptions


@pytest.mark.parametrize("page", ["web", "idempotent"])
def test_the_example_of_a_page_runs(server_url: str, page: str) -> None:
    """On an empty server; it holds by itself what it says."""
    (text,) = examples_of(LIBRARY / f"{page}.md")
    output_of(text, server=server_url)


@pytest.mark.parametrize("page", ["web", "idempotent", "tuning"])
def test_every_option_that_a_page_names_is_one(page: str) -> None:
    """Of a producer, a consumer or a runner."""
    known = {name for kind in (ConsumerOptions, ProducerOptions, RunnerOptions) for name in kind.__annotations__}
    text = (LIBRARY / f"{page}.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+_(?:ms|s|bytes|messages)|prefetch|concurrency|on_unknown)\b", text))

    assert named
    assert named <= known
