"""People are asked one after another; one who answers decides, and nobody is a no."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from examples.patterns.human_approval import REQUESTS, Decision, Purchase, approve_purchase, workflows
from holdfast import RunStatus
from holdfast.testing import TestEnvironment
from tests.examples.kit import replays

CHAIR = Purchase("a chair", 48_900)
TWO_DAYS = timedelta(days=2)


async def tasks(env: TestEnvironment) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in await env.outputs(REQUESTS)]


async def seen(env: TestEnvironment) -> list[str]:
    """Say who was asked, and why somebody is not asked any more."""
    return [task.get("reason") or task["request"]["approver"] for task in await tasks(env)]


async def test_the_first_who_answers_decides(tmp_path: Path) -> None:
    async with TestEnvironment(workflows=workflows) as env:
        run = await env.start(approve_purchase, CHAIR, id="chair")
        (task,) = await tasks(env)
        assert task["request"]["request"] == {"what": "a chair", "cents": 48_900}

        await run.signal(task["signal"], {"approved": True, "by": "lee"})

        assert await run.result() == Decision(approved=True, by="lee")
        assert await seen(env) == ["lead"]
        assert await replays(env, approve_purchase, "chair", tmp_path) is RunStatus.COMPLETED


async def test_who_does_not_answer_in_time_is_passed_over() -> None:
    async with TestEnvironment(workflows=workflows) as env:
        run = await env.start(approve_purchase, CHAIR, id="chair")
        await env.settled()
        await env.skip(TWO_DAYS)
        first, _, second = await tasks(env)

        await run.signal(first["signal"], {"approved": True, "by": "lee"})  # too late
        await run.signal(second["signal"], {"approved": False, "by": "kim", "reason": "we have chairs"})

        assert await run.result() == Decision(approved=False, by="kim", reason="we have chairs")
        assert await seen(env) == ["lead", "timed_out", "head"]


async def test_nobody_is_a_no() -> None:
    async with TestEnvironment(workflows=workflows) as env:
        decision = await env.execute(approve_purchase, CHAIR, id="chair")

        assert decision == Decision(approved=False, by="nobody", reason="nobody has decided in time")
        assert await seen(env) == ["lead", "timed_out", "head", "timed_out"]


async def test_an_answer_that_cannot_be_read_is_asked_for_again() -> None:
    async with TestEnvironment(workflows=workflows) as env:
        run = await env.start(approve_purchase, CHAIR, id="chair")
        (task,) = await tasks(env)
        await run.signal(task["signal"], {"approved": "perhaps"})
        again = (await tasks(env))[-1]

        await run.signal(again["signal"], {"approved": True, "by": "lee"})

        assert await run.result() == Decision(approved=True, by="lee")
        assert await seen(env) == ["lead", "answer_refused", "lead"]
