"""The table of the kinds of stores: how each is written as a URL, and which adapter it makes of that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.errors import StoreError
from holdfast.stores.store_options import Option, file_path, properties, read_options, whole_number
from holdfast.stores.store_url import StoreUrl, servers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.durations import Duration
    from holdfast.ports import StateStore

__all__ = ["KINDS", "StoreKind"]

_UNCLEAR: Final = re.compile(r"[/?#%\[\]\s]")
_LARGEST_INT: Final = 2**31 - 1
"""The largest number that the protocols have room for."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")

Arguments = tuple[list[Any], dict[str, Any]]
"""What an adapter is called with: by position, and by name."""


@dataclass(frozen=True, slots=True)
class StoreKind:
    """One kind of store.

    Attributes:
        name: What its URLs begin with, up to a ``+`` or ``:``.
        form: How its URLs are written.
        example: One that is right.
        adapter: ``module:class``, imported when a store of this kind is first asked for.
        arguments: What the adapter is called with for a URL, without its options.
        options: What may follow the ``?``.
        extra: What has to be installed for it, as in ``pip install 'holdfast[extra]'``; empty for nothing.
        wait: The adapter's argument for how long `StateStore.open` may wait; empty where it never waits.
        schemes: What stands before the colon, where that is not the name.
    """

    name: str
    form: str
    example: str
    adapter: str
    arguments: Callable[[StoreUrl], Arguments]
    options: tuple[Option, ...] = ()
    extra: str = ""
    wait: str = ""
    schemes: tuple[str, ...] = ()

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What stands before the colon of its URLs."""
        return self.schemes or (self.name,)

    def make(self, url: str, wait: Duration | None) -> StateStore:
        """Make a store of this kind; see `open`."""
        parts = StoreUrl.read(url, self.example)
        positional, named = self.arguments(parts)
        named |= read_options(parts, self.options)
        if self.wait and wait is not None:
            named[self.wait] = wait
        adapter = self._adapter()
        try:
            return adapter(*positional, **named)
        except ValueError as error:
            parts.refuse(str(error))

    def _adapter(self) -> Callable[..., StateStore]:
        module, _, name = self.adapter.partition(":")
        try:
            adapter: Callable[..., StateStore] = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            if not self.extra:
                raise
            message = f"{self.name} stores need an extra: pip install 'holdfast[{self.extra}]' ({error})"
            raise StoreError(message) from error
        return adapter


def _no_place(url: StoreUrl) -> Arguments:
    if url.place:
        url.refuse("nothing follows the colon")
    return [], {}


def _path(url: StoreUrl) -> Arguments:
    path = url.place.removeprefix("///")
    if path == url.place or not path:
        url.refuse("a path follows three slashes")
    return [path], {}


def _component(url: StoreUrl) -> Arguments:
    if not url.place or "/" in url.place:
        url.refuse("the name of a component follows the colon")
    return [url.place], {}


def _brokers(url: StoreUrl) -> Arguments:
    user, hosts, topic = url.authority()
    if user:
        url.refuse("user and password do not belong here: put them into a file, with the option 'config'")
    servers_of(url, hosts)
    return [hosts], _named(url, "topic", topic)


def _nats_servers(url: StoreUrl) -> Arguments:
    user, hosts, bucket = url.authority()
    servers_of(url, hosts)
    if "," in user:  # perhaps another host, which must not be passed over without a word
        url.refuse("user and password stand once, before the first host, and have no ','")
    if _UNCLEAR.search(user):  # the client takes user and password as they are written, if it finds them
        url.refuse(
            "user and password must not have '/', '?', '#', '%', '[', ']' or spaces: use the option 'credentials'"
        )
    prefix = f"nats://{user}@" if user else "nats://"
    return [[prefix + each for each in hosts.split(",")]], _named(url, "bucket", bucket)


def _base_url(url: StoreUrl) -> Arguments:
    user, hosts, prefix = url.authority()
    if user:
        url.refuse("user and password do not belong here: the key is taken from INNGEST_EVENT_KEY")
    if len(servers_of(url, hosts, port_needed=False)) > 1:
        url.refuse("one server answers for this store")
    return [f"{url.scheme.partition('+')[2]}://{hosts}/{prefix}".rstrip("/")], {}


def _named(url: StoreUrl, argument: str, name: str) -> dict[str, Any]:
    if name and not _NAME.fullmatch(name):
        url.refuse(f"the {argument} may hold letters and digits of ASCII, '_', '.' and '-' only")
    return {argument: name} if name else {}


KINDS: Final = (
    StoreKind(
        name="memory",
        form="memory:",
        example="memory:",
        adapter="holdfast.stores.memory:MemoryStore",
        arguments=_no_place,
    ),
    StoreKind(
        name="sqlite",
        form="sqlite:///relative.db, sqlite:////absolute.db",
        example="sqlite:///path/to/file.db",
        adapter="holdfast.stores.sqlite:SqliteStore",
        arguments=_path,
        wait="busy_timeout",
    ),
    StoreKind(
        name="dapr",
        form="dapr:component",
        example="dapr:statestore",
        adapter="holdfast.stores.dapr:DaprStore",
        arguments=_component,
        extra="dapr",
        wait="connect_timeout",
    ),
    StoreKind(
        name="kafka",
        form="kafka://host:port[,host:port]/topic",
        example="kafka://localhost:9092/beluga-workflows",
        adapter="holdfast.stores.kafka:KafkaStore",
        arguments=_brokers,
        options=(
            Option(
                "partition", whole_number(0, _LARGEST_INT), "The partition of the topic; each is a store of its own."
            ),
            Option(
                "replicas",
                whole_number(1, _LARGEST_INT),
                "How many brokers keep a copy, where the topic has to be created.",
            ),
            Option("config", properties, "A file of librdkafka's properties, `name=value`: for TLS, SASL and secrets."),
            Option(
                "max_cached_bytes",
                whole_number(1),
                "How many bytes of documents stay in memory; all of them without it.",
            ),
        ),
        extra="kafka",
        wait="connect_timeout",
    ),
    StoreKind(
        name="nats",
        form="nats://[user:password@]host:port[,host:port]/bucket",
        example="nats://localhost:4222/beluga_workflows",
        adapter="holdfast.stores.nats:NatsStore",
        arguments=_nats_servers,
        options=(
            Option(
                "replicas",
                whole_number(1, _LARGEST_INT),
                "How many servers keep a copy, where the bucket has to be created.",
            ),
            Option("credentials", file_path, "A file of credentials, as `nsc` makes it."),
        ),
        extra="nats",
        wait="connect_timeout",
    ),
    StoreKind(
        name="inngest",
        form="inngest+http://host:port[/prefix], inngest+https://host[:port][/prefix]",
        example="inngest+http://localhost:8288",
        adapter="holdfast.stores.inngest:InngestStore",
        arguments=_base_url,
        extra="inngest",
        wait="connect_timeout",
        schemes=("inngest+http", "inngest+https"),
    ),
)
