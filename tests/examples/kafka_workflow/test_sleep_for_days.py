"""A mail for each month of sleep, and an end to it whenever somebody completes the thread."""

import json
from pathlib import Path

import pytest

from examples.kafka_workflow.sleep_for_days import sleep_for_days, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

EMAIL = "temporal-sleep-for-days-send-email"
AWAIT = "temporal-sleep-for-days-await-complete"
CANCEL = "temporal-sleep-for-days-await-complete-cancel"


async def mailed(sleeper: Thread, message: str) -> tuple[str, Emitted]:
    """The newest mail: the ref that says it is sent, and its record."""
    said = json.loads((await sleeper.on(EMAIL))[-1])
    iteration = int(message.rsplit(" ", maxsplit=1)[1])
    assert f":send-email:{iteration}:" in said["ref"]
    return said["ref"], sleeper.json(EMAIL, {"iteration": iteration, "message": message, "ref": said["ref"]})


async def timers(sleeper: Thread) -> list[str]:
    """The addresses of all timers that were set, in order."""
    return [each.key for each in await sleeper.emitted() if each.topic == SCHEDULER and each.value != "0"]


async def complete(sleeper: Thread, value: Anything) -> None:
    await sleeper.answer("complete", value)


def result(sleeper: Thread, by: str, emails: int) -> Emitted:
    return sleeper.json(RESULT, {"status": "completed", "completedBy": by, "emailsSent": emails})


@pytest.mark.parametrize(("value", "by"), [({"completedBy": "user"}, "user"), ({}, "unknown"), (None, "unknown")])
async def test_completion_calls_the_long_timer_off(value: Anything, by: str, tmp_path: Path) -> None:
    async with thread(workflows) as sleeper:
        await sleeper.new({"days": 30, "message": "Still sleeping"})
        sent, email = await mailed(sleeper, "Still sleeping: 1")
        await sleeper.emits(email)

        await sleeper.answer(sent, {"sent": True})
        (timer,) = await timers(sleeper)
        waiting = [email, sleeper.of(SCHEDULER, "2592000000", timer), sleeper.json(AWAIT, {"ref": "complete"})]
        await sleeper.emits(*waiting)

        await complete(sleeper, value)
        await sleeper.emits(*waiting, sleeper.of(SCHEDULER, "0", timer), result(sleeper, by, 1))
        assert await replays(sleeper.env, sleep_for_days, KEY, tmp_path) is RunStatus.COMPLETED


async def woken(sleeper: Thread) -> list[Emitted]:
    """Start a thread and let it sleep once: what it has emitted when it sends its second mail."""
    await sleeper.new({"days": 1})
    sent, first = await mailed(sleeper, "Still sleeping: 1")
    await sleeper.answer(sent)
    (timer,) = await timers(sleeper)
    await sleeper.fire(timer)
    _, second = await mailed(sleeper, "Still sleeping: 2")
    emitted = [
        first,
        sleeper.of(SCHEDULER, "86400000", timer),
        sleeper.json(AWAIT, {"ref": "complete"}),
        sleeper.json(CANCEL, {"ref": "complete"}),
        second,
    ]
    await sleeper.emits(*emitted)
    return emitted


async def test_a_thread_that_wakes_sends_the_next_mail_and_sleeps_on(tmp_path: Path) -> None:
    async with thread(workflows) as sleeper:
        emitted = await woken(sleeper)

        sent, _ = await mailed(sleeper, "Still sleeping: 2")
        await sleeper.answer(sent)
        await complete(sleeper, {"completedBy": "test"})

        _, timer = await timers(sleeper)
        await sleeper.emits(
            *emitted,
            sleeper.of(SCHEDULER, "86400000", timer),
            sleeper.json(AWAIT, {"ref": "complete"}),
            sleeper.of(SCHEDULER, "0", timer),
            result(sleeper, "test", 2),
        )
        assert await replays(sleeper.env, sleep_for_days, KEY, tmp_path) is RunStatus.COMPLETED


@pytest.mark.parametrize("asleep_before", [False, True])
async def test_completion_while_a_mail_is_sent_is_not_lost(*, asleep_before: bool) -> None:
    async with thread(workflows) as sleeper:
        emitted = await woken(sleeper) if asleep_before else []
        if not asleep_before:
            await sleeper.new({"days": 1})
            emitted = [(await mailed(sleeper, "Still sleeping: 1"))[1]]
        await complete(sleeper, {"completedBy": "ann"})
        await sleeper.emits(*emitted)

        emails = len(await sleeper.on(EMAIL))
        sent, _ = await mailed(sleeper, f"Still sleeping: {emails}")
        await sleeper.answer(sent)

        timer = (await timers(sleeper))[-1]
        await sleeper.emits(
            *emitted,
            sleeper.of(SCHEDULER, "86400000", timer),
            sleeper.json(AWAIT, {"ref": "complete"}),
            sleeper.of(SCHEDULER, "0", timer),
            result(sleeper, "ann", emails),
        )


async def test_a_timer_that_fires_after_completion_is_a_dead_letter() -> None:
    async with thread(workflows) as sleeper:
        await sleeper.new({"days": 1})
        sent, _ = await mailed(sleeper, "Still sleeping: 1")
        await sleeper.answer(sent)
        await complete(sleeper, {"completedBy": "ann"})
        before = await sleeper.emitted()

        assert await sleeper.fire((await timers(sleeper))[0]) is Delivery.DEAD
        await sleeper.emits(*before)


async def test_a_mail_that_cannot_be_sent_ends_the_thread() -> None:
    async with thread(workflows) as sleeper:
        await sleeper.new({})
        sent, email = await mailed(sleeper, "Still sleeping: 1")
        await sleeper.reject(sent, {"code": 550})

        await sleeper.emits(email, sleeper.json(ERROR, {"code": 550}))


async def test_a_sleep_of_no_time_at_all_is_no_timer_called_off() -> None:
    async with thread(workflows) as sleeper:
        await sleeper.new({"days": 0})
        sent, email = await mailed(sleeper, "Still sleeping: 1")
        await sleeper.answer(sent)

        (timer,) = await timers(sleeper)
        await sleeper.emits(email, sleeper.of(SCHEDULER, "+0", timer), sleeper.json(AWAIT, {"ref": "complete"}))
