"""Entry ids as numbers and as text. Pure."""

Parts = tuple[int, int]
"""An entry id: milliseconds and sequence."""


def parts_of(entry_id: bytes) -> Parts:
    """An id as numbers."""
    ms, _, sequence = entry_id.partition(b"-")
    return int(ms), int(sequence or 0)


def text_of(parts: Parts) -> bytes:
    """An id as the server writes it."""
    return b"%d-%d" % parts
