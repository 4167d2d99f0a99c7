"""Who may call as the sidecar: who knows the token that it was given, or, without one, programs of this machine."""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING, Final

from flask import request

from app.api.problem import FORBIDDEN, UNAUTHORIZED, problem_response

if TYPE_CHECKING:
    from flask import Response

    from holdfast.secret import Secret

__all__ = ["Refusals", "refusal"]

_TOKEN: Final = "dapr-api-token"  # noqa: S105 - the name of a header
_CALLER: Final = "dapr-caller-app-id"


class Refusals:
    """Counts callbacks that had a wrong token.

    Attributes:
        count: How many, since one had the right token last: those before a rotation are of no interest after it.
    """

    count = 0


def refusal(token: Secret, refusals: Refusals) -> Response | None:
    """Answer a request that does not come from the sidecar on its own behalf; None lets it pass.

    Service invocation of another application reaches these routes through the sidecar, with its token: it is known by
    the header that names its caller. Only where an application invokes itself the sidecar names no caller: whoever can
    do that could publish as well, and the list of allowed APIs in `dapr/config.yaml` has no invocation.
    """
    if _CALLER in request.headers:
        return problem_response(FORBIDDEN, "these routes are for the sidecar itself, not for service invocation")
    if token.is_set:
        known, given = token.value(), request.headers.get(_TOKEN, "")
        if known and hmac.compare_digest(known.encode(), given.encode()):
            refusals.count = 0
            return None
        refusals.count += 1
        return problem_response(UNAUTHORIZED, f"send the header `{_TOKEN}` with the token in APP_API_TOKEN")
    if _is_local(request.remote_addr or ""):
        return None
    return problem_response(FORBIDDEN, "without APP_API_TOKEN only a sidecar on this machine may call")


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
