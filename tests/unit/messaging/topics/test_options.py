"""Options of producers, consumers and runners: what type checkers see is what is documented, checked and used."""

from typing import Any, get_type_hints

import pytest

from ombdriver.messaging.topics.consumer.config import ConsumerOptions, ConsumerSettings
from ombdriver.messaging.topics.producer.config import ProducerOptions, ProducerSettings
from ombdriver.messaging.topics.runner.config import RunnerOptions, RunnerSettings


@pytest.mark.parametrize(
    ("options", "settings"),
    [(ProducerOptions, ProducerSettings), (ConsumerOptions, ConsumerSettings), (RunnerOptions, RunnerSettings)],
)
def test_options_and_settings_have_the_same_names_and_types(options: Any, settings: Any) -> None:
    """A TypedDict for signatures and a dataclass for use can't be one declaration, so they are held together here."""
    assert get_type_hints(options) == {name: get_type_hints(settings)[name] for name in settings.__dataclass_fields__}


@pytest.mark.parametrize("settings", [ProducerSettings, ConsumerSettings, RunnerSettings])
def test_every_option_is_documented(settings: Any) -> None:
    """In the docstring of its settings, by name."""
    assert [name for name in settings.__dataclass_fields__ if f"\n        {name}: " not in settings.__doc__] == []
