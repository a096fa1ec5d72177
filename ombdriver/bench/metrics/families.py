"""The latency families: from when to when each is, and what it is called. Pure; knows no sample.

Who adds one adds a row here and has its samples recorded; outputs, thresholds, comparisons and documents follow.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of latency.

    Attributes:
        name: as in results and thresholds.
        begins: the moment that it counts from.
        ends: the moment that it counts to.
        counted: how often a message counts, as docs/result.md has it.
        title: what a page calls it.
        of_groups: whether it is measured for each consumer group, too.
    """

    name: str
    begins: Literal["intended time", "actual send"]
    ends: Literal["actual send", "acknowledgement", "arrival"]
    counted: str
    title: str
    of_groups: bool = False


TABLE = (
    Family(
        "publish",
        "actual send",
        "acknowledgement",
        "once per acknowledged message",
        "Publish service (from the actual send)",
    ),
    Family(
        "publishDelay",
        "intended time",
        "actual send",
        "once per acknowledged message",
        "Publish delay (intended until actual send)",
    ),
    Family(
        "endToEnd",
        "actual send",
        "arrival",
        "once per message and group; a message that was published again counts again, an entry that came again does"
        " not",
        "End-to-end service (from the actual send)",
        of_groups=True,
    ),
    Family(
        "publishResponse",
        "intended time",
        "acknowledgement",
        "as `publish`, and what met an error, was never sent or had no reply",
        "Publish response (from the intended send)",
    ),
    Family(
        "endToEndResponse",
        "intended time",
        "arrival",
        "as `endToEnd`, and what was due and did not arrive",
        "End-to-end response (from the intended send)",
        of_groups=True,
    ),
)
"""In the order of results."""
