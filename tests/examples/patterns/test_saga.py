"""A saga leaves nothing behind, whatever fails, and says so where it cannot."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.patterns.saga import NOT_UNDONE, Account, activities, open_account, workflows
from holdfast import NonRetryableError, RunStatus, WorkflowCanceledError, WorkflowFailedError
from holdfast.testing import TestEnvironment
from tests.examples.kit import replays

ANN = Account("ann", "ann@example.com")


class Services:
    """What has been asked for, and what fails."""

    def __init__(self, *failing: str) -> None:
        self.asked: list[str] = []
        self.env = TestEnvironment(workflows=workflows, activities=activities)
        for name in ("create_account", "delete_account", "subscribe", "unsubscribe", "invite"):
            self.env.stub(name, self._play(name, fails=name in failing))

    def _play(self, name: str, *, fails: bool) -> object:
        def play(_account: object) -> None:
            self.asked.append(name)
            if fails:
                raise NonRetryableError(f"{name} does not work")

        return play


async def test_an_account_is_opened(tmp_path: Path) -> None:
    services = Services()
    async with services.env as env:
        assert await env.execute(open_account, ANN, id="ann") == "ann"

        assert services.asked == ["create_account", "subscribe", "invite"]
        assert await env.outputs(NOT_UNDONE) == []
        assert await replays(env, open_account, "ann", tmp_path) is RunStatus.COMPLETED


@pytest.mark.parametrize(
    ("failing", "asked"),
    [
        ("create_account", ["create_account", "delete_account"]),
        ("subscribe", ["create_account", "subscribe", "unsubscribe", "delete_account"]),
        ("invite", ["create_account", "subscribe", "invite", "unsubscribe", "delete_account"]),
    ],
)
async def test_what_was_done_is_undone_last_first(failing: str, asked: list[str]) -> None:
    services = Services(failing)
    async with services.env as env:
        with fails(f"{failing} does not work"):
            await env.execute(open_account, ANN, id="ann")

        assert services.asked == asked
        assert await env.outputs(NOT_UNDONE) == []


async def test_what_cannot_be_undone_is_told_and_keeps_nothing_else_from_it() -> None:
    services = Services("invite", "unsubscribe")
    async with services.env as env:
        with fails("invite does not work"):
            await env.execute(open_account, ANN, id="ann")

        assert services.asked == ["create_account", "subscribe", "invite", "unsubscribe", "delete_account"]
        (told,) = await env.outputs(NOT_UNDONE)
        assert b'"step":"subscribe"' in told.value
        assert b"unsubscribe does not work" in told.value


async def test_who_cancels_undoes() -> None:
    services = Services()
    async with services.env as env:

        async def hang(_account: object) -> None:
            services.asked.append("subscribe")
            await env.engine.cancel("ann", reason="not wanted any more")

        env.stub("subscribe", hang)
        with pytest.raises(WorkflowCanceledError):
            await env.execute(open_account, ANN, id="ann")

        assert services.asked == ["create_account", "subscribe", "unsubscribe", "delete_account"]


@contextmanager
def fails(why: str) -> Iterator[None]:
    with pytest.raises(WorkflowFailedError, match=why):
        yield
