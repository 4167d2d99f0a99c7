"""Queries, updates and subscriptions by messages: for callers that reach a run by its topic alone.

Every message is an answer to one ref, so they are handled one by one. A query is answered, and changes nothing. An
update changes something and is answered; one that is refused is answered with the error, changes nothing, and harms
nobody else. A subscriber is told the state, and again after each change, with a number that grows: what comes late or
twice is known by it.

A message is ``{"ref": "main", "value": {"type": "query", "name": "votes", "argument": null, "reply": "r-1"}}``, or
``update``, or ``{"type": "subscribe", "reply": "s-1"}``, or ``unsubscribe``. What is answered goes to a topic, under
the key that the message names in ``reply``. (Callers of the engine itself have queries and updates built in.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast import WorkflowContext, workflow

Handler = Callable[[Any], Any]
"""Takes the argument of a message, and gives what it is answered with; what it raises is the answer too."""


class MessageDesk:
    """Handles the messages of a run.

    Args:
        ctx: The run.
        topic: Where the answers go; one of those that the workflow declares.
        state: What subscribers are told.
        queries: What answers queries, by name.
        updates: What answers updates, by name. A handler checks first and changes then.
    """

    def __init__(
        self,
        ctx: WorkflowContext,
        topic: str,
        *,
        state: Callable[[], Any],
        queries: Mapping[str, Handler],
        updates: Mapping[str, Handler],
    ) -> None:
        self._ctx = ctx
        self._topic = topic
        self._state = state
        self._handlers = {"query": queries, "update": updates}
        self._subscribers: dict[str, None] = {}
        self._version = 0

    async def serve(self, *, until: Callable[[], bool]) -> None:
        """Handle messages as they come, until that is so; what cannot be read is passed over."""
        while not until():
            match await self._ctx.ref_id("main"):
                case {"type": "subscribe", "reply": str(reply)} if reply:
                    self._subscribers[reply] = None
                    self._tell(reply)
                case {"type": "unsubscribe", "reply": str(reply)}:
                    self._subscribers.pop(reply, None)
                case {"type": "query" | "update" as kind, "name": str(name), "reply": str(reply), **rest} if reply:
                    self._answer(kind, name, rest.get("argument"), reply)

    def _answer(self, kind: str, name: str, argument: object, reply: str) -> None:
        handler = self._handlers[kind].get(name)
        if handler is None:
            self._reply(reply, error=f"there is no {kind} {name!r}")
            return
        try:
            value = handler(argument)
        except Exception as error:  # noqa: BLE001 - one message that cannot be handled must not end the run
            self._reply(reply, error=str(error))
            return
        self._reply(reply, value=value)
        if kind == "update":
            self._version += 1
            for subscriber in self._subscribers:
                self._tell(subscriber)

    def _reply(self, reply: str, **answer: object) -> None:
        self._ctx.output_json(self._topic, {"reply": reply, **answer}, key=reply)

    def _tell(self, subscriber: str) -> None:
        told = {"reply": subscriber, "version": self._version, "state": self._state()}
        self._ctx.output_json(self._topic, told, key=subscriber)


@dataclass(frozen=True)
class Question:
    """What people can vote for."""

    options: list[str]


@workflow(name="poll", outputs=["poll-answers"])
async def poll(ctx: WorkflowContext, question: Question) -> dict[str, int]:
    """Count votes until the poll is closed."""
    votes = Counter(dict.fromkeys(question.options, 0))
    closed = False

    def vote(option: object) -> int:
        if option not in question.options:
            raise ValueError(f"nobody can vote for {option!r}")
        votes[str(option)] += 1
        return votes.total()

    def close(_argument: object) -> None:
        nonlocal closed
        closed = True

    desk = MessageDesk(
        ctx,
        "poll-answers",
        state=lambda: dict(votes),
        queries={"votes": lambda _argument: dict(votes)},
        updates={"vote": vote, "close": close},
    )
    await desk.serve(until=lambda: closed)
    return dict(votes)


workflows = (poll,)
