"""Workflows of the corpus that talk: signals, updates, children, other runs, the run that follows."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from holdfast import ActivityError, ChildWorkflowError, RetryPolicy, WorkflowContext, WorkflowNotFoundError
from tests.laws.activities import ACTIVITIES, double, echo, flaky, large, refuse, undo
from tests.laws.case import Case, Deed, cancel, case, pause, resume, signal, update
from tests.play import Anything, Code


async def channel(ctx: WorkflowContext) -> list[Any]:
    taken = []
    async for item in ctx.signal_channel("item"):
        if item == "stop":
            break
        taken.append(await ctx.execute_activity(echo, item))
    return taken


async def two_readers(ctx: WorkflowContext) -> list[Any]:
    """Two tasks take from one name, and one of them gives up in between."""

    async def read(count: int) -> list[Any]:
        return [await ctx.receive_signal("item") for _ in range(count)]

    first, second = asyncio.create_task(read(5)), asyncio.create_task(read(3))
    await ctx.sleep(2)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    return await second


@dataclass
class Cart:
    items: list[str]
    closed: bool = False


async def cart(ctx: WorkflowContext) -> Cart:
    """Updates change what conditions wait for, while activities run; one handler calls activities itself."""
    state = Cart([])

    async def add(item: str) -> list[str]:
        state.items.append(item)
        priced = await asyncio.gather(ctx.execute_activity(echo, item), ctx.execute_activity(double, len(item)))
        state.items.append(f"{priced[0]}: {priced[1]}")
        return state.items

    def close() -> bool:
        state.closed = True
        return state.closed

    async def fail() -> None:
        await ctx.execute_activity(refuse, "the update")

    def check(item: str) -> None:
        if item == "bad":
            message = "bad is not sold"
            raise ValueError(message)

    ctx.set_update_handler("add", add, validator=check)
    ctx.set_update_handler("close", close)
    ctx.set_update_handler("fail", fail)
    ctx.set_query_handler("items", lambda: state.items)
    await ctx.wait_condition(lambda: state.items)
    await ctx.execute_activity(echo, "first")
    await ctx.wait_condition(lambda: state.closed)
    with contextlib.suppress(TimeoutError):
        await ctx.wait_condition(lambda: len(state.items) > 100, timeout=4)
    return state


async def leaf(ctx: WorkflowContext, number: int) -> int:
    if number == 2:
        await ctx.execute_activity(refuse, number)
    await ctx.sleep(number)
    return await ctx.execute_activity(double, number)


async def parent(ctx: WorkflowContext, count: int) -> list[Any]:
    """Children side by side, one of which fails."""

    async def one(number: int) -> object:
        try:
            return await ctx.execute_child(leaf, number)
        except ChildWorkflowError as error:
            return str(error.cause.type)

    return list(await asyncio.gather(*(one(number) for number in range(count))))


async def patient(ctx: WorkflowContext, name: str) -> str:
    try:
        await ctx.receive_signal("go")
    except asyncio.CancelledError:
        await ctx.execute_activity(undo, name)
        raise
    return name


async def leaves_children(ctx: WorkflowContext) -> list[Any]:
    """End before the children do: each is seen to as it was started to be; two are heard from before."""
    for policy in ("cancel", "terminate", "abandon"):
        ctx.start_child(patient, policy, id=f"left-to-{policy}", parent_close=policy)
    called_off = ctx.start_child(patient, "called off")
    signalled = ctx.start_child(patient, "signalled")
    await ctx.sleep(1)
    called_off.cancel()
    await signalled.signal("go")
    with contextlib.suppress(ChildWorkflowError):
        await called_off.result()
    return [await signalled.result(), await ctx.execute_activity(echo, "end")]


async def grandparent(ctx: WorkflowContext) -> list[Any]:
    return [await ctx.execute_child(parent, 2), await ctx.execute_child(leaf, 1)]


async def bounded_child(ctx: WorkflowContext) -> str:
    """A child that is given up on."""
    try:
        async with asyncio.timeout(3):
            await ctx.execute_child(patient, "slow")
    except TimeoutError:
        return "gave up"
    return "no"


async def chain(ctx: WorkflowContext, state: list[int]) -> list[int]:
    """Take two signals in each run, and go on as the next one until there are seven."""
    ctx.set_attributes(taken=len(state))
    for _ in range(2):
        state.append(await ctx.receive_signal("n"))
        await ctx.execute_activity(echo, state)
        if len(state) == 7:
            return state
    return ctx.continue_as_new(state)


async def changed(ctx: WorkflowContext) -> list[Any]:
    """Two changes to the code, one of them met by two tasks."""

    async def branch(name: str) -> Any:  # noqa: ANN401
        await ctx.execute_activity(echo, name)
        if ctx.patched("second step"):
            await ctx.execute_activity(echo, f"{name} again")
        return name

    if ctx.patched("greeting"):
        await ctx.execute_activity(echo, "hello")
    return list(await asyncio.gather(branch("a"), branch("b")))


async def dice(ctx: WorkflowContext) -> list[Any]:
    """Decide by chance, in several tasks, and tell time and ids."""

    async def throw(name: str) -> list[Any]:
        seen: list[Any] = []
        while (number := ctx.random().randint(1, 6)) < 5:
            seen.append(await ctx.execute_activity(double, number))
            if ctx.random().random() < 0.3:
                await ctx.sleep(ctx.random().randint(1, 3))
        return [name, *seen, str(ctx.uuid4()), ctx.now().isoformat()]

    return list(await asyncio.gather(throw("a"), throw("b"), throw("c")))


async def retries(ctx: WorkflowContext) -> list[Any]:
    """Some work in the end, some never."""
    policy = RetryPolicy(max_attempts=2, initial_interval=1)
    return [
        str(answer)
        for answer in await asyncio.gather(
            ctx.execute_activity(flaky, 1),
            ctx.execute_activity(flaky, 3),
            ctx.execute_activity(flaky, 9),
            ctx.execute_activity(flaky, 2, retry=policy),
            ctx.execute_activity(flaky, 3, timeout=1, schedule_to_close=4),
            return_exceptions=True,
        )
    ]


async def attributes(ctx: WorkflowContext) -> str:
    for step in range(3):
        ctx.set_attributes(step=step, even=step % 2 == 0, last=None if step else "x")
        await ctx.sleep(1)
    return ctx.workflow_id


async def letters(ctx: WorkflowContext) -> list[Any]:
    """Signal itself and nobody, and know what came of it."""
    await ctx.signal(ctx.workflow_id, "own", {"n": 1})
    ctx.signal(ctx.workflow_id, "own", {"n": 2})
    answers: list[Any] = [await ctx.receive_signal("own"), await ctx.receive_signal("own")]
    try:
        await ctx.signal("nobody", "x")
    except WorkflowNotFoundError as error:
        answers.append(str(error))
    return answers


async def stoppable(ctx: WorkflowContext) -> list[Any]:
    """Paused while everything goes on: what comes meanwhile is put off."""
    results = await asyncio.gather(
        ctx.receive_signal("n"), ctx.execute_activity(echo, 1), ctx.sleep(4), ctx.receive_signal("n")
    )
    return [*results, await ctx.receive_signal("n", timeout=3)]


async def fails(ctx: WorkflowContext) -> None:
    try:
        await ctx.execute_activity(refuse, "it")
    except ActivityError as error:
        message = "with a cause"
        raise ValueError(message) from error


async def heavy(ctx: WorkflowContext) -> list[int]:
    """Values that are stored apart from the run."""
    texts = await asyncio.gather(*(ctx.execute_activity(large, 3_000 + number) for number in range(3)))
    return [len(await ctx.execute_activity(echo, text)) for text in texts]


async def open_ended(ctx: WorkflowContext) -> None:
    """Still waits when the history is looked at."""
    ctx.set_query_handler("what", lambda: "waits")
    await asyncio.gather(ctx.receive_signal("never"), ctx.sleep(10_000), ctx.execute_activity(echo, 1))


def of(workflow: Code, *deeds: Deed, **options: Anything) -> Case:
    return case(workflow, *deeds, activities=ACTIVITIES, **options)


def numbers(*moments: float, name: str = "n") -> tuple[Deed, ...]:
    return tuple(signal(at, name, position) for position, at in enumerate(moments))


CASES = (
    of(channel, *numbers(0, 0, 1, 3, 3, name="item"), signal(8, "item", "stop")),
    of(two_readers, *numbers(0, 1, 2, 2, 3, 4, 5, 6, name="item")),
    of(
        cart,
        *(update(at, "add", item) for at, item in ((1, "tea"), (1, "bad"), (2, "milk"))),
        update(3, "fail"),
        update(3, "unknown"),
        update(5, "add", "bread"),
        update(6, "close"),
        update(7, "add", "late"),
    ),
    of(parent, input=4, helpers=(leaf,)),
    of(leaves_children, helpers=(patient,)),
    of(grandparent, helpers=(parent, leaf)),
    of(bounded_child, helpers=(patient,)),
    of(parent, cancel(2), input=4, helpers=(leaf,), name="parent_cancelled"),
    of(chain, *numbers(0, 0, 1, 2, 2, 2, 3), input=[]),
    of(changed),
    of(dice),
    of(retries),
    of(attributes),
    of(letters),
    of(stoppable, pause(1), *numbers(2, 2, 3), resume(9)),
    of(stoppable, *numbers(1), pause(2), cancel(3), resume(9), name="stoppable_cancelled"),
    of(fails),
    of(heavy),
    of(open_ended, signal(1, "other"), within=30),
)
