"""A connection to NATS of the store's own, which is never given up."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from nats import errors
from nats.aio.client import Client

from holdfast.core.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

__all__ = ["Connection"]

_logger = logging.getLogger(__name__)

_RECONNECT_SECONDS: Final = 0.2
_PING_SECONDS: Final = 10
_CONNECT_SECONDS: Final = 2
_REFUSALS: Final = ("authorization", "authentication", "account", "expired", "permissions")
"""What the server says of a client that it does not let in, or not do what it asks."""


class Connection:
    """Keeps a client connected: it connects again for as long as it takes, also where the client itself gives up.

    Args:
        servers: Their URLs.
        credentials: A file with a user's JWT and key.
        connected: Called with each client that is connected; there is a second one where the first was closed.
        failed: Called when calls that are under way will have no answer, with the error that they end with.
    """

    def __init__(
        self,
        servers: Sequence[str],
        credentials: Path | None,
        *,
        connected: Callable[[Client], Awaitable[None]],
        failed: Callable[[StoreError], None],
    ) -> None:
        """Remember where the servers are; `open` connects to one of them.

        Raises:
            StoreError: There are none.
        """
        if not servers:
            msg = "a store of NATS needs the URL of a server"  # the client would look for one without end
            raise StoreError(msg)
        self._servers = servers
        self._credentials = credentials
        self._connected = connected
        self._failed = failed
        self._client: Client | None = None
        self._refused: asyncio.Future[str] | None = None
        self._replacing: asyncio.Task[None] | None = None

    async def open(self, within: float) -> None:
        """Connect; until `opened` is told, a refusal of the server counts as final.

        Raises:
            StoreError: The server does not let us in.
            StoreUnavailableError: No server answered in so many seconds.
        """
        self._check_credentials()
        self._refused = asyncio.get_running_loop().create_future()
        client = Client()
        connecting = asyncio.ensure_future(self._connect(client))
        try:
            either: set[asyncio.Future[Any]] = {connecting, self._refused}
            await asyncio.wait(either, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                self._client = await connecting
                await self._connected(client)
                return
        finally:
            if self._client is None:
                await _abandon(connecting, client)
        if self._refused.done():
            msg = f"NATS at {self._places} refused the connection: {self._refused.result()}"
            raise StoreError(msg)
        msg = f"no NATS server answered at {self._places} within {within:g} s: {client.last_error}"
        raise StoreUnavailableError(msg)

    def opened(self) -> None:
        """Take it from now on that the server lets us in, whatever it says in between."""
        self._refused = None

    async def close(self) -> None:
        """Let go of the server."""
        client, self._client = self._client, None
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.gather(self._replacing, return_exceptions=True)
        if client is not None:
            await client.close()

    @property
    def _places(self) -> str:
        """Where the servers are, without the passwords that their URLs may hold."""
        return ", ".join(urlsplit(url).netloc.rpartition("@")[2] or url for url in self._servers)

    def _check_credentials(self) -> None:
        """Read the file of credentials once: the client would try again and again."""
        try:
            if self._credentials is not None:
                self._credentials.read_bytes()
        except OSError as error:
            msg = f"the connection to NATS at {self._places} cannot be made: {error}"
            raise StoreError(msg) from error

    async def _connect(self, client: Client) -> Client:
        try:
            await client.connect(
                list(self._servers),
                name="holdfast",
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnect,
                reconnected_cb=self._on_reconnect,
                closed_cb=self._on_close,
                user_credentials=self._credentials,
                connect_timeout=_CONNECT_SECONDS,
                reconnect_time_wait=_RECONNECT_SECONDS,  # type: ignore[arg-type] # it is passed on to asyncio.sleep
                max_reconnect_attempts=-1,
                ping_interval=_PING_SECONDS,
                pending_size=0,  # nothing is kept while disconnected: it would take effect at some later time
            )
        except ImportError as error:
            msg = f"credentials need another package: pip install 'nats-py[nkeys]' ({error})"
            raise StoreError(msg) from error
        except (errors.Error, OSError, ValueError) as error:
            msg = f"the connection to NATS at {self._places} cannot be made: {error}"
            raise StoreError(msg) from error
        return client

    async def _on_error(self, error: Exception) -> None:
        """Take note of what the client could not tell a caller: it says so at each attempt to connect again."""
        words = str(error) or type(error).__name__
        refused, text = self._refused, words.lower()
        if refused is not None and not refused.done() and any(refusal in text for refusal in _REFUSALS):
            refused.set_result(words)
            self._failed(StoreError(f"NATS at {self._places} refused: {words}"))
        _logger.debug("NATS at %s: %s", self._places, words)

    async def _on_disconnect(self) -> None:
        self._failed(StoreUnavailableError("the connection to NATS was lost; the outcome is unknown"))
        if self._client is not None:
            _logger.warning("the connection to NATS at %s was lost", self._places)

    async def _on_reconnect(self) -> None:
        _logger.info("connected to NATS at %s again", self._places)

    async def _on_close(self) -> None:
        """Connect anew where the client gave up by itself, as it does for some errors of the server."""
        if self._client is not None and self._replacing is None:
            self._replacing = asyncio.create_task(self._replace())

    async def _replace(self) -> None:
        reason = self._client.last_error if self._client else None
        _logger.warning("the client of NATS at %s has closed itself: %s", self._places, reason)
        client = Client()
        connecting = asyncio.ensure_future(self._connect(client))
        try:
            self._client = await asyncio.shield(connecting)
            await self._connected(client)
        finally:
            if self._client is not client:
                await _abandon(connecting, client)
            self._replacing = None


async def _abandon(connecting: asyncio.Future[Client], client: Client) -> None:
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    if client.is_connecting or client.is_connected:  # one that has not begun refuses to be closed
        await client.close()
