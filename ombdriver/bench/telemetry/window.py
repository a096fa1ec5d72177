"""Samples of a run kept as a bounded series, and which of them are of the measured window. Pure."""

from typing import Generic, Protocol, TypeVar

MOST_SAMPLES = 2048
"""Samples that a series keeps, as many as a run has intervals at most."""

Item = TypeVar("Item")


class Downsampled(Generic[Item]):
    """The items added so far; when there are `most`, every second one goes, and from then on comes every second one.

    Args:
        most: items kept, 2 or more.

    Attributes:
        items: those kept, the first one always among them.
        stride: of so many items added, one is kept.
    """

    def __init__(self, most: int = MOST_SAMPLES) -> None:
        self.items: list[Item] = []
        self.stride = 1
        self._most = most
        self._added = 0

    def __repr__(self) -> str:
        return f"<Downsampled {len(self.items)} of {self._added}>"

    def add(self, item: Item) -> None:
        """Adds `item`, or passes over it."""
        if self._added % self.stride == 0:
            if len(self.items) == self._most:
                del self.items[1::2]
                self.stride *= 2
            if self._added % self.stride == 0:
                self.items.append(item)
        self._added += 1


class Window:
    """The part of a run that counts: the phase that began last.

    Attributes:
        start_ns: on the monotonic clock; so is the next.
        end_ns: may be changed as long as the run goes on.
    """

    def __init__(self, start_ns: int = 0, end_ns: int = 0) -> None:
        self.start_ns, self.end_ns = start_ns, end_ns

    def __repr__(self) -> str:
        return f"<Window {self.start_ns} to {self.end_ns}>"

    def extend(self, end_ns: int) -> None:
        """It ends there, later than thought; it has not ended."""
        self.end_ns = max(self.end_ns, end_ns)

    def end(self, end_ns: int) -> None:
        """It ended there, sooner than thought."""
        self.end_ns = min(self.end_ns, end_ns)

    def seconds(self, at_ns: int) -> float:
        """A time as a result has it: in seconds from the start of the window."""
        return round((at_ns - self.start_ns) / 1e9, 3)


class Sample(Protocol):
    """Something that was seen at one time."""

    @property
    def at_ns(self) -> int:
        """When, on the monotonic clock."""
        ...


SampleType = TypeVar("SampleType", bound=Sample)


class WindowEnds(Generic[SampleType]):
    """The samples that are nearest to the ends of the window, so that what lies between them is of the window.

    Attributes:
        window: which one.
        first: nearest to its start; None before two samples have come, the time between which is of the window.
        final: nearest to its end, so far.
    """

    def __init__(self) -> None:
        self._last: SampleType | None = None
        self.begin(Window())

    def begin(self, window: Window) -> None:
        """From now on that window counts."""
        self.window = window
        self.first: SampleType | None = None
        self.final: SampleType | None = None

    def add(self, sample: SampleType) -> SampleType | None:
        """Takes the next sample; returns the one before if the middle between both lies in the window."""
        before, self._last = self._last, sample
        if before is None or not self.window.start_ns <= (before.at_ns + sample.at_ns) // 2 <= self.window.end_ns:
            return None
        self.first = self.first or before
        self.final = sample
        return before

    @property
    def both(self) -> tuple[SampleType, SampleType] | None:
        """`first` and `final`, when there are any."""
        return None if self.first is None or self.final is None else (self.first, self.final)
