"""What replay could not repeat is refused by the loop, and the message names what to do instead."""

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import WorkflowContext
from holdfast.core.loop import WorkflowLoop
from tests.play import Begin

ACTIVITY = r"move that into an activity and await ctx\.execute_activity"
THREAD = r"a plain def activity runs on a thread of its own"
SIGNAL = r"to hear from outside, await ctx\.receive_signal"
ENGINE = r"the engine runs the workflow; await what you need"
OWN = r"the tasks of a run are the engine's own"


async def thread() -> None:
    await asyncio.to_thread(time.time)


async def executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, time.time)


async def connection() -> None:
    await asyncio.open_connection("localhost", 80)


async def server() -> None:
    await asyncio.start_server(lambda _reader, _writer: None, "localhost", 0)


async def unix() -> None:
    await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, "x")


async def datagram() -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol)


async def name() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def receive() -> None:
    with socket.socket() as plain:
        await asyncio.get_running_loop().sock_recv(plain, 1)


async def process() -> None:
    await asyncio.create_subprocess_exec("true", stdout=subprocess.DEVNULL)


async def shell() -> None:
    await asyncio.create_subprocess_shell("true")


async def reader() -> None:
    asyncio.get_running_loop().add_reader(0, print)


async def signals() -> None:
    asyncio.get_running_loop().add_signal_handler(2, print)


async def other_thread() -> None:
    asyncio.get_running_loop().call_soon_threadsafe(print)


async def from_thread() -> None:
    with contextlib.closing(asyncio.sleep(0)) as never_awaited:
        asyncio.run_coroutine_threadsafe(never_awaited, asyncio.get_running_loop())


async def forever() -> None:
    asyncio.get_running_loop().run_forever()


async def stop() -> None:
    asyncio.get_running_loop().stop()


async def close() -> None:
    asyncio.get_running_loop().close()


async def factory() -> None:
    asyncio.get_running_loop().set_task_factory(None)


async def debug() -> None:
    asyncio.get_running_loop().set_debug(enabled=True)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")  # asyncio's own, when its call is refused
@pytest.mark.parametrize(
    ("attempt", "instead"),
    [
        (thread, THREAD),
        (executor, THREAD),
        (connection, ACTIVITY),
        (server, ACTIVITY),
        (unix, ACTIVITY),
        (datagram, ACTIVITY),
        (name, ACTIVITY),
        (receive, ACTIVITY),
        (process, ACTIVITY),
        (shell, ACTIVITY),
        (reader, ACTIVITY),
        (signals, SIGNAL),
        (other_thread, SIGNAL),
        (from_thread, SIGNAL),
        (forever, ENGINE),
        (stop, ENGINE),
        (close, ENGINE),
        (factory, OWN),
        (debug, OWN),
    ],
)
def test_a_way_out_of_the_run_is_refused_with_the_allowed_way_named(
    begin: Begin, attempt: Callable[[], Any], instead: str
) -> None:
    async def run(ctx: WorkflowContext) -> None:
        await attempt()

    play = begin(run)

    assert play.status == "failed"
    assert play.failure.type == "NondeterminismError"
    pytest.importorskip("re").search(instead, play.failure.message) or pytest.fail(play.failure.message)
    assert "replay could not repeat it" in play.failure.message


def test_the_code_may_catch_a_refusal_and_go_on(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            await asyncio.to_thread(time.time)
        except Exception as error:  # noqa: BLE001
            return type(error).__name__
        return ""

    assert begin(run).result == "NondeterminismError"


def test_every_method_of_a_loop_is_either_ours_or_refused() -> None:
    """A new Python may add methods: each needs a decision, for the abstract ones raise an error that helps nobody."""
    methods = {name for name in vars(asyncio.AbstractEventLoop) if not name.startswith("_")}

    undecided = {name for name in methods if getattr(WorkflowLoop, name) is getattr(asyncio.AbstractEventLoop, name)}

    assert undecided == set()


def test_running_another_loop_inside_a_workflow_is_refused(begin: Begin) -> None:
    async def inner() -> int:
        return 1

    async def run(ctx: WorkflowContext) -> str:
        coroutine = inner()
        try:
            asyncio.run(coroutine)
        except RuntimeError as error:
            return str(error)
        finally:
            coroutine.close()
        return ""

    assert "cannot be called from a running event loop" in begin(run).result
