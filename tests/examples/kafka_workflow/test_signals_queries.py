"""Each query shows what the signals before it have made of the state; the last signal is the end."""

from pathlib import Path

import pytest

from examples.kafka_workflow.signals_queries import workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import KEY, RESULT, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything


async def tell(signals: Thread, type: str, **more: Anything) -> Delivery:
    return await signals.answer("main", {"type": type, **more})


def shown(signals: Thread, *history: str, blocked: bool) -> Emitted:
    return signals.json("temporal-signals-queries-state", {"blocked": blocked, "history": list(history)})


def result(signals: Thread, status: str, *history: str, blocked: bool) -> Emitted:
    return signals.json(RESULT, {"status": status, "blocked": blocked, "history": list(history)})


async def test_it_keeps_its_state_and_returns_it_when_it_is_finished(tmp_path: Path) -> None:
    async with thread(workflows) as signals:
        await signals.new({})
        await signals.emits()

        await tell(signals, "query")
        first = shown(signals, blocked=True)
        await signals.emits(first)
        await tell(signals, "unblock")
        await tell(signals, "addMessage", message="worker ready")
        await signals.emits(first)
        await tell(signals, "query")
        second = shown(signals, "unblock", "worker ready", blocked=False)
        await signals.emits(first, second)
        await tell(signals, "finish")

        end = result(signals, "finished", "unblock", "worker ready", blocked=False)
        await signals.emits(first, second, end)
        assert await replays(signals.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_it_says_where_it_was_when_it_is_canceled(tmp_path: Path) -> None:
    async with thread(workflows) as signals:
        await signals.new({"initiallyBlocked": False})
        await tell(signals, "block")
        await tell(signals, "addMessage", message="operator canceled")

        await tell(signals, "cancel")

        await signals.emits(result(signals, "canceled", "block", "operator canceled", blocked=True))
        assert await replays(signals.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


@pytest.mark.parametrize("odd", [{"type": "sing"}, {"type": "addMessage"}, {"message": "no type"}, "query", None])
async def test_what_is_no_signal_changes_nothing(odd: Anything) -> None:
    async with thread(workflows) as signals:
        await signals.new({})

        await signals.answer("main", odd)
        await tell(signals, "query")

        await signals.emits(shown(signals, blocked=True))


async def test_signals_before_the_start_wait_for_it_and_those_after_the_end_change_nothing() -> None:
    async with thread(workflows) as signals:
        assert await tell(signals, "unblock") is Delivery.HELD
        assert await tell(signals, "query") is Delivery.HELD

        await signals.new({})
        await tell(signals, "finish")
        assert await tell(signals, "query") is Delivery.DEAD

        early = shown(signals, "unblock", blocked=False)
        await signals.emits(early, result(signals, "finished", "unblock", blocked=False))
