"""Entry ids as numbers and as text: the one place where they are compared. Pure.

As text, `1-10` is below `1-2`: entries of one millisecond are put in order by numbers alone.
"""

IdParts = tuple[int, int]
"""An entry id: milliseconds and sequence."""


def parse_id(entry_id: bytes) -> IdParts:
    """An id as numbers."""
    ms, _, sequence = entry_id.partition(b"-")
    return int(ms), int(sequence or 0)


def format_id(parts: IdParts) -> bytes:
    """An id as the server writes it."""
    return b"%d-%d" % parts


def is_after(one: bytes, other: bytes) -> bool:
    """Whether entry `one` comes after `other`; ids of one shape, as they nearly always are, compare as text."""
    if len(one) == len(other) and one.find(b"-") == other.find(b"-"):
        return one > other
    return parse_id(one) > parse_id(other)
