"""An account is opened step by step; if a step fails, those before it are undone, the newest first.

Each step and each compensation is asked of a service by a record that carries the id of a ref. The service answers the
ref with ``{"ok": true}``, or with ``{"error": "why not"}``. A compensation that fails is logged, and the others follow:
what can be undone is. At the end the thread fails with the error that began it.

Started by ``new:`` and an account: ``accountId``, ``bankId``, ``clientEmail``, ``address`` and ``bankDetails``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import BaseModel, Field, JsonValue

from holdfast import CancelToken, RefError, WorkflowContext, workflow

LOG = "temporal-saga-log"


class OpenAccount(BaseModel, frozen=True):
    """The account to be; its address and details are the services' business."""

    account_id: str = Field(alias="accountId")
    bank_id: str = Field(alias="bankId")
    client_email: str = Field(alias="clientEmail")
    address: dict[str, JsonValue]
    bank_details: dict[str, JsonValue] = Field(alias="bankDetails")


class Step(NamedTuple):
    """Something to do, and how to undo it: the topics of both, and the name of what is done."""

    do: str
    undo: str
    name: str


CREATE = "temporal-saga-create-account"
ADDRESS = Step("temporal-saga-add-address", "temporal-saga-clear-postal-addresses", "add address")
CLIENT = Step("temporal-saga-add-client", "temporal-saga-remove-client", "add client")
BANK_ACCOUNT = Step("temporal-saga-add-bank-account", "temporal-saga-disconnect-bank-accounts", "add bank account")
STEPS = [ADDRESS, CLIENT, BANK_ACCOUNT]
TOPICS = [CREATE, *(step.do for step in STEPS), *(step.undo for step in STEPS), LOG]


async def ask(ctx: WorkflowContext, topic: str, asked: dict[str, Any]) -> None:
    """Have a service do something, and wait until it has.

    Raises:
        RuntimeError: It could not.
        RefError: It sent an error instead of an answer.
    """
    done = ctx.ref(topic)
    ctx.output_json(topic, asked | {"ref": done.id})
    match await done:
        case {"error": str(error)} if error:
            raise RuntimeError(error)


def log(ctx: WorkflowContext, message: str) -> None:
    """Tell whoever reads the log."""
    ctx.output_json(LOG, {"message": message})


async def take(ctx: WorkflowContext, step: Step, asked: dict[str, Any], done: list[Step]) -> None:
    """Take a step, and note that it is to be undone; also where a cancellation leaves open whether it was done."""
    done.append(step)
    try:
        await ask(ctx, step.do, asked)
    except (RuntimeError, RefError):
        done.remove(step)  # its service says that it is not
        raise


async def compensate(ctx: WorkflowContext, account_id: str, done: list[Step]) -> None:
    """Undo what is done, the newest first, as far as the services can."""
    if done:
        log(ctx, "failures encountered during account opening - compensating")
    for step in reversed(done):
        log(ctx, f"reversing {step.name}")
        try:
            await ask(ctx, step.undo, {"accountId": account_id})
        except (RuntimeError, RefError) as error:
            log(ctx, f"failed to compensate: {error}")


@workflow(name="saga", outputs=TOPICS)
async def open_account(ctx: WorkflowContext, account: OpenAccount) -> None:
    """Open an account with everything that belongs to it, or with nothing."""
    steps: list[tuple[Step, dict[str, Any]]] = [
        (ADDRESS, {"address": account.address}),
        (CLIENT, {"clientEmail": account.client_email}),
        (BANK_ACCOUNT, {"details": account.bank_details}),
    ]
    await ask(ctx, CREATE, {"accountId": account.account_id})
    done: list[Step] = []
    try:
        for step, details in steps:
            await take(ctx, step, {"accountId": account.account_id} | details, done)
    except (Exception, CancelToken) as error:
        log(ctx, str(error) or "canceled")
        await compensate(ctx, account.account_id, done)
        raise


workflows = [open_account]
