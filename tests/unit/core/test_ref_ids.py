"""Ids and keys of refs: by them they are answered from outside, and replay makes them again."""

import pytest

from holdfast import PayloadError, WorkflowContext
from holdfast.core.host import RunInfo
from holdfast.core.instance import Instance
from tests.play import Anything, Begin, Play
from tests.unit.core.combining import completed


async def tells_its_id(ctx: WorkflowContext) -> Anything:
    """Wait for a ref, whose id is to be had by a query."""
    ref = ctx.ref("decision")
    ctx.set_query_handler("ref", lambda: [ref.id, ref.key])
    return await ref


def test_the_key_is_where_a_scheduler_sends_the_answer(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        return [ctx.ref_id('a"b').key, ctx.ref_id("c", "cart/7").key, ctx.ref_id("ü|").key]

    completed(begin(run), ['wf|{"ref":"a\\"b"}', 'cart/7|{"ref":"c"}', 'wf|{"ref":"ü|"}'])


def test_the_key_names_the_thread_that_the_run_was_started_under() -> None:
    with Play(tells_its_id) as play:
        play.info = RunInfo("t-abc", "run", 7, thread_key="cart/7")
        play.run = Instance(play.registry.workflow(tells_its_id), play.info, play.host)
        id, key = play.start().query("ref")

    assert key == f'cart/7|{{"ref":"{id}"}}'


def ids_of(seed: int, run_id: str = "run") -> list[str]:
    async def run(ctx: WorkflowContext) -> list[str]:
        async def branch() -> str:
            return ctx.ref("branch").id

        return [ctx.ref().id, ctx.ref("a").id, ctx.ref("a").id, *(await ctx.all(branch(), branch()))]

    with Play(run, seed=seed) as play:
        play.info = RunInfo("wf", run_id, seed)
        play.run = Instance(play.registry.workflow(run), play.info, play.host)
        ids: list[str] = play.start().result
        assert play.replayed().outcome == play.run.outcome
        return ids


def test_ids_are_all_different_and_name_their_ref() -> None:
    ids = ids_of(1)

    assert len({*ids, *ids_of(2)}) == 2 * len(ids)
    assert [id.split(":")[1] for id in ids] == ["ref", "a", "a", "branch", "branch"]


def test_ids_are_those_of_the_run_that_is_run_again() -> None:
    """A rerun replays the beginning of another run's history, with its seed, and waits for the same answers."""
    assert ids_of(1, "the-first") == ids_of(1, "run-again")


@pytest.mark.parametrize("id", ["", "x" * 1_025, "\ud800", 5])
def test_an_id_that_cannot_be_stored_is_refused(begin: Begin, id: Anything) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            await ctx.ref_id(id)
        except PayloadError as error:
            return str(error)
        return "taken"

    assert begin(run).result.startswith("ref id ")


def test_a_ref_that_has_its_answer_is_given_again_until_somebody_awaits_it(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Anything]:
        first = ctx.ref_id("inbox")
        await ctx.ref_id("go")
        assert first.done
        return [await ctx.ref_id("inbox"), await ctx.ref_id("inbox"), await first]

    play = begin(run)
    play.resolve("inbox", 1)
    play.resolve("inbox", 2)
    play.resolve("go")

    completed(play, [1, 2, 1])
