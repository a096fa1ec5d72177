"""A load for the tests: messages sent one batch after the other, while the test does something to the servers."""

import asyncio

from ombdriver import MQProducer, NotSentError, OutcomeUnknownError


class Sending:
    """Sends message after message, 30 at a time, until it is told to stop."""

    def __init__(self, producer: MQProducer) -> None:
        self._producer = producer
        self._stop = False
        self.outcomes: list[object] = []
        self._task = asyncio.create_task(self._go())

    async def _go(self) -> None:
        while not self._stop:
            start = len(self.outcomes)
            sends = [self._producer.send_message({"n": n}) for n in range(start, start + 30)]
            self.outcomes += await asyncio.gather(*sends, return_exceptions=True)

    async def more(self, count: int) -> None:
        """Waits until so many more have been answered."""
        goal = len(self.outcomes) + count
        while len(self.outcomes) < goal and not self._task.done():  # noqa: ASYNC110 - what is due next is a reply
            await asyncio.sleep(0.001)

    async def stop(self) -> list[object]:
        """Sends no more; what became of each message."""
        self._stop = True
        await self._task
        return self.outcomes


def account(outcomes: list[object], stored: list[int]) -> None:
    """Holds that no message is stored twice, and that an error tells the truth about what may have been stored.

    What was acknowledged may be missing: replication is asynchronous, and a failover loses the last of it.
    """
    wrong = [one for one in outcomes if not isinstance(one, str | NotSentError | OutcomeUnknownError)]
    assert wrong == []
    assert len(set(stored)) == len(stored), "a message was stored twice"
    unsent = {n for n, outcome in enumerate(outcomes) if isinstance(outcome, NotSentError)}
    assert not unsent & set(stored), "a message was stored that is told not to have been sent"
