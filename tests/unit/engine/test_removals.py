"""Taking outputs out of the outboxes of their runs: what is remembered until that is stored."""

import asyncio
from collections.abc import Callable

import pytest

from holdfast import StoreError
from holdfast.engine.records.outbox import Outgoing, OutgoingKind
from holdfast.engine.runs.items import Item
from holdfast.engine.runs.results import Published
from holdfast.engine.work.removals import Removals
from tests.unit.engine.kit import on_skipping_loop

ENTRY = Outgoing("run", 1, OutgoingKind.OUTPUT, "", "1")


class Post:
    """Takes items, and leaves it to the test what becomes of them."""

    def __init__(self) -> None:
        self.items: list[Published] = []
        self.closed = False

    def submit(self, workflow_id: str, item: Item) -> None:
        assert workflow_id == "a"
        if self.closed:
            raise StoreError("the engine is closed")
        assert isinstance(item, Published)
        self.items.append(item)

    async def settle(self, end: Callable[[Published], None]) -> None:
        """Let what was submitted come to an end."""
        items, self.items = self.items, []
        for item in items:
            end(item)
        await asyncio.sleep(0)


def refused(item: Published) -> None:
    item.refuse(StoreError("too large"))


@pytest.mark.parametrize(
    ("write", "end", "remembered"),
    [
        (False, lambda item: item.accept(value=True), False),
        (False, lambda item: item.accept(value=False), True),
        (False, refused, True),
        (True, lambda item: item.accept(value=True), False),
        (True, refused, False),
    ],
)
@on_skipping_loop
async def test_an_output_is_remembered_until_it_is_stored_as_gone_or_never_will_be(
    write: bool,  # noqa: FBT001 - a parameter of the test
    end: Callable[[Published], None],
    remembered: bool,  # noqa: FBT001 - as above
) -> None:
    post = Post()
    removals = Removals(post)
    removals.add("a", ENTRY)
    if write:
        await post.settle(lambda item: item.accept(value=False))
        await asyncio.sleep(1)
    assert [item.write for item in post.items] == [write]
    await post.settle(end)

    assert removals.holds("a", ENTRY) is remembered
    removals.halt()


@on_skipping_loop
async def test_what_cannot_be_told_any_more_stays_remembered_and_is_not_asked_for_again() -> None:
    post = Post()
    removals = Removals(post)
    post.closed = True
    removals.add("a", ENTRY)
    await asyncio.sleep(0)
    assert removals.holds("a", ENTRY)
    removals.halt()
    post.closed = False
    await asyncio.sleep(10)

    assert post.items == []
