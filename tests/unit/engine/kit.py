"""What the tests of the engine share: a loop whose time jumps when nobody is busy, and a clock that follows it."""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar

from holdfast import Engine, HistoryEvent, WorkflowContext
from holdfast.ports import StateStore, Timer
from holdfast.stores import MemoryStore
from tests.play import Anything

P = ParamSpec("P")
T = TypeVar("T")

START_MS = 1_700_000_000_000
_LONGEST_SECONDS = 24 * 3600


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop that waits for nothing: its time stands still, and where all is idle jumps to what is due next."""

    now = 0.0
    _timer_cancelled_count: int

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]  # of CPython's own loop
        while scheduled and scheduled[0].cancelled():  # as that loop does, which then waits for the next one for real
            self._timer_cancelled_count -= 1
            heapq.heappop(scheduled)._scheduled = False  # noqa: SLF001
        if not ready and scheduled:
            self.now = max(self.now, scheduled[0].when())
            if self.now > _LONGEST_SECONDS:
                self.now = 0.0
                message = "a day has passed and nothing has come of it"
                raise AssertionError(message)
        super()._run_once()  # type: ignore[misc]


class LoopClock:
    """The time of the running loop as the engine's."""

    def now(self) -> int:
        return START_MS + int(asyncio.get_running_loop().time() * 1000)

    def call_at(self, when_ms: int, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(max(0, when_ms - self.now()) / 1000, callback)


def on_skipping_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on a loop of that kind: whatever it sleeps takes no time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=SkippingLoop, debug=False) as runner:
            runner.run(test(*args, **kwargs))

    return run


def counter(prefix: str) -> Callable[[], str]:
    """Make ids that count."""
    numbers = itertools.count(1)
    return lambda: f"{prefix}{next(numbers)}"


_openings = itertools.count(1)


def engine_on(store: StateStore | None = None, **options: Anything) -> Engine:
    """Make an engine for a test on a skipping loop."""
    prefix = f"e{next(_openings)}-"
    defaults: dict[str, Any] = {
        "workflows": WORKFLOWS,
        "activities": ACTIVITIES,
        "clock": LoopClock(),
        "ids": counter(prefix),
        "chance": lambda: 0.5,
        "instance": "one",
        "drain": 1,
    }
    return Engine(store or MemoryStore(), **{**defaults, **options})


async def eventually(holds: Callable[[], Any], within: float = 30.0) -> None:
    """Wait until something holds, or fail."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while not holds():
        assert loop.time() < end, "it did not come to hold"
        await asyncio.sleep(0.001)


async def died(engine: Engine) -> None:
    """Let an engine end as a killed process does: nothing is written, nothing is released."""
    store = engine._parts.store  # noqa: SLF001 - the plug is pulled, which the engine offers no call for
    engine._parts.store = _Gone(store)  # type: ignore[assignment]  # noqa: SLF001
    parts: Any = engine._parts  # noqa: SLF001
    for owner in (parts.committer, parts._reader, parts._partition):  # noqa: SLF001
        owner._store = parts.store  # noqa: SLF001
    for task in parts._tasks:  # noqa: SLF001
        task.cancel()
    await asyncio.wait(parts._tasks)  # noqa: SLF001
    await parts.runtime.attempts.stop(0)
    await parts.runtime.courier.stop()
    await parts.runtime.sweeper.stop()
    parts.holding.stop()
    await parts.runtime.stop()
    parts.watchdog.stop()
    await store.close()


class _Gone:
    """Stands where the store of a dead process was."""

    def __init__(self, store: StateStore) -> None:
        self.capabilities = store.capabilities

    async def write(self, _writes: object) -> None:
        await asyncio.Event().wait()

    async def read(self, _keys: object) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is left to close."""


class _HasHistory(Protocol):
    def history(self, workflow_id: str, /) -> Awaitable[list[HistoryEvent]]: ...


async def types_of(engine: _HasHistory, workflow_id: str) -> list[str]:
    """Give the types of the events of a run."""
    return [event.type.value for event in await engine.history(workflow_id)]


# A few workflows that most tests can do with.


async def echo(value: Anything = None) -> Anything:
    return value


async def steps(ctx: WorkflowContext, count: int = 3) -> list[int]:
    """Call an activity some times, one after the other."""
    return [await ctx.execute_activity(echo, number) for number in range(count)]


async def collect(ctx: WorkflowContext, count: int = 2) -> list[Any]:
    """Take some signals, and give what they brought."""
    taken: list[Any] = []
    ctx.set_query_handler("taken", lambda: taken)
    for _ in range(count):
        taken.append(await ctx.receive_signal("n"))  # noqa: PERF401 - queries see how far it is
    return taken


async def nap(ctx: WorkflowContext, seconds: float = 60) -> str:
    """Sleep."""
    await ctx.sleep(seconds)
    return "rested"


async def parked(ctx: WorkflowContext, value: Anything = None) -> Anything:
    """Wait for a signal that ends it."""
    await ctx.receive_signal("end")
    return value


WORKFLOWS: list[Callable[..., Any]] = [steps, collect, nap, parked]
ACTIVITIES: list[Callable[..., Any]] = [echo]
