"""The order of the runs of one command, and where each of them stands. Pure.

Setups take turns, so that what changes slowly on a machine (its heat, its neighbours, its disk) meets all of them
alike: a block holds every setup once, and each block begins with the setup after the one that began the block before.
For two setups that is ABBA ABBA. Blocks are what a comparison is made within.
"""

from collections.abc import Iterator, Sequence

from ombdriver.bench.results.result import Standing

MOST_REPEATS = 1000


def block_order(setups: int, block: int) -> list[int]:
    """The setups, counted from 0, in the order of a block, counted from 1: the first block begins with the first."""
    return [(block - 1 + position) % setups for position in range(setups)]


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
        for block in range(1, repeats + 1):
            for position, setup in enumerate(block_order(count, block), start=1):
                number += 1
                yield workload, setup, Standing(series_id, number, runs, block, position, repeats)
