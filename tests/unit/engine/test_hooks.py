"""Hooks, middleware and executors: what users hang on runs and around engines."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from holdfast import Engine, Hooks, UnknownProviderError, WorkflowContext, WorkflowFailedError, compose_hooks
from holdfast.executors import Executor, apply_middleware, names, new, register, with_hooks, with_tracing
from holdfast.executors import registry as executor_registry
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, died, echo, engine_on, eventually, on_skipping_loop, parked, steps
from tests.unit.engine.stores import Halting, Unsure

KINDS = [
    "on_workflow_start", "on_workflow_complete", "on_workflow_fail", "on_activity_start", "on_activity_complete",
    "on_signal", "on_retry",
]  # fmt: skip


class Log:
    """Hooks that write down what they are told."""

    def __init__(self, *, is_async: bool = False) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self.hooks = Hooks(**{kind: self._async(kind) if is_async else self._plain(kind) for kind in KINDS})

    def _plain(self, kind: str) -> Anything:
        return lambda workflow_id, payload: self.calls.append((kind, workflow_id, payload))

    def _async(self, kind: str) -> Anything:
        async def call(workflow_id: str, payload: Anything) -> None:
            await asyncio.sleep(0)
            self.calls.append((kind, workflow_id, payload))

        return call

    def of(self, workflow_id: str) -> list[str]:
        return [kind.removeprefix("on_") for kind, found, _ in self.calls if found == workflow_id]


async def flaky(value: int) -> int:
    FLAKY.append(value)
    if len(FLAKY) == 1:
        raise OSError("down")
    return value


FLAKY: list[int] = []


async def whole_life(ctx: WorkflowContext, value: int) -> int:
    got = await ctx.receive_signal("go")
    return int(await ctx.execute_activity(flaky, value)) + int(got)


@pytest.mark.parametrize("is_async", [False, True])
@on_skipping_loop
async def test_every_kind_of_hook_is_called_with_its_payload_in_the_order_of_the_history(*, is_async: bool) -> None:
    FLAKY.clear()
    log = Log(is_async=is_async)
    async with engine_on(workflows=[whole_life], activities=[flaky], hooks=log.hooks) as engine:
        handle = await engine.start(whole_life, 5, id="a")
        await handle.signal("go", 2, id="s")
        assert await handle.result() == 7

    assert log.of("a") == [
        "workflow_start",
        "signal",
        "activity_start",
        "retry",
        "activity_start",
        "activity_complete",
        "workflow_complete",
    ]
    payloads = [payload for _, _, payload in log.calls]
    assert payloads[0] == 5
    assert payloads[1] == {"name": "go", "payload": 2, "id": "s"}
    assert payloads[2] == {"activity_id": "1", "name": "flaky", "attempt": 1, "input": 5}
    assert (payloads[3]["attempt"], payloads[3]["failure"].message) == (2, "down")
    assert payloads[4]["attempt"] == 2
    assert payloads[5] == {"activity_id": "1", "name": "flaky", "result": 5}
    assert payloads[6] == 7


@on_skipping_loop
async def test_failed_cancelled_terminated_and_timed_out_runs_count_as_failed() -> None:
    async def fails(ctx: WorkflowContext) -> None:
        raise ValueError("no")

    log = Log()
    async with engine_on(workflows=[fails, parked], hooks=log.hooks) as engine:
        await engine.start(fails, id="failed")
        for name in ("canceled", "terminated"):
            await engine.start(parked, id=name)
        await engine.start(parked, id="timed-out", timeout=1)
        await engine.cancel("canceled")
        await engine.terminate("terminated")
        await asyncio.sleep(5)

    failures = {workflow_id: payload.type for kind, workflow_id, payload in log.calls if kind == "on_workflow_fail"}
    assert failures == {
        "failed": "ValueError",
        "canceled": "CancelToken",
        "terminated": "WorkflowTerminatedError",
        "timed-out": "TimeoutError",
    }


@on_skipping_loop
async def test_hooks_are_called_after_the_commit_and_not_before() -> None:
    log, store = Log(), Halting()
    async with engine_on(store, hooks=log.hooks) as engine:
        store.gate.clear()
        starting = asyncio.create_task(engine.start(parked, id="a"))
        await asyncio.sleep(5)
        assert log.calls == []
        store.gate.set()
        await starting
        await eventually(lambda: log.calls)


@on_skipping_loop
async def test_hooks_are_called_once_however_shaky_the_store() -> None:
    log, store = Log(), Unsure()
    async with engine_on(store, hooks=log.hooks) as engine:
        store.plan = iter(["applied", "lost", "applied", "ok", "applied", "lost", "ok"] * 5)
        assert await engine.execute(steps, 3, id="a") == [0, 1, 2]

    assert log.of("a") == ["workflow_start", *["activity_start", "activity_complete"] * 3, "workflow_complete"]


@on_skipping_loop
async def test_a_replay_calls_no_hook() -> None:
    log, store = Log(), MemoryStore()
    first = engine_on(store)
    await first.open()
    await first.start(collect, 2, id="a")
    await first.signal("a", "n", 1)
    await died(first)
    async with engine_on(store, hooks=log.hooks) as second:
        await second.signal("a", "n", 2)

    assert log.of("a") == ["signal", "workflow_complete"]


@on_skipping_loop
async def test_hooks_that_wait_are_flushed_when_the_engine_closes() -> None:
    told: list[str] = []

    async def slow(workflow_id: str, _payload: Anything) -> None:
        await asyncio.sleep(30)
        told.append(workflow_id)

    async with engine_on(hooks=Hooks(on_workflow_start=slow)) as engine:
        for number in range(3):
            await engine.start(parked, id=f"r{number}")

    assert told == ["r0", "r1", "r2"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad hook"),
        asyncio.CancelledError(),
        SystemExit(3),
    ],
)
@on_skipping_loop
async def test_a_hook_that_raises_breaks_nothing_and_is_logged(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    told: list[str] = []

    async def bad(workflow_id: str, _payload: Anything) -> None:
        told.append(workflow_id)
        raise error

    caplog.set_level(logging.ERROR)
    hooks = Hooks(on_workflow_start=bad, on_workflow_complete=lambda name, _: told.append(f"{name} done"))
    async with engine_on(hooks=hooks) as engine:
        for name in ("a", "b"):
            assert await engine.execute(steps, 1, id=name) == [0]

    assert told == ["a", "a done", "b", "b done"]
    assert "hook on_workflow_start raised for workflow 'a'" in caplog.text


@on_skipping_loop
async def test_a_slow_hook_holds_no_run_up() -> None:
    async def slow(_workflow_id: str, _payload: Anything) -> None:
        await asyncio.sleep(300)

    async with engine_on(hooks=Hooks(on_workflow_start=slow)) as engine:
        loop = asyncio.get_running_loop()
        before = loop.time()
        assert await engine.execute(steps, 3) == [0, 1, 2]
        assert loop.time() - before < 10


@on_skipping_loop
async def test_composed_hooks_are_called_in_the_order_given_also_after_one_that_raises() -> None:
    called: list[str] = []

    def named(name: str) -> Hooks:
        return Hooks(on_workflow_start=lambda _id, _payload: called.append(name))

    def bad(_workflow_id: str, _payload: Anything) -> None:
        raise ValueError

    hooks = compose_hooks(named("one"), Hooks(on_workflow_start=bad), Hooks(), named("two"))
    async with engine_on(hooks=hooks) as engine:
        await engine.start(parked)

    assert called == ["one", "two"]
    assert compose_hooks(Hooks(), Hooks()) == Hooks()


# Around an engine.


@on_skipping_loop
async def test_hooks_can_be_wrapped_around_an_engine_before_or_after_it_opens() -> None:
    early, late = Log(), Log()
    engine: Any = engine_on()
    executor = apply_middleware(engine, with_hooks(early.hooks))
    await engine.open()
    apply_middleware(engine, with_hooks(late.hooks))
    handle = await executor.start(steps, 1, id="a")
    await handle.result()
    await engine.close()

    assert early.of("a") == ["workflow_start", "activity_start", "activity_complete", "workflow_complete"]
    assert late.of("a") == early.of("a")


class Bare:
    """An executor that is no engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def start(self, workflow: Anything, input: object = None, **options: Anything) -> Anything:
        return await self.engine.start(workflow, input, **options)

    async def signal(self, workflow_id: str, name: str, payload: object = None, *, id: str | None = None) -> None:
        await self.engine.signal(workflow_id, name, payload, id=id)

    async def query(self, workflow_id: str, name: str, input: object = None) -> Anything:
        return await self.engine.query(workflow_id, name, input)

    async def cancel(self, workflow_id: str, *, reason: str = "") -> None:
        await self.engine.cancel(workflow_id, reason=reason)


@on_skipping_loop
async def test_of_any_other_executor_the_hooks_see_what_passes_through() -> None:
    async def fails(ctx: WorkflowContext) -> None:
        raise ValueError("no")

    log = Log()
    async with engine_on(workflows=[collect, fails]) as engine:
        executor: Executor = apply_middleware(Bare(engine), with_hooks(log.hooks))
        handle = await executor.start(collect, 1, id="a")
        await executor.signal("a", "n", 5, id="s")
        assert await handle.result() == [5]
        failing = await executor.start(fails, id="b")
        with pytest.raises(WorkflowFailedError):
            await failing.result()
        await eventually(lambda: len(log.calls) == 5)

    assert sorted(log.of("a")) == ["signal", "workflow_complete", "workflow_start"]
    assert log.of("b") == ["workflow_start", "workflow_fail"]


class Tracer:
    """Remembers the spans that were begun."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, dict[str, str]]] = []

    @contextmanager
    def start_as_current_span(self, name: str, *, attributes: Anything = None) -> Iterator[None]:
        self.spans.append((name, attributes))
        yield


@on_skipping_loop
async def test_traces_span_each_call_and_pass_everything_on() -> None:
    tracer: Any = Tracer()
    around: Any = engine_on()
    async with around:
        executor: Any = apply_middleware(around, with_tracing(tracer))
        await executor.start(collect, 1, id="a")
        await executor.query("a", "taken")
        await executor.signal("a", "n", 5)
        assert await executor.handle("a").result() == [5]
        await executor.start(parked, id="b")
        await executor.cancel("b")

    assert [name for name, _ in tracer.spans] == [
        "holdfast start", "holdfast query", "holdfast signal", "holdfast start", "holdfast cancel",
    ]  # fmt: skip
    assert tracer.spans[0][1] == {"holdfast.workflow_id": "a", "holdfast.workflow": "collect"}
    assert tracer.spans[2][1] == {"holdfast.workflow_id": "a", "holdfast.signal": "n"}


@on_skipping_loop
async def test_the_first_layer_named_is_the_outermost() -> None:
    order: list[str] = []

    def layer(name: str) -> Anything:
        class Noting(Bare):
            async def query(self, workflow_id: str, name_: str, input: object = None) -> Anything:
                order.append(name)
                return await self.engine.query(workflow_id, name_, input)

        return Noting

    engine: Any = engine_on()
    async with engine:
        await engine.start(parked, id="a")
        await apply_middleware(engine, layer("outer"), layer("inner")).query("a", "status")

    assert order == ["outer", "inner"]


@on_skipping_loop
async def test_the_default_executor_is_the_engine() -> None:
    executor: Any = new("default", store=MemoryStore(), workflows=[steps], activities=[echo])

    assert isinstance(executor, Engine)
    async with executor:
        assert await executor.execute(steps, 1) == [0]


def test_executors_are_registered_and_made_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_registry, "_factories", dict(executor_registry._factories))  # noqa: SLF001
    made: dict[str, Any] = {}

    def factory(**options: Anything) -> Anything:
        made.update(options)
        return "an executor"

    register("zeta", factory)
    register("alpha", factory)

    assert names() == ["alpha", "default", "zeta"]
    assert new("zeta", colour="red") == "an executor"  # type: ignore[comparison-overlap]
    assert made == {"colour": "red"}
    with pytest.raises(UnknownProviderError, match="unknown executor 'beta'; known: alpha, default, zeta") as caught:
        new("beta")
    assert caught.value.name == "beta"


def as_executor(engine: Engine) -> Executor:
    """Say to the type checker that an engine is an executor."""
    return engine
