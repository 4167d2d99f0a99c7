"""A workflow that keeps a book by signals, queries and updates, and begins anew when told to."""

from typing import Any

from holdfast import WorkflowContext
from tests.play import Anything


async def ledger(ctx: WorkflowContext, rounds: int = 1) -> list[Any]:
    """Keep a book by signals and updates, and begin anew after each signal `turn`."""
    book: list[Any] = []

    def write(entry: Anything) -> int:
        book.append(entry)
        return len(book)

    async def slow(entry: Anything) -> int:
        await ctx.receive_signal("go on")
        return write(entry)

    def positive(entry: Anything) -> None:
        if isinstance(entry, int) and entry < 0:
            raise ValueError("an entry is positive")

    ctx.set_query_handler("book", lambda: book)
    ctx.set_update_handler("write", write, validator=positive)
    ctx.set_update_handler("slow", slow)
    async for turn in ctx.signal_channel("turn"):
        if turn == "end":
            return book
        ctx.continue_as_new(rounds + 1)
    return book
