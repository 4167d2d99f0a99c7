"""What is left behind is given back or taken over: one of the two, once."""

import asyncio
from datetime import timedelta
from pathlib import Path

from examples.patterns.delayed_cleanup import (
    RELEASES,
    Resource,
    clean_up_later,
    delayed_cleanup,
    take_over,
    workflows,
)
from holdfast import RunStatus, WorkflowContext
from holdfast.testing import TestEnvironment
from tests.examples.kit import replays

ROOM = Resource("room-7", "room")
HOUR = timedelta(hours=1)
TEN_MINUTES = timedelta(minutes=10)


async def leave(ctx: WorkflowContext, resource: Resource) -> None:
    clean_up_later(ctx, resource, after=HOUR)


async def adopt(ctx: WorkflowContext, resource: Resource) -> bool:
    return await take_over(ctx, resource)


def environment() -> TestEnvironment:
    return TestEnvironment(workflows=[*workflows, leave, adopt])


async def given_back(env: TestEnvironment) -> list[bytes]:
    return [record.value for record in await env.outputs(RELEASES)]


async def test_what_nobody_takes_over_is_given_back_when_the_time_is_over(tmp_path: Path) -> None:
    async with environment() as env:
        await env.execute(leave, ROOM, id="owner")
        await env.skip(HOUR - TEN_MINUTES)
        assert await given_back(env) == []

        await env.skip(TEN_MINUTES)

        assert await given_back(env) == [b'{"id":"room-7","kind":"room"}']
        assert await env.handle("cleanup-room-7").result() == "given back"
        assert await replays(env, delayed_cleanup, "cleanup-room-7", tmp_path) is RunStatus.COMPLETED


async def test_what_is_taken_over_is_not_given_back(tmp_path: Path) -> None:
    async with environment() as env:
        await env.execute(leave, ROOM, id="owner")
        await env.settled()

        adopter = await env.engine.start(adopt, ROOM, id="adopter")
        assert await adopter.result(timeout=5) is True

        await env.skip(2 * HOUR)
        assert await given_back(env) == []
        assert await env.handle("cleanup-room-7").result() == "taken over"
        assert await replays(env, delayed_cleanup, "cleanup-room-7", tmp_path) is RunStatus.COMPLETED


async def test_who_comes_too_late_is_told_so() -> None:
    async with environment() as env:
        await env.execute(leave, ROOM, id="owner")
        await env.settled()
        await env.skip(HOUR)

        assert await env.execute(adopt, ROOM, id="adopter") is False
        assert len(await given_back(env)) == 1


async def test_of_two_only_one_takes_it_over() -> None:
    async with environment() as env:
        await env.execute(leave, ROOM, id="owner")
        await env.settled()

        adopters = [await env.engine.start(adopt, ROOM, id=f"adopter-{number}") for number in range(2)]

        taken = await asyncio.gather(*(adopter.result(timeout=5) for adopter in adopters))
        assert sorted(taken) == [False, True]
        await env.skip(HOUR)
        assert await given_back(env) == []
