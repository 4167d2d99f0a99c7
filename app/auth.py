"""Who may call: a bearer token where there is one, and never another web site's pages."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import request

from app.api.operations import Access
from app.api.problem import FORBIDDEN_ORIGIN, UNAUTHORIZED, ProblemError, problem_response
from app.loopback import LOOPBACK_NAMES
from app.sidecar.access import Refusals, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask, Response

    from app.settings import Settings

__all__ = ["Guard"]


class Guard:
    """Lets requests in or not, before anything else looks at them.

    Without a token whoever reaches the port may do anything, and a browser on this machine reaches it for any page it
    shows. So such a service answers to no name but this machine's (a page may let its own name point here), and no
    request that a page of another origin has sent is taken, token or not.

    Attributes:
        refusals: Counts callbacks of the sidecar that were refused.
    """

    def __init__(self, settings: Settings, policy: Mapping[str, Access]) -> None:
        """Guard an application.

        Args:
            settings: Of the service.
            policy: Who may call each endpoint; what is not in it needs the token.
        """
        token = settings.token
        self._token = token.get_secret_value().encode() if token is not None else None
        self._sidecar_token = settings.sidecar_callback_token()
        self._policy = policy
        self.refusals = Refusals()

    def install(self, app: Flask) -> None:
        """Look at every request of the application."""
        app.before_request(self.check)

    def check(self) -> Response | None:
        """Answer a request that may not come in; None lets it pass."""
        access = self._policy.get(request.endpoint or "")
        if access is Access.OPEN:
            return None
        if access is Access.SIDECAR:
            self._check_page()
            return refusal(self._sidecar_token, self.refusals)
        self._check_origin()
        if self._token is not None and not hmac.compare_digest(self._token, _presented()):
            response = problem_response(UNAUTHORIZED, "send the header `Authorization: Bearer TOKEN`")
            response.headers["WWW-Authenticate"] = 'Bearer realm="holdfast"'
            return response
        return None

    def _check_origin(self) -> None:
        host = urlsplit(f"//{request.host}").hostname if request.host else ""
        if self._token is None and host not in LOOPBACK_NAMES:
            message = "without a token the service answers to 127.0.0.1 and localhost only"
            raise ProblemError(FORBIDDEN_ORIGIN, message)
        self._check_page()

    @staticmethod
    def _check_page() -> None:
        origin = request.headers.get("Origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.host
        if foreign or request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
            message = "requests of other web sites' pages are not taken"
            raise ProblemError(FORBIDDEN_ORIGIN, message)


def _presented() -> bytes:
    """Give the token that a request presents; empty where it presents none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip().encode() if scheme.lower() == "bearer" else b""
