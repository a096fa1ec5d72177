"""How series are told apart: by colour, and for who sees no colours by dash and marker too. Pure.

The colours are those of Okabe and Ito, which people with any kind of colour blindness can tell apart; without their
yellow, which can't be seen on white. The last is the colour of the page's text, which the page puts in its place.
"""

from dataclasses import dataclass

INK = "#000000"
"""Stands for the colour of the text, whatever that is: black on white, white on black."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down")


@dataclass(frozen=True, slots=True)
class Style:
    """Of one series, in plotly's words; `symbol` is None for a line without markers."""

    colour: str
    dash: str
    symbol: str | None = None


def style(number: int, within: int | None = None) -> Style:
    """The style of a thing by its number, from 0; seven colours with six dashes make 42 that differ.

    Args:
        number: of the thing: it decides colour and dash.
        within: of its part, when it has parts: it decides the marker.
    """
    symbol = None if within is None else SYMBOLS[within % len(SYMBOLS)]
    return Style(COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)], symbol)
