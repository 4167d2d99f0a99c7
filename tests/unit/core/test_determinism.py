"""What stands in for clock, randomness and versions of the code is the same on every replay."""

import asyncio
import logging
import random
from typing import Any

import pytest

from holdfast import WorkflowContext
from holdfast.core.history import Event, EventType
from tests.play import Anything, Begin, Play


async def lottery(ctx: WorkflowContext) -> list[Any]:
    async def draw(name: str) -> list[Any]:
        first = ctx.random().random()
        await ctx.execute_activity(name)
        return [first, ctx.random().randint(1, 1_000), str(ctx.uuid4())]

    before = ctx.random().random()
    drawn = await asyncio.gather(draw("a"), draw("b"))
    return [before, ctx.random().random(), str(ctx.uuid4()), *drawn]


def drawn_in(order: str, seed: int = 7) -> Anything:
    with Play(lottery, seed=seed) as play:
        play.start()
        for name in order:
            play.complete(name)
        return play.result


def test_random_numbers_are_the_same_in_any_completion_order() -> None:
    assert drawn_in("ab") == drawn_in("ba")


def test_random_numbers_follow_the_seed_of_the_run() -> None:
    assert drawn_in("ab", seed=1) != drawn_in("ab", seed=2)


def test_each_task_draws_from_a_stream_of_its_own() -> None:
    before, after, _, first, second = drawn_in("ab")

    assert len({before, after, first[0], second[0]}) == 4
    assert first[2] != second[2]


def test_random_is_pythons_own_and_uuid4_a_real_one(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        made = [ctx.uuid4() for _ in range(50)]
        assert isinstance(ctx.random(), random.Random)
        assert ctx.random() is ctx.random()
        return [len(set(made)), {uuid.version for uuid in made} == {4}]

    assert begin(run).result == [50, True]


def test_drawing_leaves_the_processs_own_randomness_alone(begin: Begin) -> None:
    random.seed(3)
    expected = random.random()
    random.seed(3)

    begin(lottery)

    assert random.random() == expected


async def patched(ctx: WorkflowContext) -> list[Any]:
    seen: list[Any] = []
    for number in range(3):
        seen.append("new" if ctx.patched("change") else "old")
        await ctx.execute_activity(f"step{number}")
    return seen


async def unpatched(ctx: WorkflowContext) -> None:
    for number in range(3):
        await ctx.execute_activity(f"step{number}")


def test_a_fresh_run_takes_the_new_side_and_records_it_once(begin: Begin) -> None:
    play = begin(patched)
    assert play.words == ["patch_marked change", "activity_started step0"]
    for number in range(3):
        play.complete(f"step{number}")

    assert play.result == ["new"] * 3
    assert [event.type for event in play.history].count(EventType.PATCH_MARKED) == 1


def test_a_run_from_before_the_change_takes_the_old_side_for_good(begin: Begin) -> None:
    play = begin(unpatched)
    play.complete("step0")

    changed = play.on_code(patched)
    changed.complete("step1")
    changed.complete("step2")

    assert changed.result == ["old"] * 3
    changed.replayed()


def test_a_run_that_reaches_the_change_after_the_deploy_takes_the_new_side(begin: Begin) -> None:
    async def before(ctx: WorkflowContext) -> str:
        await ctx.execute_activity("first")
        return "before"

    async def after(ctx: WorkflowContext) -> str:
        await ctx.execute_activity("first")
        return "new" if ctx.patched("change") else "old"

    play = begin(before)
    changed = play.on_code(after)
    changed.complete("first")

    assert changed.words == ["patch_marked change", "workflow_completed"]
    assert changed.result == "new"
    changed.replayed()


def test_the_marker_decides_on_every_later_replay(begin: Begin) -> None:
    play = begin(patched)
    play.complete("step0")
    play.reload()
    play.complete("step1")
    play.reload()
    play.complete("step2")

    assert play.result == ["new"] * 3


def test_each_change_has_its_own_marker(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[bool]:
        return [ctx.patched("a"), ctx.patched("b"), ctx.patched("a")]

    play = begin(run)

    assert play.words == ["patch_marked a", "patch_marked b", "workflow_completed"]
    assert play.result == [True] * 3


def test_taking_a_marked_change_out_again_does_not_fit(begin: Begin) -> None:
    play = begin(patched)

    with pytest.raises(Exception, match="expected patch_marked 'change', found nothing"):
        play.on_code(unpatched)


def test_is_replaying_tells_replay_from_the_first_time(begin: Begin) -> None:
    seen: list[bool] = []

    async def run(ctx: WorkflowContext) -> None:
        seen.append(ctx.is_replaying)
        await ctx.execute_activity("a")
        seen.append(ctx.is_replaying)
        await ctx.execute_activity("b")

    play = begin(run)
    play.complete("a")
    assert seen == [False, False]

    play.reload()
    assert seen[2:] == [True, True]


def test_the_logger_speaks_once_and_knows_the_run(begin: Begin, caplog: pytest.LogCaptureFixture) -> None:
    async def run(ctx: WorkflowContext) -> None:
        ctx.logger.info("begun", extra={"amount": 5})
        await ctx.execute_activity("a")
        ctx.logger.info("after %s", "a")

    caplog.set_level(logging.INFO)
    play = begin(run)
    play.reload()
    play.complete("a")
    play.replayed()

    assert [record.message for record in caplog.records] == ["begun", "after a"]
    first: Any = caplog.records[0]
    assert (first.workflow_id, first.run_id, first.workflow, first.amount) == ("wf", "run", "run", 5)


def test_the_logger_is_silent_while_the_run_is_taken_apart(begin: Begin, caplog: pytest.LogCaptureFixture) -> None:
    async def run(ctx: WorkflowContext) -> None:
        try:
            await ctx.execute_activity("a")
        finally:
            ctx.logger.error("this never happened")

    begin(run).close()

    assert "this never happened" not in caplog.text


def test_a_value_that_the_code_changes_is_whole_again_on_replay(begin: Begin) -> None:
    async def run(ctx: WorkflowContext, order: dict[str, Any]) -> list[Any]:
        order["items"].append("from the run")
        result = await ctx.execute_activity("a", order)
        result["count"] += 1
        signal = await ctx.receive_signal("s")
        signal.append(2)
        return [order, result, signal]

    play = begin(run, {"items": []})
    assert play.asked[0].value == b'{"items":["from the run"]}'
    play.complete("a", {"count": 1})
    play.reload()
    play.signal("s", [1])

    assert play.result == [{"items": ["from the run"]}, {"count": 2}, [1, 2]]
    assert play.replayed().outcome == play.run.outcome


def test_what_is_sent_is_what_it_was_at_the_call(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        order = {"n": 1}
        call = asyncio.create_task(ctx.execute_activity("a", order))
        await asyncio.sleep(0)
        order["n"] = 2
        await call

    assert begin(run).asked[0].value == b'{"n":1}'


def test_live_code_sees_what_replayed_code_will_see(begin: Begin) -> None:
    """A tuple goes out and a list comes back; were it handed over in memory, only the replay would show the list."""

    async def run(ctx: WorkflowContext, value: Anything) -> list[str]:
        return [type(value).__name__, type(await ctx.execute_activity("a")).__name__]

    play = begin(run, (1, 2))
    play.complete("a", (1, 2))

    assert play.result == ["list", "list"]


def test_time_stands_still_within_an_event(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> bool:
        before = ctx.now()
        await asyncio.sleep(0)
        return before == ctx.now()

    assert begin(run).result is True


def test_attributes_are_merged_and_none_removes_one(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        ctx.set_attributes(city="Ulm", amount=5)
        ctx.set_attributes(city=None, paid=True, rate=0.5)

    play = begin(run)

    assert [command.value for command in play.asked[:2]] == [
        b'{"city":"Ulm","amount":5}',
        b'{"amount":5,"paid":true,"rate":0.5}',
    ]


@pytest.mark.parametrize("value", [[1], {"a": 1}, object(), float("nan"), "x" * 5_000])
def test_an_attribute_is_a_plain_value_of_bounded_size(begin: Begin, value: Anything) -> None:
    async def run(ctx: WorkflowContext) -> None:
        ctx.set_attributes(bad=value)

    play = begin(run)

    assert play.words == ["workflow_failed"]
    assert play.failure.type == "PayloadError"


def test_an_event_says_what_it_is_in_words() -> None:
    assert Event(EventType.ACTIVITY_STARTED, 0, "3", "charge").words() == "activity_started 'charge' (id 3)"
    assert Event(EventType.WORKFLOW_PAUSED, 0).words() == "workflow_paused"
