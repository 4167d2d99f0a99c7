"""Messages to a NATS server, and the answers to them."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson

from holdfast.core.errors import StoreUnavailableError
from holdfast.stores.nats_errors import client_errors, status_of, unexpected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from holdfast.core.errors import StoreError

__all__ = ["Link", "parsed"]


class Link:
    """Sends to a server and hands out its answers, all on the loop that it was attached on.

    It has an inbox of its own, because the client's requests wait out their time after the connection is lost, and
    take no more than one message for an answer.

    Args:
        timeout: How many seconds an answer may take.
    """

    def __init__(self, timeout: float) -> None:
        """Wait for a client; see `attach`."""
        self._timeout = timeout
        self._client: Client | None = None
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._numbers = itertools.count(1)
        self._calls: dict[str, _Call] = {}

    @property
    def client(self) -> Client:
        """The client, which is connected at this moment.

        Raises:
            StoreUnavailableError: It is not: nothing may pile up in its buffer, to take effect at some later time.
        """
        if self._client is None or not self._client.is_connected:
            msg = "there is no connection to NATS at the moment"
            raise StoreUnavailableError(msg)
        return self._client

    async def attach(self, client: Client) -> None:
        """Use a client, in place of the one before."""
        self._inbox = f"{client.new_inbox()}."
        with client_errors("subscribing to an inbox"):
            self._subscription = await client.subscribe(f"{self._inbox}*", cb=self._take)
        self._client = client

    async def detach(self) -> None:
        """Leave the client as it was, and end the calls that are under way."""
        client, self._client = self._client, None
        self.fail_calls(StoreUnavailableError("the store was closed; the outcome is unknown"))
        if client is not None and self._subscription is not None and not (client.is_closed or client.is_draining):
            with client_errors("unsubscribing from an inbox"):
                await self._subscription.unsubscribe()

    def fail_calls(self, error: StoreError) -> None:
        """End the calls that are under way with an error: they will have no answer."""
        for call in self._calls.values():
            if not call.done.done():
                call.done.set_exception(error)

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        """Send a message that has no answer."""
        await self.client.publish(subject, payload, headers=headers)

    async def ask(
        self, subject: str, payload: bytes = b"", headers: dict[str, str] | None = None, *, doing: str
    ) -> Msg:
        """Send a message and await the one that answers it; see `ask_for_many` for the errors."""
        token = str(next(self._numbers))
        async with self._answered(token, _always, doing) as answers:
            await self.client.publish(subject, payload, reply=self._inbox + token, headers=headers)
        return answers[0]

    async def ask_for_many(
        self,
        subject: str,
        payload: bytes,
        *,
        is_last: Callable[[Msg], object],
        doing: str,
        consumer: str | None = None,
    ) -> list[Msg]:
        """Send a message and await those that answer it, up to and including the last one.

        Args:
            subject: Where it goes.
            payload: What it carries.
            is_last: Says of an answer whether no other follows.
            doing: What is being done, for the texts of errors.
            consumer: The consumer of a stream that sends the answers, under the subjects of what it sends.

        Raises:
            StoreUnavailableError: No answer came in time, or the connection was lost.
            StoreError: The client does not take the message.
        """
        token = consumer or str(next(self._numbers))
        async with self._answered(token, is_last, doing) as answers:
            await self.client.publish(subject, payload, reply=self._inbox + token)
        return answers

    async def call_api(self, name: str, request: object, *, doing: str) -> dict[str, Any]:
        """Call the JetStream API.

        Args:
            name: Of the call, without its prefix: ``STREAM.INFO.KV_orders``.
            request: What it takes, as JSON; None for nothing.
            doing: What is being done, for the texts of errors.

        Returns:
            The answer, which may hold an ``error``.
        """
        payload = b"" if request is None else orjson.dumps(request)
        message = await self.ask(f"$JS.API.{name}", payload, doing=doing)
        return parsed(message, doing)

    @asynccontextmanager
    async def _answered(self, token: str, is_last: Callable[[Msg], object], doing: str) -> AsyncIterator[list[Msg]]:
        """Await the answers to what is sent within the context, once it ends."""
        call = self._calls[token] = _Call(is_last)
        try:
            with client_errors(doing):
                async with asyncio.timeout(self._timeout):
                    yield call.answers
                    await call.done
        finally:
            del self._calls[token]

    async def _take(self, message: Msg) -> None:
        """Hand an answer to the call that it belongs to; one that comes too late belongs to none."""
        subject = message.subject
        token = subject[len(self._inbox) :] if subject.startswith(self._inbox) else message.metadata.consumer
        call = self._calls.get(token)
        if call is not None:
            call.take(message)


class _Call:
    """A message that was sent and not answered yet, or not wholly."""

    def __init__(self, is_last: Callable[[Msg], object]) -> None:
        self._is_last = is_last
        self.answers: list[Msg] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, message: Msg) -> None:
        self.answers.append(message)
        if self._is_last(message) and not self.done.done():
            self.done.set_result(None)


def parsed(message: Msg, doing: str) -> dict[str, Any]:
    """Give an answer of JetStream, which is a JSON object.

    Raises:
        StoreUnavailableError: It is none.
    """
    if status_of(message):
        raise unexpected(message, doing)
    try:
        answer = orjson.loads(message.data)
    except orjson.JSONDecodeError as error:
        raise unexpected(message, doing) from error
    if not isinstance(answer, dict):
        raise unexpected(message, doing)
    return answer


def _always(_message: Msg) -> bool:
    return True
