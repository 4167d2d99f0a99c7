"""The calls of the protocol over pooled connections: each blocks, and any number of threads may make them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

import orjson
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.stores.inngest_errors import answered_badly, not_answered

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

    from holdfast.secret import Secret

__all__ = ["Api", "can_name", "checked_key", "checked_url"]

_OK: Final = 200
_NOT_FOUND: Final = 404
_STORED: Final = {200, 201, 204}
_DELETED: Final = {200, 204, _NOT_FOUND}
_KEY: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.:-]+")
_EVENT_KEY: Final = re.compile(r"[!-~]*")
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "holdfast"}
_HEADERS_OF_JSON: Final = {**_HEADERS, "Content-Type": "application/json"}


def can_name(key: str) -> bool:
    """Say whether a key can be the last part of a URL: ``.`` and ``..`` mean something else there."""
    return _KEY.fullmatch(key) is not None


def checked_url(base_url: str) -> str:
    """Give the address of a server without a slash at its end.

    Raises:
        StoreError: It is not one, or has parts that it must not have.
    """
    if "@" in base_url:
        msg = "the base URL of the server must not hold a user or a password; give the key as event_key"
    elif re.search(r"[^!-~]|[?#]", base_url):
        msg = f"the base URL of the server must not hold a query, a fragment or white space: {base_url!r}"
    elif not _is_server(base_url):
        msg = f"{base_url!r} is not the URL of a server: that is http://host:port, or https"
    else:
        return base_url.rstrip("/")
    raise StoreError(msg)


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of an address in brackets
        return False


def checked_key(event_key: str) -> str:
    """Give the event key without white space around it.

    Raises:
        StoreError: It cannot be part of a header. The text does not tell the key.
    """
    key = event_key.strip()
    if not _EVENT_KEY.fullmatch(key):
        msg = "the event key holds white space, or characters that are not ASCII"
        raise StoreError(msg)
    return key


class Api:
    """Reads, writes and deletes single documents. It retries nothing, and follows no redirect."""

    def __init__(self, base_url: str, key: Secret, timeout: float, connections: int) -> None:
        """Get ready to call; nothing is connected yet.

        Args:
            base_url: Of the server, without a slash at its end.
            key: Is sent with each call, if there is one.
            timeout: How many seconds a connection, and then each wait for the answer, may take.
            connections: How many are kept open.

        Raises:
            StoreError: The URL, or that of a proxy in the environment, cannot be used.
        """
        self._base_url = base_url
        self._key = key
        self._timeout = Timeout(connect=timeout, read=timeout)
        self._adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connections)
        try:
            self._pool, self._root = _way_to(base_url, self._adapter)
        except (requests.RequestException, OSError) as error:
            msg = f"there is no way to {base_url}: {error}"
            raise StoreError(msg) from error

    def get(self, key: str) -> bytes | None:
        """Read a document; None if there is none.

        Raises:
            StoreError: As `answered_badly` says.
        """
        doing = f"reading {key!r} at {self._base_url}"
        response = self._call("GET", key, doing)
        if response.status == _NOT_FOUND:
            return None
        if response.status != _OK:
            raise answered_badly(response, doing, self._key.value())
        if _is_whole(response) or _is_json(response.data):
            return response.data
        msg = f"something else than a document came {doing}: {response.headers.get('Content-Type', 'of no type')}"
        raise StoreUnavailableError(msg)

    def put(self, document: tuple[str, bytes]) -> None:
        """Write a document, over whatever is there.

        Raises:
            StoreError: As `answered_badly` says.
        """
        key, value = document
        doing = f"writing {key!r} at {self._base_url}"
        response = self._call("PUT", key, doing, value)
        if response.status not in _STORED:
            raise answered_badly(response, doing, self._key.value())

    def delete(self, key: str) -> None:
        """Delete a document, if it is there.

        Raises:
            StoreError: As `answered_badly` says.
        """
        doing = f"deleting {key!r} at {self._base_url}"
        response = self._call("DELETE", key, doing)
        if response.status not in _DELETED:
            raise answered_badly(response, doing, self._key.value())

    def close(self) -> None:
        """Close the connections."""
        self._adapter.close()

    def _call(self, method: str, key: str, doing: str, body: bytes | None = None) -> BaseHTTPResponse:
        headers = dict(_HEADERS if body is None else _HEADERS_OF_JSON)
        event_key = self._key.value()
        if event_key:
            headers["Authorization"] = f"Bearer {event_key}"
        try:
            return self._pool.urlopen(
                method,
                self._root + key,
                body,
                headers,
                retries=False,
                redirect=False,
                assert_same_host=False,  # a proxy wants the whole URL
                timeout=self._timeout,
            )
        except (HTTPError, OSError) as error:
            raise not_answered(error, doing) from error


def _way_to(base_url: str, adapter: HTTPAdapter) -> tuple[HTTPConnectionPool, str]:
    """Find the connections to a server, and how the address of a document begins on them.

    Requests knows what the environment says of proxies and certificates. Each call goes straight to the pool: all else
    that Requests does for a call (cookies, ``.netrc``, redirects) is not wanted here, and costs 0.6 ms.
    """
    with requests.Session() as session:
        found = session.merge_environment_settings(base_url, {}, stream=None, verify=None, cert=None)
    request = requests.Request("GET", f"{base_url}/v1/workflows/").prepare()
    verify, proxies, cert = found["verify"], found["proxies"], found["cert"]
    pool = cast("HTTPConnectionPool", adapter.get_connection_with_tls_context(request, verify, proxies, cert))
    adapter.cert_verify(pool, base_url, verify, cert)  # type: ignore[no-untyped-call]  # so are its types
    return pool, adapter.request_url(request, proxies)


def _is_whole(response: BaseHTTPResponse) -> bool:
    """Say whether an answer calls itself JSON, and ends where it says: if it is damaged then it was stored so."""
    headers, body = response.headers, response.data
    ends = headers.get("Content-Length") == str(len(body)) or "chunked" in headers.get("Transfer-Encoding", "").lower()
    return bool(body) and ends and headers.get("Content-Type", "").partition(";")[0].strip().endswith("json")


def _is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True
