"""One run at a time has the lock, in the order in which they asked, and none keeps it for ever."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from examples.patterns import mutex
from examples.patterns.mutex import lock, work_alone, workflows
from holdfast import WorkflowCanceledError, WorkflowTerminatedError
from holdfast.engine.handle import WorkflowHandle
from holdfast.testing import TestEnvironment, replay

LOCK = "lock:printer"


def environment() -> TestEnvironment:
    return TestEnvironment(workflows=workflows)


async def begun(env: TestEnvironment, count: int, *, seconds: float = 10, lease: float = 60) -> list[WorkflowHandle]:
    """Start runs that want the printer, one after another."""
    runs = []
    for number in range(count):
        work = {"resource": "printer", "seconds": seconds, "lease_seconds": lease}
        runs.append(await env.engine.start(work_alone, work, id=f"worker-{number}"))
        await env.settled()
    return runs


async def granted(env: TestEnvironment) -> list[str | None]:
    """Say who has been granted the lock, in order."""
    answers = [record for record in await env.outputs("workflow-resume") if record.key != LOCK]
    assert [json.loads(answer.value)["value"] for answer in answers] == list(range(1, len(answers) + 1))
    return [answer.key for answer in answers]


def names(numbers: Sequence[int]) -> list[str]:
    return [f"worker-{number}" for number in numbers]


async def test_the_lock_goes_from_one_to_the_next() -> None:
    async with environment() as env:
        runs = await begun(env, 3)
        assert await granted(env) == names([0])

        await env.skip(10)
        assert await granted(env) == names([0, 1])
        await env.skip(30)

        assert await granted(env) == names([0, 1, 2])
        assert [await run.result(timeout=5) for run in runs] == [1, 2, 3]


async def test_different_resources_do_not_wait_for_each_other() -> None:
    async with environment() as env:
        await begun(env, 1)
        await env.engine.start(work_alone, {"resource": "scanner", "seconds": 10}, id="another")
        await env.settled()

        for run in ("worker-0", "another"):
            (waits_for,) = await env.engine.query(run, "stack")
            assert waits_for.startswith("a timer")


async def test_a_holder_that_is_gone_loses_the_lock_when_its_lease_is_over() -> None:
    async with environment() as env:
        runs = await begun(env, 2, seconds=10, lease=600)
        await env.engine.terminate("worker-0", reason="a fault")
        with pytest.raises(WorkflowTerminatedError):
            await runs[0].result(timeout=5)
        await env.skip(500)
        assert await granted(env) == names([0])

        await env.skip(100)

        assert await granted(env) == names([0, 1])


async def test_requests_do_not_lengthen_the_lease() -> None:
    async with environment() as env:
        await begun(env, 1, seconds=1000, lease=60)
        await env.skip(40)

        await env.engine.start(work_alone, {"resource": "printer", "seconds": 1}, id="late")
        await env.settled()
        await env.skip(20)

        assert await granted(env) == ["worker-0", "late"]


async def test_who_has_lost_the_lock_does_not_give_back_that_of_another() -> None:
    async with environment() as env:
        await begun(env, 3, seconds=90, lease=60)
        await env.skip(60)
        assert await granted(env) == names([0, 1])

        await env.skip(30)  # the first gives back what it has lost

        assert await granted(env) == names([0, 1])


async def test_who_does_not_want_to_wait_any_more_is_passed_over() -> None:
    async with environment() as env:
        runs = await begun(env, 3)
        await env.engine.cancel("worker-1", reason="no time")
        with pytest.raises(WorkflowCanceledError):
            await runs[1].result(timeout=5)

        await env.skip(10)

        assert await granted(env) == names([0, 2])


async def test_a_holder_that_is_cancelled_gives_the_lock_back_at_once() -> None:
    async with environment() as env:
        await begun(env, 2)

        await env.engine.cancel("worker-0", reason="no time")

        assert await granted(env) == names([0, 1])


async def test_a_lock_goes_on_with_an_empty_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutex, "TURNS", 3)
    async with environment() as env:
        runs = await begun(env, 8)

        await env.skip(100)

        assert [await run.result(timeout=5) for run in runs] == list(range(1, 9))
        (run,) = [run for run in (await env.engine.list()).items if run.workflow == "lock"]
        assert len(await env.engine.history(run.workflow_id)) < 20


async def test_what_is_no_message_is_passed_over_and_the_lock_replays(tmp_path: Path) -> None:
    async with environment() as env:
        await begun(env, 1)
        await env.engine.deliver("workflow-resume", LOCK, b'{"ref": "main", "value": "what?"}', id="odd")
        await env.engine.deliver("workflow-resume", LOCK, b'{"ref": "main", "value": {"type": "acquire"}}', id="odder")
        await env.skip(10)
        await begun_again(env)

        assert await granted(env) == ["worker-0", "next"]
        for run in (await env.engine.list()).items:
            replay(lock if run.workflow == "lock" else work_alone, await env.engine.history(run.workflow_id))


async def begun_again(env: TestEnvironment) -> None:
    await env.engine.start(work_alone, {"resource": "printer", "seconds": 1}, id="next")
    await env.settled()
