"""A poll is asked, changed and watched by records alone; what it refuses changes nothing and harms nobody."""

from pathlib import Path

from examples.patterns.messages import poll, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import RESULT, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

QUESTION = {"options": ["tea", "coffee"]}


async def says(votes: Thread, kind: str, reply: str, **more: Anything) -> Delivery:
    return await votes.answer("main", {"type": kind, "reply": reply, **more})


def answered(votes: Thread, reply: str, **answer: Anything) -> Emitted:
    return votes.json("poll-answers", {"reply": reply, **answer}, reply)


async def test_a_query_is_answered_and_an_update_counts(tmp_path: Path) -> None:
    async with thread(workflows, key="poll-1") as votes:
        await votes.new(QUESTION)

        await says(votes, "query", "q-1", name="votes")
        await says(votes, "update", "u-1", name="vote", argument="tea")
        await says(votes, "update", "u-2", name="vote", argument="tea")
        await says(votes, "query", "q-2", name="votes", argument=None)
        await says(votes, "update", "u-3", name="close")

        await votes.emits(
            answered(votes, "q-1", value={"tea": 0, "coffee": 0}),
            answered(votes, "u-1", value=1),
            answered(votes, "u-2", value=2),
            answered(votes, "q-2", value={"tea": 2, "coffee": 0}),
            answered(votes, "u-3", value=None),
            votes.json(RESULT, {"tea": 2, "coffee": 0}),
        )
        assert await replays(votes.env, poll, "poll-1", tmp_path) is RunStatus.COMPLETED


async def test_what_is_refused_changes_nothing() -> None:
    async with thread(workflows, key="poll-1") as votes:
        await votes.new(QUESTION)
        await says(votes, "subscribe", "s-1")

        await says(votes, "update", "u-1", name="vote", argument="beer")
        await says(votes, "update", "u-2", name="vote", argument=["tea"])
        await says(votes, "update", "u-3", name="dance")
        await says(votes, "query", "q-1", name="close")
        await votes.answer("main", "what is this?")
        await says(votes, "query", "", name="votes")
        await says(votes, "query", "q-2", name="votes")

        nothing = {"tea": 0, "coffee": 0}
        await votes.emits(
            answered(votes, "s-1", version=0, state=nothing),
            answered(votes, "u-1", error="nobody can vote for 'beer'"),
            answered(votes, "u-2", error="nobody can vote for ['tea']"),
            answered(votes, "u-3", error="there is no update 'dance'"),
            answered(votes, "q-1", error="there is no query 'close'"),
            answered(votes, "q-2", value=nothing),
        )


async def test_subscribers_are_told_of_each_change_until_they_have_enough() -> None:
    async with thread(workflows, key="poll-1") as votes:
        await votes.new(QUESTION)

        await says(votes, "subscribe", "s-1")
        await says(votes, "update", "u-1", name="vote", argument="tea")
        await says(votes, "subscribe", "s-2")
        await says(votes, "query", "q-1", name="votes")
        await says(votes, "unsubscribe", "s-1")
        await says(votes, "unsubscribe", "s-1")
        await says(votes, "update", "u-2", name="vote", argument="coffee")

        one, two = {"tea": 1, "coffee": 0}, {"tea": 1, "coffee": 1}
        await votes.emits(
            answered(votes, "s-1", version=0, state={"tea": 0, "coffee": 0}),
            answered(votes, "u-1", value=1),
            answered(votes, "s-1", version=1, state=one),
            answered(votes, "s-2", version=1, state=one),
            answered(votes, "q-1", value=one),
            answered(votes, "u-2", value=2),
            answered(votes, "s-2", version=2, state=two),
        )


async def test_messages_that_come_before_the_poll_are_handled_once_it_has_begun() -> None:
    async with thread(workflows, key="poll-1") as votes:
        assert await says(votes, "update", "u-1", name="vote", argument="tea") is Delivery.HELD
        assert await says(votes, "query", "q-1", name="votes") is Delivery.HELD

        await votes.new(QUESTION)

        await votes.emits(answered(votes, "u-1", value=1), answered(votes, "q-1", value={"tea": 1, "coffee": 0}))
