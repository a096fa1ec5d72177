"""Free text of results without passwords in URLs. Pure.

Results hold none; but what is shown to others is looked at once more, since a caveat or a tag may come from anywhere.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from ombdriver.bench.result import Result
from ombdriver.secrets import redact_text

Data = TypeVar("Data")

_NUMBERS = frozenset({"histograms", "rates", "series", "aggregated", "quantiles"})
"""Attributes of a result without free text; among them its largest."""


def redacted(result: Result) -> Result:
    """The same result, every text and every key in it without the login of a URL."""
    return replace(
        result,
        **{
            each.name: without_logins(getattr(result, each.name))
            for each in fields(result)
            if each.name not in _NUMBERS
        },
    )


def without_logins(value: Data) -> Data:
    """`value` with the login hidden in every URL of every text in it, however deep."""
    hidden: Any = value
    if isinstance(value, str):
        hidden = redact_text(value)
    elif isinstance(value, Mapping):
        hidden = {without_logins(key): without_logins(one) for key, one in value.items()}
    elif isinstance(value, list):
        hidden = [without_logins(one) for one in value]
    elif isinstance(value, tuple):
        hidden = tuple(without_logins(one) for one in value)
    elif is_dataclass(value) and not isinstance(value, type):
        hidden = replace(value, **{each.name: without_logins(getattr(value, each.name)) for each in fields(value)})
    done: Data = hidden
    return done
