"""One service calls an operation of another: the operation is a thread, and its answer comes to a ref of the caller.

The caller announces the operation, starts the thread that carries it out, and waits. Each operation has an id that
follows from what it is called with, so that the same call makes no second thread. A service that nobody waits for, for
it was started by hand, works just as well.

Started by ``new:{"workflow": "helloCaller", "name": "Ada", "language": "tr"}`` or ``new:{"message": "echo this"}``; a
service alone by ``new:{"workflow": "helloWorkflow", "name": "Ada", "language": "tr"}``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from holdfast import WorkflowContext, workflow

START_OPERATION = "temporal-nexus-hello-start-operation"
SERVICE_COMPLETED = "temporal-nexus-hello-service-completed"

GREETINGS = {"en": "Hello", "fr": "Bonjour", "de": "Hallo", "es": "Hola", "tr": "Merhaba"}

OperationResult = dict[str, str]
"""Its ``message``."""


class EchoCaller(BaseModel, frozen=True):
    """What one who wants an echo is started with."""

    workflow: Literal["echoCaller"] = "echoCaller"
    message: str


class HelloCaller(BaseModel, frozen=True):
    """What one who wants a greeting is started with."""

    workflow: Literal["helloCaller"]
    name: str
    language: str


class Operation(BaseModel, frozen=True):
    """Who waits for the end of an operation, if anybody does."""

    operation_id: str | None = Field(None, alias="operationId")
    caller_thread: str | None = Field(None, alias="callerThread")
    caller_ref: str | None = Field(None, alias="callerRef")


class EchoService(Operation, frozen=True):
    """What an operation that echoes is started with."""

    workflow: Literal["echoService"]
    message: str


class HelloService(Operation, frozen=True):
    """What an operation that greets is started with."""

    workflow: Literal["helloWorkflow"]
    name: str
    language: str


async def call(ctx: WorkflowContext, operation: str, service: str, operation_id: str, given: dict[str, str]) -> str:
    """Have a thread carry out an operation, and wait for its message."""
    reply = ctx.ref(operation, type=OperationResult)
    announced = {"operation": operation, "operationId": operation_id} | given | {"ref": reply.id}
    ctx.output_json(START_OPERATION, announced)
    caller = {"callerThread": ctx.thread_key, "callerRef": reply.id}
    asked = {"workflow": service, "operationId": operation_id} | caller | given
    ctx.ensure_thread(f"{ctx.thread_key}:nexus:{operation_id}", asked)
    result: OperationResult = await reply
    return result["message"]


def complete(ctx: WorkflowContext, operation: Operation, message: str) -> OperationResult:
    """Tell everybody who waits for an operation how it has ended."""
    result = {"message": message}
    if operation.operation_id:
        completed = {"operationId": operation.operation_id, "result": result}
        ctx.output_json(SERVICE_COMPLETED, completed, key=operation.operation_id)
    if operation.caller_thread and operation.caller_ref:
        ctx.output_json("workflow-resume", {"ref": operation.caller_ref, "value": result}, key=operation.caller_thread)
    return result


def greeting(name: str, language: str) -> str:
    """Greet somebody in their language."""
    if language not in GREETINGS:
        message = f"Unsupported language: {language}"
        raise ValueError(message)
    return f"{GREETINGS[language]}, {name}!"


@workflow(name="nexus-hello", outputs=[START_OPERATION, SERVICE_COMPLETED])
async def nexus_hello(
    ctx: WorkflowContext, asked: EchoCaller | HelloCaller | EchoService | HelloService
) -> str | OperationResult:
    """Call an operation, or be one."""
    match asked:
        case EchoCaller(message=message):
            return await call(ctx, "echo", "echoService", f"echo:{message}", {"message": message})
        case HelloCaller(name=name, language=language):
            given = {"name": name, "language": language}
            return await call(ctx, "hello", "helloWorkflow", f"hello:{name}:{language}", given)
        case EchoService(message=message):
            return complete(ctx, asked, message)
        case HelloService(name=name, language=language):
            return complete(ctx, asked, greeting(name, language))


workflows = [nexus_hello]
