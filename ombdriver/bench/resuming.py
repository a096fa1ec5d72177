"""What a command has left to do: its runs without those that the folder of results has already."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ombdriver.bench.gathering import results_in
from ombdriver.bench.request import Request
from ombdriver.bench.result import Result
from ombdriver.bench.result_versions import content_sha256

Key = tuple[str, str, int]
"""(hash of the workload, hash of the setup, number of the repeat)."""


def left_to_run(requests: Sequence[Request], folder: Path) -> list[Request]:
    """`requests` without those of which `folder` has a whole result, whatever its verdict.

    A run is known by its workload, its setup and the number of its repeat. What is left goes on in the series of the
    results that are there, so that a comparison pairs them within their blocks.

    Raises:
        InputError: if a result in the folder can't be read.
    """
    done = _done(folder)
    ours = {_key_of(one): one for one in requests}
    series = [result.standing.series for key, result in done.items() if key in ours and result.standing is not None]
    left = [one for key, one in ours.items() if key not in done]
    if not series:
        return left
    return [replace(one, standing=replace(one.standing, series=series[-1])) for one in left if one.standing is not None]


def _done(folder: Path) -> dict[Key, Result]:
    return {
        (result.workload_sha256, result.setup_sha256, result.standing.block): result
        for result in (each.result for each in results_in(folder))
        if result.standing is not None and not result.partial
    }


def _key_of(request: Request) -> Key:
    assert request.standing is not None
    setup = json.loads(json.dumps(request.setup.spec()))  # as a result has it
    return request.workload.sha256, content_sha256(setup), request.standing.block
