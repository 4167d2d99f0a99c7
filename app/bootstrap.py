"""From settings to an engine: the one place that makes stores and publishers."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from app.errors import StartupError
from app.modules import load_functions
from app.sidecar.subscriptions import mappings
from holdfast import EngineThread, StoreError, UnknownProviderError, stores
from holdfast.core.outputs import RESUME_TOPIC
from holdfast.patterns import scheduler
from holdfast.publishers import LocalBus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from app.otel import Spans
    from app.settings import Settings
    from holdfast import FencedError
    from holdfast.core.definitions import WorkflowDefinition
    from holdfast.ports import Publisher, StateStore

__all__ = ["build_engine", "build_spans", "make_publisher", "make_store"]

_log = logging.getLogger("holdfast.service")

_DAPR = "dapr:"
_LOCAL = "local"
_FILE_WAIT = timedelta(seconds=30)
_SERVER_WAIT = timedelta(minutes=5)


def make_store(settings: Settings) -> StateStore:
    """Make the store that the settings name.

    Raises:
        StartupError: There is none of that kind, its URL is not right, or an extra has to be installed.
    """
    try:
        return stores.open(settings.store, wait=_store_wait(settings))
    except (StoreError, UnknownProviderError) as error:
        message = f"HOLDFAST_STORE: {error}"
        raise StartupError(message) from error


def _store_wait(settings: Settings) -> timedelta:
    """Give another process time to let go of a file, and a server that is started along with us time to answer."""
    default = _FILE_WAIT if settings.store_kind == "sqlite" else _SERVER_WAIT
    return default if settings.store_wait is None else settings.store_wait


def make_publisher(settings: Settings) -> Publisher:
    """Make the publisher that the settings name.

    Raises:
        StartupError: There is none of that kind.
    """
    if settings.publisher == _LOCAL:
        return LocalBus(keep=0)
    if not settings.publisher.startswith(_DAPR) or settings.publisher == _DAPR:
        message = f"HOLDFAST_PUBLISHER: {settings.publisher!r} is not a publisher: write dapr:component or local"
        raise StartupError(message)
    try:
        from holdfast.publishers.dapr import DaprPublisher  # noqa: PLC0415 - an extra, which takes a while to import
    except ModuleNotFoundError as error:
        message = f"HOLDFAST_PUBLISHER: {settings.publisher!r} needs the extra: pip install 'holdfast[dapr]' ({error})"
        raise StartupError(message) from error
    wait = _SERVER_WAIT if settings.store_wait is None else settings.store_wait
    return DaprPublisher(settings.publisher.removeprefix(_DAPR), connect_timeout=wait)


def _warn_of_lost_outputs(definitions: Iterable[WorkflowDefinition], bus: LocalBus) -> None:
    """Say so where workflows publish and nobody can hear them."""
    topics = sorted({topic for known in definitions for topic in known.outputs if not bus.hears(topic)})
    if topics:
        _log.warning(
            "outputs to %s go nowhere: set HOLDFAST_PUBLISHER=dapr:component to publish them", ", ".join(topics)
        )


def _check_starts(settings: Settings, definitions: Iterable[WorkflowDefinition]) -> None:
    """See that each workflow is loaded that a mapping of a topic starts: else all of its messages would be dead.

    Raises:
        StartupError: One is not.
    """
    names = sorted({known.name for known in definitions})
    for mapped in settings.topics:
        if mapped.start and mapped.start not in names:
            message = (
                f"HOLDFAST_TOPICS: the mapping of topic {mapped.topic!r} has in start {mapped.start!r}, which is no "
                f"workflow that is loaded: loaded are {', '.join(names) or 'none'}"
            )
            raise StartupError(message)


def build_spans(settings: Settings) -> Spans | None:
    """Make what sends spans, if the settings ask for it; what that needs is an extra, and takes a while to import.

    Raises:
        StartupError: It is not installed.
    """
    if not settings.tracing:
        return None
    try:
        from app.otel import Spans  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        message = f"HOLDFAST_TRACING needs the extra: pip install 'holdfast[otel]' ({error})"
        raise StartupError(message) from error
    return Spans()


def build_engine(settings: Settings, on_fenced: Callable[[FencedError], None]) -> EngineThread:
    """Make the engine that the settings describe; it is not opened yet.

    Args:
        settings: Of the service.
        on_fenced: Called, on the engine's thread, when another process has taken the runs over.

    Raises:
        StartupError: The store or publisher is of no known kind, a module cannot be used, two functions claim one
            name, settings contradict each other, or a topic is to start a workflow that is not loaded.
    """
    if settings.scheduler and settings.resume_topic != RESUME_TOPIC:
        message = (
            f"HOLDFAST_SCHEDULER: what is due goes to {RESUME_TOPIC!r}, "
            f"and HOLDFAST_RESUME_TOPIC {settings.resume_topic!r} is not that"
        )
        raise StartupError(message)
    functions = load_functions(settings.workflows)  # first: a module may register a kind of store
    store, publisher = make_store(settings), make_publisher(settings)
    if not functions.workflows:
        _log.warning("no workflows are loaded: set HOLDFAST_WORKFLOWS=module,module")
    try:
        thread = EngineThread(
            store,
            publisher=publisher,
            workflows=[*functions.workflows, *([scheduler] if settings.scheduler else [])],
            activities=functions.activities,
            instance=settings.instance,
            max_cached_runs=settings.max_cached_runs,
            max_threads=settings.activity_threads,
            drain=settings.drain,
            dev_replay=settings.dev_replay,
            topics=mappings(settings),
            resume_topic=settings.resume_topic,
            resume_entry=settings.resume_entry,
            on_fenced=on_fenced,
        )
    except (TypeError, ValueError, StoreError) as error:
        message = f"the workflows cannot be registered: {error}"
        raise StartupError(message) from error
    _check_starts(settings, thread.engine.definitions())
    if isinstance(publisher, LocalBus):
        _warn_of_lost_outputs(thread.engine.definitions(), publisher)
    return thread
