"""Taking ownership while others write: what they commit in between is kept, and one owner is left."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from holdfast import FencedError
from holdfast.ports import Conflict, Guard, Write, Written
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import collect, engine_on, on_skipping_loop
from tests.unit.engine.stores import Guarded

FENCING: list[tuple[Guard, bool]] = [("key", True), ("key", False), ("batch", True)]


class Overtaken(Guarded):
    """Lets something happen between what a newcomer has read and its claim.

    Attributes:
        before: What happens; each before one claim.
    """

    def __init__(self, guard: Guard, *, atomic: bool, inner: MemoryStore) -> None:
        super().__init__(guard, atomic=atomic, inner=inner)
        self.before: list[Callable[[], Awaitable[object]]] = []

    async def apply(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        if self.before and any(write.key.startswith("owner:") for write in writes):
            await self.before.pop(0)()
        return await super().apply(writes)


@pytest.mark.parametrize(("guard", "atomic"), FENCING)
@on_skipping_loop
async def test_what_the_old_owner_commits_before_a_claim_is_taken_in(guard: Guard, *, atomic: bool) -> None:
    inner = MemoryStore()
    old = engine_on(Guarded(guard, atomic=atomic, inner=inner))
    await old.open()
    await old.start(collect, 4, id="a")
    store = Overtaken(guard, atomic=atomic, inner=inner)
    store.before = [
        lambda: old.signal("a", "n", 1),
        lambda: asyncio.gather(old.signal("a", "n", 2), old.start(collect, 1, id="b")),
    ]

    async with engine_on(store) as new:
        for number in (3, 4):
            await new.signal("a", "n", number)

        assert await new.handle("a").result() == [1, 2, 3, 4]
        assert sorted(item.workflow_id for item in (await new.list()).items) == ["a", "b"]
        with pytest.raises(FencedError):
            await old.signal("a", "n", 5)
    await old.close()


@pytest.mark.parametrize(("guard", "atomic"), FENCING)
@on_skipping_loop
async def test_a_newcomer_that_is_overtaken_by_another_begins_again_behind_it(guard: Guard, *, atomic: bool) -> None:
    inner = MemoryStore()
    other = engine_on(Guarded(guard, atomic=atomic, inner=inner))

    async def takes() -> None:
        await other.open()
        await other.start(collect, 2, id="a")
        await other.signal("a", "n", 1)

    store = Overtaken(guard, atomic=atomic, inner=inner)
    store.before = [takes]
    async with engine_on(store) as last:
        await last.signal("a", "n", 2)
        assert await last.handle("a").result() == [1, 2]
        with pytest.raises(FencedError):
            await other.start(collect, id="b")
    await other.close()
