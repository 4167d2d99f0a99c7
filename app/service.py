"""The engine as the routes see it: open, ready or draining, and called with a limit on the time that takes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from app.calls import Calls
from app.errors import BusyError, NotReadyError, StartupError
from holdfast import FencedError, PublishError, StoreError
from holdfast.stores import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from concurrent.futures import Future

    from app.otel import Spans
    from app.settings import Settings
    from holdfast import Engine, EngineThread
    from holdfast.core.definitions import WorkflowDefinition

__all__ = ["CLOSE_SECONDS", "SWITCH_SECONDS", "Service"]

T = TypeVar("T")

_PATIENCE_SECONDS: Final = 3.0
"""A start that takes longer says what it waits for."""
SWITCH_SECONDS: Final = 0.0002
"""After how long a thread that computes makes way for another one.

Python's own 5 ms are longer than a commit takes: the thread of a store would wait for the interpreter as long as for
its backend. See docs/explanation/performance.md, "On Kafka and NATS".
"""
_FINISH_SECONDS: Final = 2.0
"""How long requests that are under way may still use the engine once the service drains."""
CLOSE_SECONDS: Final = 12.0
"""How much longer than the drain of its activities closing the engine may take before it is given up."""
_LOOK_SECONDS: Final = 2.0
"""How long whoever asks for numbers waits for an engine whose thread is held."""
_PROBE_ID: Final = "holdfast-readiness-probe"

_log = logging.getLogger("holdfast.service")


class Service:
    """One engine, and whether it can be used now.

    Attributes:
        settings: Of the service.
        on_fenced: Called, on the engine's thread, when another process has taken the runs over.
        is_fenced: Whether that has happened.
        spans: Makes the spans of requests and activities; None where nobody asked for any.
    """

    def __init__(
        self,
        settings: Settings,
        build: Callable[[Settings, Callable[[FencedError], None]], EngineThread],
        trace: Callable[[Settings], Spans | None] = lambda _settings: None,
    ) -> None:
        """Describe it; nothing is started.

        Args:
            settings: Of the service.
            build: Makes the engine, when the service is opened.
            trace: Makes what spans are made by, after that: the engine's modules may set that up.
        """
        self.settings = settings
        self.on_fenced: Callable[[], None] = lambda: None
        self.is_fenced = False
        self.spans: Spans | None = None
        self._build = build
        self._trace = trace
        self._thread: EngineThread | None = None
        self._calls: Calls | None = None
        self._state = "starting"
        self._closing: threading.Thread | None = None
        self._places = threading.BoundedSemaphore(max(1, settings.threads // 2))
        self._probe: Future[object] | None = None

    # Its life.

    def open(self) -> None:
        """Make the engine and open it.

        Raises:
            StartupError: That cannot be done; the text says why, for a person.
        """
        sys.setswitchinterval(SWITCH_SECONDS)
        thread = self._build(self.settings, self._fenced)
        self.trace_with(self._trace(self.settings), thread)
        notice = threading.Timer(_PATIENCE_SECONDS, self._say_what_it_waits_for, [thread])
        notice.daemon = True
        notice.start()
        try:
            thread.open()
        except (PublishError, StoreError) as error:
            raise StartupError(str(error)) from error
        finally:
            notice.cancel()
        self.adopt(thread)
        _log.info("the engine is open, with %d workflows", len(self.definitions()))

    def _say_what_it_waits_for(self, thread: EngineThread) -> None:
        """Tell a sidecar that is away from a store that another process uses, as far as that can be told."""
        kind, servers = self.settings.store_kind, registry.servers(self.settings.store)
        # What a component can do is known once the sidecar has answered; one that guards nothing is never opened.
        if kind == "dapr" and thread.engine.capabilities.guard == "none":
            what = "sidecar to answer"
        elif servers:
            what = f"store: for the server of {kind} to answer, or for another process to let go of the runs"
        else:
            what = "store to be free"
        _log.warning("still waiting for the %s", what)

    def trace_with(self, spans: Spans | None, thread: EngineThread) -> None:
        """Make spans of requests, and let an engine make those of activities."""
        self.spans = spans
        if spans is not None:
            thread.engine.trace_with(spans.activities)

    def adopt(self, thread: EngineThread) -> None:
        """Use an engine that is open already."""
        self._calls = Calls(thread.run(_running_loop()))
        self._thread = thread
        self._state = "open"

    def _fenced(self, error: FencedError) -> None:
        _log.critical("%s", error)
        self.is_fenced = True
        self.on_fenced()

    def begin_drain(self) -> None:
        """Take no more work, end what waits, and begin to close; safe in a signal handler, and more than once."""
        if self._closing is None:
            self._state = "draining"
            self._closing = threading.Thread(target=self._close, name="holdfast-drain", daemon=True)
            self._closing.start()

    def close(self) -> None:
        """Close the engine, and wait until that is done or given up."""
        self.begin_drain()
        if self._closing is not None:
            self._closing.join(self.settings.drain.total_seconds() + CLOSE_SECONDS)
            if self._closing.is_alive():
                _log.error("the engine did not close in time: what it had not written yet is redone at the next start")

    def _close(self) -> None:
        _log.info("shutting down")
        thread, calls = self._thread, self._calls
        if thread is None or calls is None:
            return
        calls.end_waits()
        calls.finish(_FINISH_SECONDS)
        try:
            thread.close()
        except Exception:  # noqa: BLE001 - whatever it is, the process ends, and what is stored is whole
            _log.exception("the engine could not be closed")
        if self.spans is not None:
            self.spans.close()
        self._state = "closed"

    # Its state.

    @property
    def is_draining(self) -> bool:
        """Whether it has begun to end."""
        return self._state in {"draining", "closed"}

    @property
    def is_stuck(self) -> bool:
        """Whether workflow code has held the engine for so long that the process should be restarted."""
        return self._thread is not None and self._thread.is_stuck

    def not_ready(self) -> str:
        """Say why work cannot be taken now; empty where it can."""
        if self._state != "open" or self._thread is None:
            return f"the service is {self._state}"
        reason = self._thread.not_ready()
        if reason and not self.is_fenced:
            self._look_for_store()
        return reason

    def _look_for_store(self) -> None:
        """Ask the store for something, for as long as it takes: with that the engine notices that it is back."""
        if self._thread is None or self._calls is None or not (self._probe is None or self._probe.done()):
            return
        self._probe = self._calls.spawn(_ask(self._thread.engine))

    # Calling the engine.

    def call(self, make: Callable[[Engine], Coroutine[Any, Any, T]], *, waits: float | None = None) -> T:
        """Call the engine.

        Args:
            make: Makes the coroutine to run on the engine's loop.
            waits: For how many seconds, at most, the call waits for something to happen to a run.

        Raises:
            NotReadyError: Work cannot be taken now, or the engine did not answer in time.
        """
        reason = self.not_ready()
        if reason or self._thread is None or self._calls is None:
            raise NotReadyError(reason)
        seconds = self.settings.call_timeout.total_seconds() + (waits or 0.0)
        try:
            return self._calls.run(make(self._thread.engine), seconds, waits=waits is not None)
        except StoreError as error:
            if self.is_draining:  # it was closed under the call
                raise NotReadyError(self.not_ready()) from error
            raise

    def definitions(self) -> list[tuple[WorkflowDefinition, bool]]:
        """List the workflows that can be started, by name and version, each with whether new runs get that version.

        Raises:
            NotReadyError: Work cannot be taken now.
        """
        reason = self.not_ready()
        if reason or self._thread is None:
            raise NotReadyError(reason)
        engine = self._thread.engine
        return [(known, engine.definition(known.name) is known) for known in engine.definitions()]

    def look(self, view: Callable[[Engine], T]) -> T | None:
        """Look at the engine as it is, also while its store is away; None where it does not answer soon."""
        if self._thread is None or self._calls is None:
            return None

        async def call(engine: Engine) -> T:
            return view(engine)

        try:
            return self._calls.run(call(self._thread.engine), _LOOK_SECONDS)
        except (NotReadyError, FencedError, StoreError):
            return None

    def let_go(self, call: Coroutine[Any, Any, None]) -> None:
        """Have something cleaned up on the engine's loop, if that is still there."""
        try:
            if self._calls is not None:
                self._calls.spawn(call)
        except RuntimeError:
            call.close()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places for requests that wait: half the threads stay free for those that do not.

        Raises:
            BusyError: They are all taken.
        """
        if not self._places.acquire(blocking=False):
            message = "too many requests are waiting for runs: come again, or poll"
            raise BusyError(message)
        try:
            yield
        finally:
            self._places.release()


async def _running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def _ask(engine: Engine) -> object:
    with contextlib.suppress(Exception):  # that there is no such run is the answer
        return await engine.describe(_PROBE_ID)
    return None
