"""Checks of the sidecar: whether it answers, what it has loaded, where it brings messages, and whether again."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import requests

from app.finding import Finding
from app.sidecar.client import SidecarClient
from app.sidecar.probe import Redelivery
from app.sidecar.subscriptions import pubsubs, topics
from holdfast import StoreError
from holdfast.stores.dapr_kinds import find_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from app.settings import Settings

__all__ = ["check_redelivery", "check_sidecar", "needs_sidecar"]

_UNAUTHORIZED: Final = 401
_REFUSED: Final = frozenset({403, 404})
_NOT_YET: Final = {
    Redelivery.UNKNOWN: "it has not brought a probe, and may bring no signals either",
    Redelivery.CHECKING: "the probe is on its way",
}
_SAFE: Final = (1, 17, 5)
"""Since when the sidecar does not let a path escape from its access policies."""


def needs_sidecar(settings: Settings) -> bool:
    """Say whether the service cannot do without one."""
    return settings.store_kind == "dapr"


def check_sidecar(settings: Settings, *, serves: bool) -> Iterator[Finding]:
    """Ask the sidecar what it is, and check all of it that the service depends on.

    Args:
        settings: Of the service.
        serves: Whether the service is there; its sidecar cannot ask it for topics while it is not.
    """
    client = SidecarClient(settings.sidecar_api_token())
    try:
        metadata = client.metadata()
    except requests.HTTPError as error:
        yield _refused(error.response.status_code, client.url)
        return
    except (requests.RequestException, ValueError) as error:
        advice = "start it, or set DAPR_HTTP_PORT to its port"
        yield Finding("sidecar", "wrong", f"none answers at {client.url} ({type(error).__name__})", advice)
        return
    yield _version(metadata)
    if needs_sidecar(settings):
        yield _state(metadata, settings.store.removeprefix("dapr:"))
    known = {each.get("name"): each for each in metadata.get("components", [])}
    for name in pubsubs(settings):
        yield _pubsub(name, known)
    yield from _connection(metadata.get("appConnectionProperties") or {}, settings)
    if serves:
        yield _subscriptions(metadata, settings)
    yield from _twice(metadata)


def _refused(status: int, url: str) -> Finding:
    if status == _UNAUTHORIZED:
        advice = "set DAPR_API_TOKEN, or DAPR_API_TOKEN_FILE, to the sidecar's own"
        return Finding("sidecar token", "wrong", f"the sidecar at {url} wants another token", advice)
    if status in _REFUSED:
        advice = "let its Configuration allow the APIs state, pubsub and metadata"
        return Finding("sidecar API", "wrong", f"the sidecar at {url} does not say what it has loaded", advice)
    return Finding("sidecar", "wrong", f"the sidecar at {url} answers {status}", "look into its log")


def _version(metadata: Mapping[str, Any]) -> Finding:
    version = str(metadata.get("runtimeVersion", ""))
    numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    found = f"app id {metadata.get('id')!r}, runtime {version or 'unknown'}"
    if numbers is not None and tuple(map(int, numbers.groups())) < _SAFE:
        return Finding("sidecar", "warning", found, "use 1.17.5 or newer: paths could pass its access policies")
    return Finding("sidecar", "ok", found)


def _state(metadata: Mapping[str, Any], name: str) -> Finding:
    components = [
        SimpleNamespace(
            name=each.get("name", ""),
            type=each.get("type", ""),
            version=each.get("version", ""),
            capabilities=each.get("capabilities", []),
        )
        for each in metadata.get("components", [])
    ]
    try:
        kind = find_kind(components, name, allow_unguarded=False)  # type: ignore[arg-type]  # has what it reads
    except StoreError as error:
        return Finding("state component", "wrong", str(error), "mend the component, or HOLDFAST_STORE=dapr:<name>")
    if not kind.durable:
        return Finding("state component", "warning", f"{name!r} forgets all with its sidecar", "use it for tests only")
    return Finding("state component", "ok", f"{name!r} guards by {kind.guard}")


def _pubsub(name: str, known: Mapping[str, Mapping[str, Any]]) -> Finding:
    component = known.get(name)
    if component is None or not str(component.get("type", "")).startswith("pubsub."):
        others = ", ".join(sorted(n for n, each in known.items() if str(each.get("type")).startswith("pubsub.")))
        advice = "load one of that name, or set HOLDFAST_PUBSUB; without it no signals come from topics"
        return Finding("pub/sub component", "warning", f"there is no {name!r}; loaded are: {others or 'none'}", advice)
    return Finding("pub/sub component", "ok", f"{name!r} is a {component['type']}")


def _connection(properties: Mapping[str, Any], settings: Settings) -> Iterator[Finding]:
    port, protocol = properties.get("port"), properties.get("protocol", "http")
    if not port:
        yield Finding("callbacks", "warning", "the sidecar calls nobody", "start it with --app-port for signals")
        return
    if settings.address.port not in {0, port} or protocol != "http":
        found = f"the sidecar calls port {port} by {protocol}, and the service listens on {settings.address.port}"
        yield Finding("callbacks", "wrong", found, "make --app-port and HOLDFAST_ADDRESS agree, protocol http")
    else:
        yield Finding("callbacks", "ok", f"the sidecar calls port {port}")
    if properties.get("health"):
        found = "the sidecar checks the health of the service"
        advice = "turn its app health check off: delivery in batches stops for good after a kill"
        yield Finding("app health check", "wrong", found, advice)


def _subscriptions(metadata: Mapping[str, Any], settings: Settings) -> Finding:
    there = {each.get("topic") for each in metadata.get("subscriptions", [])}
    missing = [topic for topic in topics(settings) if topic not in there]
    if missing:
        advice = "restart the sidecar: it asks for topics once, when it starts"
        return Finding("subscriptions", "warning", f"no messages come of {', '.join(missing)}", advice)
    return Finding("subscriptions", "ok", ", ".join(sorted(str(topic) for topic in there)))


def _twice(metadata: Mapping[str, Any]) -> Iterator[Finding]:
    """Find topics that the service asks for and a Subscription file names as well."""
    kinds: dict[tuple[str, str], set[str]] = {}
    for each in metadata.get("subscriptions", []):
        kinds.setdefault((each.get("pubsubname", ""), each.get("topic", "")), set()).add(each.get("type", ""))
    both = sorted(topic for (_, topic), found in kinds.items() if found >= {"PROGRAMMATIC", "DECLARATIVE"})
    if both:
        advice = "set HOLDFAST_SUBSCRIBE=declarative, or take the Subscription files away"
        found = f"the service asks for {', '.join(both)}, and Subscription files do too: each message comes twice"
        yield Finding("subscriptions twice", "warning", found, advice)


def check_redelivery(known: Mapping[str, Redelivery]) -> Iterator[Finding]:
    """Say whether each pub/sub component brings messages again, as far as it has been tried."""
    for component, found in known.items():
        if found is Redelivery.LOST:
            advice = "give it an inbound resiliency policy with unlimited retries, as in dapr/resiliency.yaml"
            yield Finding("redelivery", "wrong", f"{component!r} loses messages that are to come again", advice)
        elif found is Redelivery.KEPT:
            yield Finding("redelivery", "ok", f"{component!r} brings messages again")
        else:
            found_so_far = f"whether {component!r} brings messages again is not known yet: {_NOT_YET[found]}"
            yield Finding("redelivery", "warning", found_so_far, "look again in a minute")
