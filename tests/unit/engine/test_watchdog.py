"""The watchdog names what holds the engine's thread, and says when there is no hope."""

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from holdfast.engine.work.watchdog import Watchdog

LOOK_SECONDS = 0.01


class Told(logging.Handler):
    """Lets the thread that is being watched wait until the watchdog has said something."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.something = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self.something.set()


@pytest.fixture
def told() -> Iterator[Told]:
    handler = Told()
    logging.getLogger("watchdog-test").addHandler(handler)
    yield handler
    logging.getLogger("watchdog-test").removeHandler(handler)


def hold_the_thread(until: threading.Event) -> None:
    assert until.wait(30)


@pytest.mark.parametrize(
    ("whose", "words"),
    [("order-1", "workflow 'order-1' has not yielded"), ("", "the engine's thread has been held for 0.04 s, by an")],
)
async def test_whoever_holds_the_thread_is_named_once_with_the_stack(told: Told, whose: str, words: str) -> None:
    watchdog = Watchdog(logging.getLogger("watchdog-test"), LOOK_SECONDS)
    watchdog.start()
    watchdog.whose = whose

    hold_the_thread(until=told.something)

    watchdog.stop()
    assert len(told.said) == 1
    assert told.said[0].startswith(words)
    assert "hold_the_thread" in told.said[0]


async def test_a_thread_that_is_held_for_long_is_stuck_until_it_is_let_go(told: Told) -> None:
    watchdog = Watchdog(logging.getLogger("watchdog-test"), LOOK_SECONDS)
    watchdog.start()

    hold_the_thread(until=told.something)
    at_once = watchdog.is_stuck
    never = threading.Event()
    while not watchdog.is_stuck:
        never.wait(LOOK_SECONDS)
    await asyncio.sleep(0)  # the loop goes round, and gives all the signs that were asked of it

    assert (at_once, watchdog.is_stuck) == (False, False)
    watchdog.stop()


def test_a_watchdog_ends_with_the_loop_it_watches() -> None:
    watchdog = Watchdog(logging.getLogger("watchdog-test"), LOOK_SECONDS)

    async def begin() -> None:
        watchdog.start()

    asyncio.run(begin())

    for thread in threading.enumerate():
        if thread.name == "holdfast-watchdog":
            thread.join(30)
            assert not thread.is_alive()
