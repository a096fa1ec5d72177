"""What options of the command line take, beside text and numbers. Part of `cli`."""

from collections.abc import Sequence
from typing import Any

import click


class Duration(click.ParamType[int]):
    """`10s`, `5m`, `1h`: nanoseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType.convert`."""
        from ombdriver.bench.text import parse_duration

        if not isinstance(value, str):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def tags(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """What `--tag` gave: `KEY=VALUE` as often as it was given."""
    found = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
        found[key] = text
    return found
