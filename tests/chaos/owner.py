"""A process that owns the runs of a shared store, and works: ``python -m tests.chaos.owner SOCKET NAME ROLE``.

As the ``first`` it signals one run over and over, and prints each number that was acknowledged. As the ``successor``
it signals that run a few times, makes a commit for each of many runs, says so, and ends when its input does.
It exits with 75 where it learns that it is not the owner any more.
"""

import asyncio
import itertools
import sys

from holdfast import Engine, FencedError, WorkflowContext
from tests.chaos.shared_store import SharedStore

COMMITS = 1_200
FROM_SUCCESSOR = 10_000
FENCED_STATUS = 75


async def collect(ctx: WorkflowContext) -> list[int]:
    """Take numbers until a negative one comes."""
    taken: list[int] = []
    ctx.set_query_handler("taken", lambda: taken)
    while (number := await ctx.receive_signal("n")) >= 0:
        taken.append(number)
        await ctx.execute_activity(note, number)
    return taken


async def brief(ctx: WorkflowContext, number: int) -> int:
    return await ctx.execute_activity(note, number)


async def note(number: int) -> int:
    return number


def tell(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - the test reads it


async def work_on(engine: Engine) -> None:
    await engine.start(collect, id="numbers", on_conflict="use_existing")
    for number in itertools.count():
        await engine.signal("numbers", "n", number, id=f"first-{number}")
        tell(number)


async def take_over(engine: Engine) -> None:
    before = engine.stats().commits
    for number in range(FROM_SUCCESSOR, FROM_SUCCESSOR + 5):
        await engine.signal("numbers", "n", number, id=f"successor-{number}")
    runs = itertools.count()
    while engine.stats().commits - before < COMMITS:
        await engine.start(brief, number := next(runs), id=f"brief-{number}")
    await engine.settled()
    tell("done", engine.stats().commits - before)
    await asyncio.to_thread(sys.stdin.read)


async def main(path: str, name: str, role: str) -> None:
    store = SharedStore(path, role)
    engine = Engine(store, workflows=[collect, brief], activities=[note], instance=name, drain=1)
    await engine.open()
    tell("open")
    try:
        await (work_on(engine) if role == "first" else take_over(engine))
    finally:
        await engine.close()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except FencedError as fenced:
        tell("fenced:", fenced)
        sys.exit(FENCED_STATUS)
