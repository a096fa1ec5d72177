"""What a run waits for while it is built up is shown, once that takes longer than a moment."""

import asyncio
from types import TracebackType
from typing import Self

import pytest

from ombdriver.bench.report.progress import Progress
from ombdriver.bench.run import build_up
from ombdriver.bench.run.build_up import BuildUp


class Display:
    """Keeps what it is to show."""

    def __init__(self) -> None:
        self.shown: asyncio.Queue[Progress] = asyncio.Queue()

    def update(self, progress: Progress) -> None:
        """See `LiveView`."""
        self.shown.put_nowait(progress)

    def end(self) -> None:
        """See `LiveView`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


async def test_a_part_that_takes_long_is_shown_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the time that it has taken so far; the next part has a time of its own."""
    monkeypatch.setattr(build_up, "WAITING_EVERY_S", 0.001)
    display = Display()

    with BuildUp(display, patience_s=0) as parts:
        parts.waits("until the server has answered")
        first, second = await display.shown.get(), await display.shown.get()
        parts.waits("until the workers are connected")
        third = await display.shown.get()

    assert [each.phase for each in (first, second, third)] == ["create"] * 3
    assert first.message == second.message == "until the server has answered"
    assert third.message == "until the workers are connected"
    assert first.elapsed_s < second.elapsed_s
    assert third.elapsed_s < second.elapsed_s
    assert display.shown.empty()


async def test_a_part_that_is_quick_is_not_shown() -> None:
    """Nor is anything once the build-up is over."""
    display = Display()

    with BuildUp(display, patience_s=0) as parts:
        parts.waits("until the server has answered")

    await asyncio.sleep(0)
    assert display.shown.empty()
