"""Checks of a store from outside of the service: whether it can be made, and whether its servers can be reached.

It is not opened: that would read all that a topic holds, or wait for the file that the service has.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from app.bootstrap import make_store
from app.errors import StartupError
from app.finding import Finding
from holdfast.stores import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.settings import Settings

__all__ = ["check_store"]

_PATIENCE_SECONDS: Final = 2.0
_PORTS: Final = {"inngest+http": 80, "inngest+https": 443}


def check_store(settings: Settings) -> Iterator[Finding]:
    """Check what the service would be told about its store.

    Args:
        settings: Of the service.
    """
    try:
        make_store(settings)
    except StartupError as error:
        yield Finding("store", "wrong", str(error), "docs/reference/stores.md has all forms")
        return
    for host, port in registry.servers(settings.store):
        number = port or _PORTS[settings.store.partition(":")[0]]
        try:
            socket.create_connection((host, number), timeout=_PATIENCE_SECONDS).close()
        except OSError as error:
            reason = error.strerror or str(error)
            found = f"no server of {settings.store_kind} answers at {host}:{number} ({reason})"
            yield Finding("store server", "wrong", found, "start it, or mend HOLDFAST_STORE")
        else:
            yield Finding("store server", "ok", f"{host}:{number} can be reached")
