"""What the service asks of its sidecar over HTTP, beside the store: what it is, and to publish a probe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import requests

if TYPE_CHECKING:
    from holdfast.secret import Secret

__all__ = ["SidecarClient"]

_SECONDS: Final = 5.0
_DEFAULT_PORT: Final = "3500"
_WHEREABOUTS: Final = ("DAPR_HTTP_ENDPOINT", "DAPR_HTTP_PORT")


class SidecarClient:
    """Calls the sidecar."""

    def __init__(self, token: Secret) -> None:
        """Find it where the environment says it is.

        Args:
            token: Opens its API.
        """
        endpoint = os.environ.get("DAPR_HTTP_ENDPOINT", "").strip().rstrip("/")
        self.url = endpoint or f"http://127.0.0.1:{os.environ.get('DAPR_HTTP_PORT', '').strip() or _DEFAULT_PORT}"
        self._token = token

    @staticmethod
    def is_expected() -> bool:
        """Whether the environment says that there is a sidecar, as `dapr run` and Kubernetes let it."""
        return any(os.environ.get(name, "").strip() for name in _WHEREABOUTS)

    def metadata(self) -> dict[str, Any]:
        """Ask what it has loaded.

        Raises:
            requests.RequestException: It does not answer, or refuses to.
        """
        found: dict[str, Any] = self._call("GET", "/v1.0/metadata").json()
        return found

    def publish(self, component: str, topic: str, event: object) -> None:
        """Publish a CloudEvent.

        Raises:
            requests.RequestException: It does not answer, or refuses to.
        """
        self._call("POST", f"/v1.0/publish/{component}/{topic}", json=event, type="application/cloudevents+json")

    def _call(self, method: str, path: str, *, json: object = None, type: str | None = None) -> requests.Response:
        token = self._token.value()
        headers = {"dapr-api-token": token} if token else {}
        if type is not None:
            headers["Content-Type"] = type
        with requests.Session() as session:
            session.trust_env = False  # no proxy stands between a process and its sidecar
            answer = session.request(method, self.url + path, headers=headers, json=json, timeout=_SECONDS)
        answer.raise_for_status()
        return answer
