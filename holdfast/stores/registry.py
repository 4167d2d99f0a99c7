"""Opening a store by its URL; the table of the kinds that come with this package is in `store_kinds`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.core.errors import UnknownProviderError
from holdfast.stores.store_kinds import KINDS
from holdfast.stores.store_url import Server, StoreUrl, servers_of, shown

if TYPE_CHECKING:
    from holdfast.core.durations import Duration
    from holdfast.ports import StateStore

__all__ = ["Factory", "names", "open", "register", "servers"]

Factory = Callable[[str, "Duration | None"], "StateStore"]
"""Makes a store from its URL, and from how long its opening may wait."""

_factories: dict[str, Factory] = {scheme: kind.make for kind in KINDS for scheme in kind.prefixes}


def open(url: str, *, wait: Duration | None = None) -> StateStore:  # noqa: A001 - read as stores.open
    """Make the store that a URL names; it is not opened yet.

    Args:
        url: Such as ``sqlite:///runs.db``, ``memory:``, ``dapr:statestore``, ``kafka://host:port/topic``,
            ``nats://host:port/bucket`` or ``inngest+http://host:port``.
        wait: For how long its opening may wait, for a server to answer or for another process to let go of a file;
            30 seconds without it.

    Raises:
        UnknownProviderError: There is no kind of store that the URL begins with.
        StoreError: The URL is not of the form of its kind, or an extra has to be installed. No text repeats a password.
    """
    return _factory(url)(url, wait)


def register(name: str, factory: Factory) -> None:
    """Let stores of your own be opened by URLs that begin with a name; one that is there is replaced.

    Args:
        name: What stands before the colon.
        factory: Makes a store from the whole URL and from how long its opening may wait, None where nobody said.
    """
    _factories[name] = factory


def names() -> list[str]:
    """List the names of all kinds of stores, sorted."""
    return sorted({scheme.partition("+")[0] for scheme in _factories})


def servers(url: str) -> list[Server]:
    """Give the servers that a URL names, each a host and its port; none where it names no server.

    Raises:
        StoreError: The URL is not of the form of its kind.
    """
    kind = next((kind for kind in KINDS if url.partition(":")[0] in kind.prefixes), None)
    parts = StoreUrl.read(url, kind.example) if kind else None
    if parts is None or not parts.place.startswith("//") or parts.place.startswith("///"):
        return []
    return servers_of(parts, parts.authority()[1], port_needed=False)


def _factory(url: str) -> Factory:
    scheme, colon, _ = url.partition(":")
    factory = _factories.get(scheme) if colon else None
    if factory is None:
        provider, own = "store", [kind.name for kind in KINDS]
        forms = [*(kind.form for kind in KINDS), *(f"{name}:" for name in names() if name not in own)]
        raise UnknownProviderError(provider, shown(url), forms)
    return factory
