"""A sidecar's Conversation API with a script instead of a model, on a port of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
from dapr.proto import api_service_v1, api_v1

from tests.play import Anything

Step = api_v1.ConversationResponseAlpha2 | tuple[grpc.StatusCode, str] | Callable[[], Awaitable[Anything]]


def said(text: str, **choice: Anything) -> api_v1.ConversationResponseAlpha2:
    """One answer, as most components give it."""
    message = api_v1.ConversationResultMessage(content=text, **choice)
    choices = [api_v1.ConversationResultChoices(finish_reason="stop", message=message)]
    return api_v1.ConversationResponseAlpha2(outputs=[api_v1.ConversationResultAlpha2(choices=choices)])


class ModelServer(api_service_v1.DaprServicer):
    """What answers.

    Attributes:
        steps: What the next calls get: an answer, a status with words, or a function to await; the last one for ever.
        requests: What was asked.
        headers: What was sent with each request.
        seconds_left: How long each caller would wait.
        peers: The connections that the calls came on.
        cancelled: How many callers have hung up.
    """

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps) or [said("yes")]
        self.requests: list[api_v1.ConversationRequestAlpha2] = []
        self.headers: list[dict[str, str]] = []
        self.seconds_left: list[float] = []
        self.peers: list[str] = []
        self.cancelled = 0
        self.address = ""

    async def ConverseAlpha2(  # noqa: N802 - the name in the Dapr API
        self, request: api_v1.ConversationRequestAlpha2, context: Anything
    ) -> api_v1.ConversationResponseAlpha2:
        self.requests.append(request)
        self.headers.append(dict(context.invocation_metadata()))
        self.seconds_left.append(context.time_remaining())
        self.peers.append(context.peer())
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, tuple):
            await context.abort(*step)
        if callable(step):
            try:
                answer: api_v1.ConversationResponseAlpha2 = await step()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return answer
        assert not isinstance(step, tuple)
        return step


@asynccontextmanager
async def model_server(*steps: Step) -> AsyncIterator[ModelServer]:
    servicer = ModelServer(*steps)
    server = grpc.aio.server()
    register: Anything = api_service_v1.add_DaprServicer_to_server
    register(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield servicer
    finally:
        await server.stop(None)
