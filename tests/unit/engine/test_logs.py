"""What the engine logs about a run names the run in fields, so that a log can be searched by it."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import Engine, Hooks, RunStatus, WorkflowContext
from holdfast.engine.runs.items import Signal
from holdfast.engine.runs.run import Run
from holdfast.engine.work.watchdog import Watchdog
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, engine_on, eventually, on_skipping_loop, parked, steps
from tests.unit.engine.stores import Picky, put

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


def fields(caplog: pytest.LogCaptureFixture, words: str) -> dict[str, Any]:
    """What the one record whose message has these words says beside it."""
    (record,) = [record for record in caplog.records if words in record.getMessage()]
    own = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}
    return {name: value for name, value in vars(record).items() if name not in own}


async def about(engine: Engine, workflow_id: str, workflow: str) -> dict[str, Any]:
    run_id = (await engine.describe(workflow_id)).run_id
    return {"workflow_id": workflow_id, "run_id": run_id, "workflow": workflow, "trace_id": TRACE_ID}


async def lost(ctx: WorkflowContext) -> None:
    await ctx.execute_activity("nowhere")


async def logs(ctx: WorkflowContext) -> None:
    ctx.logger.warning("said by the workflow", extra={"step": 1})


async def a_stall(caplog: pytest.LogCaptureFixture) -> tuple[dict[str, Any], dict[str, Any]]:
    store = Picky(lambda write: write.key == "run:a" and b"poison" in (write.value or b""))
    async with engine_on(store) as engine:
        await engine.start(collect, 2, id="a", trace=PARENT)
        with pytest.raises(Exception, match="cannot be stored"):
            await engine.signal("a", "n", "poison")
        await eventually(lambda: "is stalled" in caplog.text)
        return fields(caplog, "is stalled"), await about(engine, "a", "collect")


async def an_unknown_activity(caplog: pytest.LogCaptureFixture) -> tuple[dict[str, Any], dict[str, Any]]:
    async with engine_on(workflows=[lost]) as engine:
        await engine.start(lost, id="a", trace=PARENT)
        found = {**await about(engine, "a", "lost"), "activity": "nowhere", "attempt": 1}
        return fields(caplog, "is not registered here"), found


async def a_workflow_that_logs(caplog: pytest.LogCaptureFixture) -> tuple[dict[str, Any], dict[str, Any]]:
    async with engine_on(workflows=[logs]) as engine:
        await engine.execute(logs, id="a", trace=PARENT)
        return fields(caplog, "said by the workflow"), {**await about(engine, "a", "logs"), "step": 1}


async def a_fault_while_something_is_applied(
    caplog: pytest.LogCaptureFixture,
) -> tuple[dict[str, Any], dict[str, Any]]:
    class Broken(Signal):
        def apply(self, run: Run, now: int) -> object:
            raise RuntimeError("a defect")

    async with engine_on() as engine:
        await engine.start(parked, id="a", trace=PARENT)
        with pytest.raises(Exception, match="a defect"):
            await engine._ask("a", Broken(name="n", value=b"1"))  # noqa: SLF001 - a defect is not called by name
        return fields(caplog, "could not be applied"), await about(engine, "a", "parked")


async def a_hook_that_raises(caplog: pytest.LogCaptureFixture) -> tuple[dict[str, Any], dict[str, Any]]:
    def raises(_workflow_id: str, _payload: Anything) -> None:
        raise ValueError("no")

    async with engine_on(hooks=Hooks(on_workflow_complete=raises)) as engine:
        await engine.execute(steps, 1, id="a")
        await eventually(lambda: "raised for workflow" in caplog.text)
        return fields(caplog, "raised for workflow"), {"workflow_id": "a", "hook": "on_workflow_complete"}


async def a_purge(caplog: pytest.LogCaptureFixture) -> tuple[dict[str, Any], dict[str, Any]]:
    caplog.set_level(logging.INFO)
    async with engine_on() as engine:
        await engine.execute(steps, 1, id="a")
        await engine.purge("a", reason="as asked")
        return fields(caplog, "is purged: as asked"), {"workflow_id": "a"}


async def an_effect_that_cannot_be_delivered(
    caplog: pytest.LogCaptureFixture,
) -> tuple[dict[str, Any], dict[str, Any]]:
    async def calls(ctx: WorkflowContext) -> None:
        ctx.start_child(parked, id="child", parent_close="abandon")
        await ctx.receive_signal("end")

    async with engine_on(workflows=[calls, parked]) as engine:
        courier: Any = engine._parts.runtime.courier  # noqa: SLF001 - a defect in the middle

        async def broken(*_anything: object) -> None:
            raise RuntimeError("a defect")

        courier._deliver = broken  # noqa: SLF001
        await engine.start(calls, id="a", trace=PARENT)
        await eventually(lambda: "could not be delivered" in caplog.text)
        run_id = (await engine.describe("a")).run_id
        return fields(caplog, "could not be delivered"), {"workflow_id": "a", "run_id": run_id, "target": "child"}


async def a_damaged_document(caplog: pytest.LogCaptureFixture) -> tuple[dict[str, Any], dict[str, Any]]:
    store = MemoryStore()
    async with engine_on(store, max_cached_runs=0) as engine:
        run_id = (await engine.start(parked, id="a")).run_id
        await eventually(lambda: engine.stats().live == 0)
        put(store, "run:a", b"{}")
        assert (await engine.describe("a")).status is RunStatus.CORRUPT
        return fields(caplog, "is corrupt"), {"workflow_id": "a", "run_id": run_id}


async def code_that_does_not_yield(caplog: pytest.LogCaptureFixture) -> tuple[dict[str, Any], dict[str, Any]]:
    watchdog = Watchdog(logging.getLogger("holdfast"))
    watchdog.whose = "a"
    watchdog._warn(0)  # noqa: SLF001 - what its thread does where the loop gives no sign
    return fields(caplog, "has not yielded"), {"workflow_id": "a"}


CASES: list[Callable[[pytest.LogCaptureFixture], Any]] = [
    a_stall,
    an_unknown_activity,
    a_workflow_that_logs,
    a_fault_while_something_is_applied,
    a_hook_that_raises,
    a_purge,
    an_effect_that_cannot_be_delivered,
    a_damaged_document,
    code_that_does_not_yield,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@on_skipping_loop
async def test_a_record_names_the_run_that_it_is_about(
    case: Callable[[pytest.LogCaptureFixture], Any], caplog: pytest.LogCaptureFixture
) -> None:
    found, wanted = await case(caplog)

    assert found == wanted


@on_skipping_loop
async def test_a_run_without_a_trace_has_no_field_for_it(caplog: pytest.LogCaptureFixture) -> None:
    async with engine_on(workflows=[logs]) as engine:
        await engine.execute(logs, id="a")

    assert "trace_id" not in fields(caplog, "said by the workflow")
