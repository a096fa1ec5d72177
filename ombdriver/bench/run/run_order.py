"""The order of the runs of one command, and where each of them stands. Pure.

Setups take turns in blocks, each of which holds every setup once, so that what changes slowly on a machine (its heat,
its neighbours, its disk) meets all of them alike. Blocks are what a comparison is made within. What a run leaves behind
(dirty pages, heat) meets the next one, so the order is balanced: each setup follows each, itself too, about equally
often, and stands at each place of a block about equally often. For two setups that is ABBA ABBA.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from ombdriver.bench.results.result import Standing

MOST_REPEATS = 1000
ORDER = "balanced"
"""What results call this order; see `Standing.order`."""


def block_orders(setups: int) -> Iterator[list[int]]:
    """The setups, counted from 0, in the order of each block, without end; the first block begins with the first.

    A block begins with the setup that ended the block before it, which is how a setup comes to follow itself. At each
    further place stands the setup that has followed the one before it least often; how often it stood at this place
    counts half of that.
    """
    follows: Counter[tuple[int, int]] = Counter()
    places: Counter[tuple[int, int]] = Counter()
    last = 0
    while True:
        block = [last]
        for place in range(1, setups):
            left = [setup for setup in range(setups) if setup not in block]
            last = min(left, key=lambda setup: 2 * follows[block[-1], setup] + places[place, setup])
            follows[block[-1], last] += 1
            places[place, last] += 1
            block.append(last)
        yield block


def ordered(series_id: str, setups: Sequence[int], repeats: int) -> Iterator[tuple[int, int, Standing]]:
    """The runs of a command in their order: which workload, which setup (both from 0), and where the run stands.

    Args:
        series_id: of the command.
        setups: how many each workload meets; each workload has all of its runs before the next one begins.
        repeats: how often each workload meets each setup.
    """
    runs = sum(setups) * repeats
    number = 0
    for workload, count in enumerate(setups):
        for block, order in zip(range(1, repeats + 1), block_orders(count), strict=False):
            for position, setup in enumerate(order, start=1):
                number += 1
                yield workload, setup, Standing(series_id, number, runs, block, position, repeats, ORDER)
