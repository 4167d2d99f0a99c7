"""A run from outside: what a start gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.core.errors import WorkflowNotFoundError

if TYPE_CHECKING:
    from holdfast.core.codec import Decoder
    from holdfast.core.durations import Duration
    from holdfast.core.history import RunStatus
    from holdfast.engine.engine import Engine
    from holdfast.engine.runs.answers import Resolution
    from holdfast.engine.views import RunDescription

__all__ = ["WorkflowHandle"]


class WorkflowHandle:
    """A run, by its ids.

    Attributes:
        id: The workflow id.
        run_id: The run that it was made for; empty for whichever run is the newest.
        created: Whether the call that gave this handle, or the same request before it, made the run.
    """

    __slots__ = ("_decode", "_engine", "_follow", "created", "id", "run_id")

    def __init__(  # noqa: PLR0913 - made by the engine alone
        self,
        engine: Engine,
        workflow_id: str,
        run_id: str,
        *,
        follow: bool,
        decode: Decoder | None = None,
        created: bool = False,
    ) -> None:
        """Refer to a run.

        Args:
            engine: Where it runs.
            workflow_id: The workflow id.
            run_id: The run; empty for the newest.
            follow: Let `result` go on to the run that follows by continue-as-new.
            decode: How to read the result, where the caller knows better than the run.
            created: The call that gave this handle, or the same request before it, has made the run.
        """
        self.id = workflow_id
        self.run_id = run_id
        self.created = created
        self._engine = engine
        self._follow = follow
        self._decode = decode

    async def result(self, *, timeout: Duration | None = None) -> Any:  # noqa: ANN401 - of the workflow's own type
        """Wait for the run to end, and give its result.

        Raises:
            WorkflowFailedError: It failed; `WorkflowCanceledError`, `WorkflowTerminatedError` and
                `WorkflowTimedOutError` are kinds of that.
            TimeoutError: It did not end in time; it goes on.
        """
        run_id = self.run_id or (await self.describe()).run_id
        return await self._engine.result(self.id, run_id, follow=self._follow, decode=self._decode, timeout=timeout)

    async def status(self) -> RunStatus:
        """Say where the run stands."""
        return (await self.describe()).status

    async def describe(self) -> RunDescription:
        """Show the run."""
        return await self._engine.describe(self.id, run_id=None if self._follow or not self.run_id else self.run_id)

    async def signal(self, name: str, payload: object = None, *, id: str | None = None) -> None:
        """Send a signal; it is durable once this returns."""
        await self._check_newest()
        await self._engine.signal(self.id, name, payload, id=id)

    async def resolve_ref(
        self, ref: str, value: object = None, *, error: object = None, id: str | None = None
    ) -> Resolution:
        """Answer a ref; see `Engine.resolve_ref`."""
        await self._check_newest()
        return await self._engine.resolve_ref(self.id, ref, value, error=error, id=id)

    async def query(self, name: str, input: object = None) -> Any:  # noqa: ANN401 - any JSON value
        """Ask a query."""
        await self._check_newest()
        return await self._engine.query(self.id, name, input)

    async def update(self, name: str, value: object = None, *, id: str | None = None) -> Any:  # noqa: ANN401
        """Ask for a change, and wait for its reply."""
        await self._check_newest()
        return await self._engine.update(self.id, name, value, id=id)

    async def cancel(self, *, reason: str = "") -> None:
        """Ask the run to cancel."""
        await self._check_newest()
        await self._engine.cancel(self.id, reason=reason)

    async def terminate(self, *, reason: str = "") -> None:
        """End the run here and now."""
        await self._check_newest()
        await self._engine.terminate(self.id, reason=reason)

    async def _check_newest(self) -> None:
        """Keep a handle that was made for one run from reaching the next one."""
        if self._follow or not self.run_id:
            return
        newest = await self._engine.describe(self.id)
        if newest.run_id != self.run_id:
            message = f"run {self.run_id!r} of workflow {self.id!r} has ended: its newest run is {newest.run_id!r}"
            raise WorkflowNotFoundError(message)
