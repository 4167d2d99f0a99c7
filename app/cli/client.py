"""The service from outside: requests, answers, and what each failure means for whoever typed the command."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import requests

from app.loopback import LOOPBACK_NAMES
from app.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Client", "CommandError", "ServerEvent", "Status", "path_of"]

_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 90.0
"""Longer than the service lets any request wait."""
_SILENCE_SECONDS: Final = 45.0
"""Three times as long as a stream is ever silent."""


class Status(IntEnum):
    """What a command exits with."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNREACHABLE = 5
    TIMED_OUT = 124
    INTERRUPTED = 130


_EXITS: Final = {
    400: Status.USAGE,
    401: Status.USAGE,
    403: Status.USAGE,
    404: Status.NOT_FOUND,
    409: Status.CONFLICT,
    413: Status.USAGE,
    415: Status.USAGE,
    422: Status.USAGE,
    503: Status.UNREACHABLE,
}


class CommandError(Exception):
    """A command cannot be carried out.

    Attributes:
        status: What it exits with.
        code: The service's name for the problem; empty where the service did not say it.
    """

    def __init__(self, status: Status, message: str, code: str = "") -> None:
        """Say why, for a person."""
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One message of a stream.

    Attributes:
        kind: ``message``, or ``end`` for the last.
    """

    kind: str
    data: dict[str, Any]


def path_of(*parts: str) -> str:
    """Make a path of parts that may hold anything."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


class Client:
    """A service at an address."""

    def __init__(self, address: str, token: str | None) -> None:
        """Talk to a service.

        Args:
            address: ``host:port``, or a URL.
            token: What it wants to be shown; None where it wants nothing.

        Raises:
            CommandError: It is no address.
        """
        self.url = (address if "://" in address else f"http://{address}").rstrip("/")
        self._session = requests.Session()
        try:
            host = urlsplit(self.url).hostname
        except ValueError as error:
            raise CommandError(Status.USAGE, f"{self.url} is not an address: {error}") from error
        # A proxy between two programs of one machine helps nobody.
        self._session.trust_env = host not in LOOPBACK_NAMES
        self._session.auth = _bearer(token)
        self._has_token = bool(token)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = ...,
        key: str | None = None,
    ) -> requests.Response:
        """Send a request, and take any answer of the service.

        Args:
            method: The method.
            path: The path, from the first slash.
            query: Parameters; those that are None are left out.
            body: A JSON value; without one there is no body.
            key: Names the request, so that it can be sent again.

        Raises:
            CommandError: There is no answer.
        """
        headers = {"Idempotency-Key": key} if key is not None else {}
        content = None
        if body is not ...:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        try:
            return self._session.request(
                method,
                self.url + path,
                params={name: str(value) for name, value in (query or {}).items() if value is not None},
                data=content,
                headers=headers,
                timeout=(_CONNECT_SECONDS, _READ_SECONDS),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        except ValueError as error:  # an address that no URL can hold
            raise CommandError(Status.USAGE, f"{self.url} is not an address: {error}") from error

    def call(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401 - JSON; the options are those of `request`
        """Send a request, and give the JSON of its answer; None where it has none.

        Raises:
            CommandError: There is no answer, or it is a problem.
        """
        response = self.request(method, path, **options)
        if not response.ok:
            raise self._problem(response)
        return self._json(response) if response.content else None

    def stream(self, path: str, after: int) -> Iterator[ServerEvent]:
        """Follow a stream of events until it ends or is cut.

        Raises:
            CommandError: The service refuses, or cannot be reached.
        """
        try:
            with self._session.get(
                self.url + path,
                headers={"Last-Event-ID": str(after)},
                stream=True,
                timeout=(_CONNECT_SECONDS, _SILENCE_SECONDS),
                allow_redirects=False,
            ) as response:
                if not response.ok:
                    raise self._problem(response)
                yield from _events(response)
        except requests.RequestException as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> CommandError:
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
            return CommandError(Status.USAGE, f"{self.url} is not an address: write host:port or http://host:port")
        reason = "it did not answer in time" if isinstance(error, requests.Timeout) else "nothing answers there"
        message = f"cannot reach {self.url}: {reason}. Is it running (holdfast serve), and is --address right?"
        return CommandError(Status.UNREACHABLE, message)

    def _json(self, response: requests.Response) -> Any:  # noqa: ANN401 - any JSON value
        try:
            return response.json()
        except ValueError as error:
            raise CommandError(Status.UNREACHABLE, f"{self.url} does not answer as a Holdfast service") from error

    def _problem(self, response: requests.Response) -> CommandError:
        if not response.headers.get("Content-Type", "").startswith("application/problem+json"):
            message = f"{self.url} answered {response.status_code}, not as a Holdfast service"
            return CommandError(Status.UNREACHABLE, message)
        problem = self._json(response)
        status = _EXITS.get(response.status_code, Status.FAILED)
        message = str(problem.get("detail") or problem.get("title"))
        if response.status_code == requests.codes.unauthorized:
            fault = "does not know this token: give its own" if self._has_token else "wants a token: give it"
            message = f"the service {fault} by --token or HOLDFAST_TOKEN"
        return CommandError(status, visible(message), str(problem.get("code", "")))


class _bearer(requests.auth.AuthBase):  # noqa: N801 - it is used as a function
    """Shows a token; or nothing, rather than what a .netrc of this machine says."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _events(response: requests.Response) -> Iterator[ServerEvent]:
    """Read server-sent events; only what the service sends, which is all on single lines."""
    kind, data = "message", ""
    for line in response.iter_lines(chunk_size=1, decode_unicode=False):
        name, _, value = line.decode().partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            data = value
        elif not line:
            if data:
                yield ServerEvent(kind, json.loads(data))
            kind, data = "message", ""
