"""What the state components of Dapr can be trusted with: which guard stale writers out, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast.core.errors import StoreError
from holdfast.ports import Capabilities

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dapr.proto import api_v1

    from holdfast.ports import Guard

__all__ = ["UNGUARDED", "Kind", "find_kind"]

_MAX_BATCH: Final = 1_000
_OPERATION_BYTES: Final = 128
_REQUEST_BYTES: Final = 4_096
"""What an operation, and a request, take beside keys and values: names, ETags, lengths."""


class Kind(NamedTuple):
    """How a component wants to be asked, and what it then promises.

    Attributes:
        guard: How it keeps stale writers out.
        atomic: A batch is written as a whole or not at all.
        durable: It keeps what was written when the sidecar ends.
        transactional: It takes several operations in one call.
    """

    guard: Guard
    atomic: bool
    durable: bool
    transactional: bool = True

    @property
    def counts_versions(self) -> bool:
        """Whether its ETag is a count of writes, so that the next one is known."""
        return self.guard == "key"

    def capabilities(self, max_body_bytes: int) -> Capabilities:
        """Say what can be had of it through a sidecar that takes messages of so many bytes."""
        payload_bytes = max_body_bytes - _REQUEST_BYTES
        max_batch = max(1, min(_MAX_BATCH, payload_bytes // (4 * _OPERATION_BYTES)))
        batch_bytes = payload_bytes - max_batch * _OPERATION_BYTES
        return Capabilities(
            durable=self.durable,
            guard=self.guard,
            atomic_batch=self.atomic,
            list_keys=False,
            max_value_bytes=batch_bytes - _REQUEST_BYTES,
            max_batch=max_batch,
            max_batch_bytes=batch_bytes,
        )


UNGUARDED: Final = Kind("none", atomic=False, durable=True)
# Tried on real sidecars by tests/integration. Others may do as well; nobody has looked whether they do.
_KINDS: Final = {
    ("state.redis", "v1"): Kind("key", atomic=False, durable=True),
    ("state.sqlite", "v1"): Kind("batch", atomic=True, durable=True),
    ("state.postgresql", "v2"): Kind("batch", atomic=True, durable=True),
    ("state.in-memory", "v1"): Kind("batch", atomic=True, durable=False),
}
_GOOD_ONES: Final = "state.redis, state.sqlite, state.postgresql (version v2) or, for tests, state.in-memory"
_NEEDED: Final = {"ETAG", "TRANSACTIONAL"}


def find_kind(components: Iterable[api_v1.RegisteredComponents], name: str, *, allow_unguarded: bool) -> Kind:
    """Look up, among the components that a sidecar has loaded, of what kind the one of a name is.

    Args:
        components: From the sidecar's metadata.
        name: The name of a state component.
        allow_unguarded: Accept a component that is not known to keep stale writers out.

    Raises:
        StoreError: There is none of that name, or it guards nothing and that was not allowed.
    """
    known = [component for component in components if component.type.startswith("state.")]
    component = next((component for component in known if component.name == name), None)
    if component is None:
        names = ", ".join(sorted(component.name for component in known)) or "none"
        msg = f"the sidecar has no state component {name!r}; loaded are: {names}"
        raise StoreError(msg)
    kind = _KINDS.get((component.type, component.version or "v1"))
    missing = _NEEDED - set(component.capabilities)
    if kind is not None and not missing:
        return kind
    if not allow_unguarded:
        raise StoreError(_refusal(component, sorted(missing)))
    return UNGUARDED._replace(transactional="TRANSACTIONAL" in component.capabilities)


def _refusal(component: api_v1.RegisteredComponents, missing: Sequence[str]) -> str:
    what = f"state component {component.name!r} is a {component.type} (version {component.version or 'v1'})"
    why = f"which has no {' and no '.join(missing)}" if missing else "of which nobody has tried whether it does"
    return (
        f"{what}, {why}, and so nothing is known to keep a second process from writing over the runs of this one: "
        f"use {_GOOD_ONES}. One process alone may use it with allow_unguarded=True"
    )
