"""Documents behind an HTTP server that speaks the protocol of the Inngest state provider."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast.core.durations import milliseconds
from holdfast.core.errors import StoreError, StoreUnavailableError, UnsupportedOperationError
from holdfast.ports import Capabilities, Document, Written
from holdfast.secret import Secret
from holdfast.stores.inngest_calls import Calls
from holdfast.stores.inngest_errors import KEY_HINT, KeyRefusedError
from holdfast.stores.inngest_http import Api, can_name, checked_key, checked_url
from holdfast.stores.limits import check_reads, check_writes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import timedelta

    from holdfast.ports import Conflict, Write

__all__ = ["InngestStore"]

_MIB = 1024 * 1024
_PROBE: Final = "holdfast:open"
"""What `open` asks for; it need not exist."""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


class _Session(NamedTuple):
    """The connections to a server, and the threads that use them."""

    api: Api
    calls: Calls

    async def end(self) -> None:
        """Wait for the calls that are under way, then let go of everything."""
        await self.calls.close()
        self.api.close()


class InngestStore:
    """A `StateStore` over HTTP: each document is one ``PUT``, ``GET`` or ``DELETE`` of ``/v1/workflows/<key>``.

    The protocol has no versions, no batches and no list of keys: nothing keeps a second process from writing over
    the documents of the first, so **one process only** may use a server. What is written is as durable as the server
    makes it. The first document of a batch is written alone, the others after it, at the same time.

    Args:
        base_url: Where the server is; ``/v1/workflows`` is added to it.
        event_key: Is sent as ``Authorization: Bearer``; without one ``INNGEST_EVENT_KEY``, or no such header.
        timeout: How long a connection, and then each wait for the answer, may take; seconds or a `timedelta`.
        connect_timeout: How long `open` goes on asking a server that does not answer yet.
        max_connections: How many calls are made at the same time.
        max_value_bytes: The largest value that the server takes.

    Raises:
        StoreError: The URL or the key cannot be used.

    Source: docs/adr/0032-inngest-store.md.
    """

    name: Final = "inngest"

    def __init__(  # noqa: PLR0913 - each is a property of the server or of the way to it
        self,
        base_url: str = "http://localhost:8288",
        *,
        event_key: str | None = None,
        timeout: timedelta | float = 10.0,
        connect_timeout: timedelta | float = 30.0,
        max_connections: int = 16,
        max_value_bytes: int = _MIB,
    ) -> None:
        """Remember where the server is; `open` asks it."""
        self._base_url = checked_url(base_url)
        self._key = Secret(checked_key(event_key or os.environ.get("INNGEST_EVENT_KEY", "")))
        self._timeout = max(milliseconds(timeout, "timeout"), 1) / 1000
        self._connect_timeout = milliseconds(connect_timeout, "connect_timeout") / 1000
        if max_connections < 1:
            msg = f"max_connections must be at least 1, not {max_connections}"
            raise StoreError(msg)
        self._max_connections = max_connections
        self._capabilities = Capabilities(
            durable=True,
            guard="none",
            atomic_batch=False,
            list_keys=False,
            max_value_bytes=max_value_bytes,
            max_batch=100,
            max_batch_bytes=max(8 * _MIB, max_value_bytes + _MIB),
        )
        self._session: _Session | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the protocol can do, and its limits."""
        return self._capabilities

    async def open(self) -> None:
        """Ask for a document until the server answers; opening an open store does nothing.

        Raises:
            StoreUnavailableError: No answer within ``connect_timeout``.
            StoreError: The server wants another key, or answers as no server of this protocol does.
        """
        if self._session is not None:
            return
        api = Api(self._base_url, self._key, self._timeout, self._max_connections)
        session = _Session(api, Calls(self._max_connections))
        try:
            await self._greet(session)
            self._session = session
        finally:
            if self._session is None:
                await session.end()

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        """Read documents, at the same time; keys that do not exist are left out of the answer.

        Raises:
            StoreUnavailableError: The server did not answer, or something else answered in its place.
            StoreError: The store is closed, the server refuses, or more than ``max_batch`` keys were asked for.
        """
        session = self._require_open()
        check_reads(self._capabilities, keys)
        wanted = [key for key in dict.fromkeys(keys) if can_name(key)]
        values = await session.calls.each(session.api.get, wanted)
        return {key: Document(value, "") for key, value in zip(wanted, values, strict=True) if value is not None}

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Write the first document alone, then the others at the same time, then delete what is to be deleted.

        What a write expects is not looked at: the protocol has no way to say it.

        Raises:
            StoreUnavailableError: The outcome is unknown, or the server is away.
            StoreError: The store is closed, the batch is over a limit, or the server refuses something of it.
        """
        session = self._require_open()
        check_writes(self._capabilities, writes)
        upserts = [(key, value) for key, value, _ in writes if value is not None]
        for key, _ in upserts:
            if not can_name(key):
                msg = f"{key!r} cannot be the key of a document: it is part of a URL here"
                raise StoreError(msg)
        for part in (upserts[:1], upserts[1:]):
            await session.calls.each(session.api.put, part)
        gone = [key for key, value, _ in writes if value is None and can_name(key)]
        await session.calls.each(session.api.delete, gone)
        return [Written("")] * len(writes)

    def keys(self, prefix: str) -> AsyncIterator[str]:
        """Refuse: the protocol has no way to list keys.

        Raises:
            UnsupportedOperationError: Always.
        """
        msg = f"the protocol of Inngest's state provider cannot list the keys that begin with {prefix!r}"
        raise UnsupportedOperationError(msg)

    async def close(self) -> None:
        """Wait for the calls that are under way, and let go of the server. Closing twice is harmless."""
        session, self._session = self._session, None
        if session is not None:
            await session.end()

    async def _greet(self, session: _Session) -> None:
        loop = asyncio.get_running_loop()
        give_up_at, pause = loop.time() + self._connect_timeout, _FIRST_PAUSE
        while True:
            try:
                await session.calls.each(session.api.get, [_PROBE])
            except KeyRefusedError as error:
                msg = f"{error}{KEY_HINT}"
                raise StoreError(msg) from error
            except StoreUnavailableError as error:
                pause = max(error.retry_after or 0, min(2 * pause, _LONGEST_PAUSE))
                if loop.time() + pause > give_up_at:
                    raise
                await asyncio.sleep(pause)
            else:
                return

    def _require_open(self) -> _Session:
        if self._session is None:
            msg = f"the store at {self._base_url} is not open"
            raise StoreError(msg)
        return self._session
