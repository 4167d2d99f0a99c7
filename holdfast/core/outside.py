"""What workflow code can say to the outside, and wait for from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.core.codec import decode_json, encode
from holdfast.core.history import Command, EventType
from holdfast.core.ids import check_id
from holdfast.core.outputs import send_json, send_plain
from holdfast.core.refs import Ref, make_ref, name_ref
from holdfast.core.threads import ensure_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.core.instance import Instance

__all__ = ["OutsideCalls"]


class OutsideCalls:
    """The part of `WorkflowContext` that speaks to other runs and other services."""

    __slots__ = ()

    _run: Instance

    def ref(self, name: str | None = None, *, type: Any = None) -> Ref[Any]:
        """Make something to await that whoever knows its ``id`` can answer from outside, with a value or an error.

        Args:
            name: Stands in the id, for people.
            type: What to decode the answer as.

        Raises:
            PayloadError: The name is no text, or too long.
        """
        return make_ref(self._run, name, type)

    def ref_id(self, id: str, key: str | None = None, *, type: Any = None) -> Ref[Any]:
        """Make a ref of an id of one's own, which may be used over and over: the next ref gets the next answer.

        While one of that id has no answer, that one is given. What comes in between waits for the next one, up to
        1,000 answers; what comes after one was cancelled, and before the next, is dropped.

        Args:
            id: By which it is answered.
            key: The thread that the ref's ``key`` names; the run's own by default.
            type: What to decode the answer as.

        Raises:
            PayloadError: The id or the key is no text, or too long.
        """
        return name_ref(self._run, id, key, type)

    def ensure_thread(
        self, key: str, input: object = None, *, workflow: Callable[..., Any] | str | None = None
    ) -> None:
        """Start a run under a key, after this one's progress is durable, unless one is open under it.

        Args:
            key: Any text of up to 1,024 bytes; it is the workflow id, if it can be one.
            input: Any JSON value, dataclass or pydantic model.
            workflow: The function, or the name it is registered under; the run's own by default.

        Raises:
            PayloadError: The input is not JSON or too large, the key is no text, or too much is on its way.
        """
        ensure_thread(self._run, key, input, workflow)

    def signal(self, workflow_id: str, name: str, payload: object = None) -> Awaitable[None]:
        """Send a signal to another run, after this one's progress is durable.

        Returns:
            Something that may be awaited to know that the signal has arrived. It raises `WorkflowNotFoundError`
            where there is no such run or it has ended.
        """
        run = self._run
        check_id(workflow_id)
        raw = encode(payload, f"signal {name!r}", limit=run.host.payload_limit)
        command_id = run.loop.lineage().next_id()
        sent = Command(EventType.SIGNAL_SENT, run.loop.now_ms, command_id, name, raw, {"workflow_id": workflow_id})
        return run.expect(sent, decode_json, shown=True)

    def output(self, topic: str, value: str | bytes, *, key: str | None = None) -> None:
        """Publish a text or bytes as they are, once this run's progress is durable.

        The outputs of a run leave in the order it asked for them, each at least once and always under the same id.

        Args:
            topic: One of those that the workflow declares: ``@workflow(outputs=[...])``.
            value: What to publish.
            key: What the broker may part and order by; by default the key of the thread, which is the workflow id.

        Raises:
            UndeclaredTopicError: The workflow does not declare the topic.
            PayloadError: The value is too large or neither text nor bytes, the topic or key cannot be stored, or 1,000
                effects of the run have not been carried out yet.
        """
        send_plain(self._run, topic, value, key)

    def output_json(self, topic: str, value: object, *, key: str | None = None) -> None:
        """Publish a value as JSON, once this run's progress is durable; the rest is as for `output`.

        Args:
            topic: One of those that the workflow declares.
            value: Any JSON value, dataclass or pydantic model.
            key: What the broker may part and order by; by default the key of the thread, which is the workflow id.

        Raises:
            UndeclaredTopicError: The workflow does not declare the topic.
            PayloadError: As for `output`, or the value has no JSON form.
        """
        send_json(self._run, topic, value, key)
