"""Plain `def` activities on threads of their own, and the bridge for other threads; here time is real."""

import asyncio
import threading
import time
from typing import Any

import pytest

from holdfast import (
    ActivityContext,
    ActivityError,
    EngineThread,
    RetryPolicy,
    RunStatus,
    StoreError,
    WorkflowContext,
    WorkflowFailedError,
)
from holdfast.stores import MemoryStore
from holdfast.testing import TestEnvironment
from tests.play import Anything, Code
from tests.unit.engine.kit import collect, echo, parked, steps, types_of


async def until(holds: Anything, within: float = 10.0) -> None:
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        await asyncio.sleep(0.002)


def calls(activity: Code, count: int = 1, **options: Anything) -> Code:
    async def run(ctx: WorkflowContext) -> list[Any]:
        answers = await asyncio.gather(
            *(ctx.execute_activity(activity, number, **options) for number in range(count)), return_exceptions=True
        )
        return [answer.cause.type if isinstance(answer, ActivityError) else answer for answer in answers]

    return run


async def test_a_plain_function_runs_beside_the_loop_and_its_context_works_from_there() -> None:
    seen: list[Any] = []

    def work(number: int, context: ActivityContext) -> str:
        seen.append((threading.current_thread().name, context.attempt))
        context.heartbeat({"row": number})
        return threading.current_thread().name

    run = calls(work)
    async with TestEnvironment(workflows=[run], activities=[work]) as env:
        [name] = await env.execute(run)

    assert name.startswith("holdfast-activity")
    assert seen[0][1] == 1


async def test_plain_activities_that_fill_their_pool_hold_up_neither_commits_nor_async_ones() -> None:
    gate = threading.Event()
    running: list[int] = []

    def block(number: int) -> int:
        running.append(number)
        gate.wait(30)
        return number

    run = calls(block, 40)
    async with TestEnvironment(workflows=[run, steps, collect], activities=[block, echo], max_threads=8) as env:
        handle = await env.engine.start(run, id="blocked")
        await until(lambda: len(running) == 8)
        before = env.engine.stats().commits
        assert await env.engine.execute(steps, 20) == list(range(20))
        await env.engine.start(collect, 1, id="c")
        await env.engine.signal("c", "n", 5)
        assert await env.engine.handle("c").result() == [5]
        assert env.engine.stats().commits >= before + 21
        assert len(running) == 8
        gate.set()

        assert await handle.result() == list(range(40))
        assert sorted(running) == list(range(40))


async def test_the_default_pool_has_32_threads() -> None:
    gate = threading.Event()
    running: list[int] = []

    def block(number: int) -> int:
        running.append(number)
        gate.wait(30)
        return number

    run = calls(block, 50)
    async with TestEnvironment(workflows=[run], activities=[block]) as env:
        handle = await env.engine.start(run)
        await until(lambda: len(running) >= 32)
        assert len(running) == 32
        gate.set()
        await handle.result()


async def test_an_attempt_on_a_thread_is_given_up_at_its_time_out_and_others_take_its_place() -> None:
    gate = threading.Event()
    finished: list[int] = []
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    def block(number: int, context: ActivityContext) -> int:
        if number == 0 and context.attempt == 1:
            loop.call_soon_threadsafe(begun.set)
            gate.wait(30)
            finished.append(number)
        return context.attempt

    run = calls(block, 3, timeout=600, retry=RetryPolicy(initial_interval=0))
    async with TestEnvironment(workflows=[run], activities=[block], max_threads=1) as env:
        handle = await env.engine.start(run, id="a")
        await begun.wait()
        env.clock.skip_to(env.clock.now() + 600_000)
        assert await handle.result() == [2, 1, 1]
        assert env.engine.stats().abandoned == 1
        before = await types_of(env.engine, "a")
        gate.set()
        await until(lambda: finished)
        await until(lambda: env.engine.stats().abandoned == 0)

        assert await types_of(env.engine, "a") == before


async def test_an_activity_on_a_thread_may_look_whether_it_is_still_wanted() -> None:
    stopped: list[str] = []
    begun = threading.Event()

    def work(_number: int, context: ActivityContext) -> None:
        begun.set()
        end = time.monotonic() + 30
        while not context.cancelled and time.monotonic() < end:
            time.sleep(0.002)
        stopped.append("in time" if context.cancelled else "never told")

    run = calls(work)
    async with TestEnvironment(workflows=[run], activities=[work]) as env:
        handle = await env.engine.start(run)
        await until(begun.is_set)
        await handle.cancel()
        await until(lambda: stopped)
        assert await handle.status() is RunStatus.CANCELED

    assert stopped == ["in time"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ValueError("no")])
async def test_whatever_a_plain_activity_raises_ends_its_attempt_and_not_its_thread(error: BaseException) -> None:
    def bad(_number: int) -> None:
        raise error

    run = calls(bad, 3, retry=RetryPolicy(max_attempts=2, initial_interval=0))
    async with TestEnvironment(workflows=[run, steps], activities=[bad, echo], max_threads=1) as env:
        assert await env.execute(run) == [type(error).__name__] * 3
        assert await env.execute(steps, 1) == [0]


async def test_heartbeats_from_threads_keep_an_attempt_alive_and_reach_the_next_one() -> None:
    loop = asyncio.get_running_loop()
    beaten: asyncio.Queue[int] = asyncio.Queue()
    goes_on = threading.Semaphore(0)

    def work(_number: int, context: ActivityContext) -> Anything:
        for row in range(3):
            context.heartbeat({"row": row})
            loop.call_soon_threadsafe(beaten.put_nowait, row)
            goes_on.acquire(timeout=30)
        if context.attempt == 1:
            raise OSError
        return [context.attempt, context.last_heartbeat]

    run = calls(work, heartbeat_timeout=900, retry=RetryPolicy(initial_interval=0))
    async with TestEnvironment(workflows=[run], activities=[work]) as env:
        handle = await env.engine.start(run)
        for _ in range(6):
            await beaten.get()
            env.clock.skip_to(env.clock.now() + 600_000)
            goes_on.release()

        assert await handle.result() == [[2, {"row": 2}]]


async def test_a_clean_end_does_not_wait_for_a_stuck_thread_beyond_its_drain() -> None:
    gate = threading.Event()
    begun = threading.Event()

    def block(_number: int) -> None:
        begun.set()
        gate.wait(30)

    store = MemoryStore()
    run = calls(block)
    env = TestEnvironment(workflows=[run], activities=[block], store=store, drain=0.1)
    async with env:
        await env.engine.start(run, id="a")
        await until(begun.is_set)
        before = time.monotonic()
    assert time.monotonic() - before < 5
    gate.set()


# The bridge.


@pytest.fixture
def thread() -> Anything:
    with EngineThread(MemoryStore(), workflows=[steps, collect, parked], activities=[echo]) as running:
        yield running


def test_any_thread_may_call_an_engine_and_waits_for_the_answer(thread: EngineThread) -> None:
    handle = thread.start(collect, 2, id="a")
    handle.signal("n", 1, id="s")
    thread.signal("a", "n", 1, id="s")
    assert handle.query("taken") == [1]
    assert thread.describe("a").status is RunStatus.RUNNING
    handle.signal("n", 2)

    assert handle.result(timeout=10) == [1, 2]
    assert thread.handle("a").status() is RunStatus.COMPLETED
    assert [event.type.value for event in thread.watch("a")] == [event.type.value for event in thread.history("a")]
    assert [item.workflow_id for item in thread.list().items] == ["a"]
    assert thread.execute(steps, 2) == [0, 1]
    assert thread.not_ready() == ""
    assert thread.stats().runs["completed"] == 2
    with pytest.raises(WorkflowFailedError):
        thread.execute(collect, 1, timeout=0.01)


def test_many_threads_call_at_once(thread: EngineThread) -> None:
    thread.start(collect, 200, id="a")
    answers: list[Any] = []

    def work(number: int) -> None:
        for part in range(10):
            thread.signal("a", "n", number, id=f"{number}-{part}")
        answers.append(thread.execute(steps, 3))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)

    assert answers == [[0, 1, 2]] * 20
    assert sorted(thread.handle("a").result(timeout=10)) == sorted(list(range(20)) * 10)


def test_all_calls_of_the_engine_are_there_for_threads(thread: EngineThread) -> None:
    thread.start(parked, 1, id="a")
    thread.pause("a")
    thread.resume("a")
    thread.cancel("a")
    with pytest.raises(WorkflowFailedError):
        thread.handle("a").result()
    thread.rerun("a").terminate()
    thread.purge("a")
    handle = thread.signal_with_start(parked, 2, id="b", signal="end")
    assert handle.result() == 2
    thread.start(parked, id="c").cancel()
    with pytest.raises(Exception, match="unknown update"):
        thread.start(parked, id="d").update("x")
    thread.terminate("d")
    assert handle.describe().result == 2


def test_closing_twice_is_harmless_and_calls_after_it_are_refused() -> None:
    thread = EngineThread(MemoryStore(), workflows=[steps])
    thread.open()
    thread.close()
    thread.close()

    with pytest.raises(StoreError, match="the engine is closed"):
        thread.start(steps)


def test_a_thread_that_waits_for_a_result_is_let_go_when_the_engine_closes() -> None:
    thread = EngineThread(MemoryStore(), workflows=[parked])
    thread.open()
    handle = thread.start(parked)
    told: list[BaseException] = []
    waiting = threading.Event()

    def wait() -> None:
        waiting.set()
        try:
            handle.result()
        except BaseException as error:  # noqa: BLE001
            told.append(error)

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    waiting.wait(10)
    thread.close()
    waiter.join(10)

    assert not waiter.is_alive()
    assert isinstance(told[0], StoreError)


def test_a_call_that_comes_when_the_engines_loop_has_just_ended_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = EngineThread(MemoryStore(), workflows=[parked])
    told: list[str] = []

    def ask() -> None:
        with pytest.raises(StoreError) as caught:
            thread.query("a", "status")
        told.append(str(caught.value))

    caller = threading.Thread(target=ask, daemon=True)

    class Loop(asyncio.SelectorEventLoop):
        def close(self) -> None:
            caller.start()
            caller.join(1)
            super().close()

    monkeypatch.setattr(asyncio, "new_event_loop", Loop)
    thread.open()
    thread.close()

    assert told == ["the engine is closed"]


def test_a_call_may_be_given_up_on() -> None:
    with EngineThread(MemoryStore(), workflows=[parked]) as thread:
        thread.start(parked, id="a")
        with pytest.raises(TimeoutError):
            thread.run(thread.engine.handle("a").result(), timeout=0.01)

        assert thread.query("a", "status") == "running"


def test_an_activity_that_will_not_end_does_not_keep_the_engines_thread() -> None:
    asked = 0
    began = threading.Event()

    async def stubborn(_number: int) -> None:
        nonlocal asked
        began.set()
        while asked < 100:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                asked += 1

    workflow = calls(stubborn)
    thread = EngineThread(MemoryStore(), workflows=[workflow], activities=[stubborn], drain=0)
    thread.open()
    thread.start(workflow)
    assert began.wait(10)

    thread.close()

    assert asked > 0
    assert not [each for each in threading.enumerate() if each.name == "holdfast-engine"]


def test_an_engine_that_cannot_be_opened_leaves_no_thread_behind() -> None:
    class Broken(MemoryStore):
        async def open(self) -> None:
            raise StoreError("no such place")

    before = set(threading.enumerate())
    thread = EngineThread(Broken())
    with pytest.raises(StoreError, match="no such place"):
        thread.open()

    assert set(threading.enumerate()) <= before
