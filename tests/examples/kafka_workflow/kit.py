"""Driving a thread by records alone, and holding everything that it emits against what it should."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from holdfast import Delivery
from holdfast.core.definitions import WorkflowDefinition, WorkflowFunction
from holdfast.ports import Record
from holdfast.testing import TestEnvironment
from tests.play import Anything

KEY = "thread-1"
RESUME = "workflow-resume"
RESULT = "workflow-result"
ERROR = "workflow-error"
SCHEDULER = "workflow-scheduler"


class Emitted(NamedTuple):
    """A record, as far as a consumer of its topic cares."""

    topic: str
    key: str
    value: str


class Thread:
    """One thread, and what has come out of the engine so far.

    Attributes:
        env: The environment that it runs in.
        key: Its key.
    """

    def __init__(self, env: TestEnvironment, key: str = KEY) -> None:
        self.env = env
        self.key = key
        self._sent = 0

    async def send(self, value: str, *, key: str | None = None) -> Delivery:
        """Deliver a record of the topic that resumes threads, and let everything happen that follows from it."""
        self._sent += 1
        name = f"{self.key} {self._sent}"
        delivery = await self.env.engine.deliver(RESUME, key or self.key, value.encode(), id=name)
        await self.env.settled()
        return delivery

    async def new(self, value: Anything) -> Delivery:
        return await self.send(f"new:{json.dumps(value)}")

    async def answer(self, ref: str, value: Anything = None) -> Delivery:
        return await self.send(json.dumps({"ref": ref, "value": value}))

    async def reject(self, ref: str, error: Anything) -> Delivery:
        return await self.send(json.dumps({"ref": ref, "error": error}))

    async def fire(self, address: str) -> Delivery:
        """Do what a scheduler does when the time of an address has come."""
        key, _, value = address.partition("|")
        return await self.send(value, key=key)

    async def emitted(self) -> list[Emitted]:
        """Everything that any thread has published, in order."""
        return [emitted(record) for record in await self.env.outputs()]

    async def on(self, topic: str) -> list[str]:
        """The values on one topic."""
        return [each.value for each in await self.emitted() if each.topic == topic]

    async def only(self, topic: str) -> Emitted:
        """The one record of a topic."""
        (found,) = [each for each in await self.emitted() if each.topic == topic]
        return found

    async def emits(self, *expected: Emitted) -> None:
        """Check that exactly these records have come out, each as often as it is named, in whatever order."""
        assert Counter(await self.emitted()) == Counter(expected)

    def of(self, topic: str, value: str, key: str | None = None) -> Emitted:
        """Describe a record; its key is that of the thread, if no other is given."""
        return Emitted(topic, key or self.key, value)

    def json(self, topic: str, value: Anything, key: str | None = None) -> Emitted:
        """Describe a record with a JSON value."""
        return self.of(topic, compact(value), key)


def compact(value: Anything) -> str:
    """Write JSON as the engine does."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def emitted(record: Record) -> Emitted:
    return Emitted(record.topic, record.key or "", record.value.decode())


@asynccontextmanager
async def thread(workflows: Sequence[WorkflowFunction], *, key: str = KEY) -> AsyncIterator[Thread]:
    """Run an engine whose resume records start the first of these workflows."""
    async with TestEnvironment(workflows=workflows, resume_entry=WorkflowDefinition.of(workflows[0]).name) as env:
        yield Thread(env, key)
