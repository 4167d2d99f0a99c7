"""The bodies of requests and answers, as the OpenAPI document shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from app.durations import DurationField, parse_duration
from app.finding import Verdict
from holdfast import Delivery, RunStatus

__all__ = [
    "ID_SCHEMA",
    "DeadLetter",
    "DeadLetterPage",
    "Definitions",
    "Diagnosis",
    "Health",
    "HeldMessages",
    "History",
    "HistoryQuery",
    "LimitQuery",
    "ListQuery",
    "PageQuery",
    "PayloadReply",
    "PurgeQuery",
    "QueryQuery",
    "Reason",
    "RefAnswer",
    "RefAnswered",
    "Replayed",
    "Rerun",
    "Run",
    "RunPage",
    "RunQuery",
    "RunRef",
    "SignalAccepted",
    "StartBody",
    "StartQuery",
    "Started",
    "UpdateQuery",
    "UpdateReply",
]

Wait = Annotated[DurationField, Field(le=parse_duration("60s"))]
Text = Annotated[str, StringConstraints(max_length=1_000)]
ID_SCHEMA: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
Id = Annotated[str, WithJsonSchema(dict(ID_SCHEMA))]
"""A workflow id; that it is one is checked by the engine, for a bad id is another problem than a bad body."""


def _whole(value: object) -> object:
    """Take 2.0 for 2, as JSON does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Request(BaseModel):
    """Takes nothing that it does not know."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _Body(_Request):
    """Takes no number for a text, and no text for a number."""

    model_config = ConfigDict(strict=True)


# Requests.


class StartBody(_Body):
    """A run to start."""

    id: Id | None = None
    input: Any = None
    timeout: DurationField | None = Field(default=None, description="the longest the run may take")
    on_conflict: Literal["fail", "use_existing", "terminate_existing"] = "fail"


class Reason(_Body):
    """Why; it is recorded in the history."""

    reason: Text = ""


class Rerun(Reason):
    """From where to run it again."""

    from_event: Annotated[int, BeforeValidator(_whole)] = Field(
        default=1, ge=1, le=2**31, description="the last event of the history to keep"
    )


class StartQuery(_Request):
    """How to answer a start."""

    wait: Wait | None = Field(default=None, description="answer with the result, if the run ends within this time")


class RunQuery(_Request):
    """Which run of an id; the newest by default."""

    run_id: str | None = Field(default=None, max_length=256)


class HistoryQuery(RunQuery):
    """Which part of a history."""

    after: int = Field(default=0, ge=0, description="leave out the events up to this number")


class PurgeQuery(_Request):
    """Why; it is logged."""

    reason: Text = ""


class LimitQuery(_Request):
    """How many to list."""

    limit: int = Field(default=50, ge=1, le=1_000)


class PageQuery(LimitQuery):
    """Which part of a list."""

    cursor: str | None = Field(
        default=None, pattern="^[0-9]{1,15}$", description="the `next_cursor` of the page before"
    )


class ListQuery(_Request):
    """Which runs to list."""

    status: RunStatus | None = None
    workflow: str | None = Field(default=None, max_length=1_000)
    q: Text = Field(default="", description="words: `key=value` matches a search attribute, another one part of the id")
    limit: int = Field(default=50, ge=1, le=1_000)
    cursor: str | None = Field(default=None, max_length=1_000, description="the `next_cursor` of the page before")


class QueryQuery(_Request):
    """What to ask a query with."""

    input: str | None = Field(default=None, description="any JSON value")


class UpdateQuery(_Request):
    """How long to wait for the reply."""

    wait: Wait = parse_duration("30s")


# Answers.


class RunRef(BaseModel):
    """A run, and where it stands."""

    id: Id
    run_id: str
    status: RunStatus


class Failure(BaseModel):
    """What went wrong."""

    type: str
    message: str
    details: Any = None
    cause: Failure | None = None


class Started(RunRef):
    """A run that was started or found; with its result or error, if it was waited for and has ended."""

    result: Any = None
    error: Failure | None = None


class Pending(BaseModel):
    """An activity that a run waits for."""

    id: str
    name: str
    attempt: int
    max_attempts: int | None
    scheduled_at: datetime
    next_at: datetime | None
    failure: Failure | None
    registered: bool


class RunSummary(RunRef):
    """A run as it stands in a list."""

    workflow_id: Id
    workflow: str
    created_at: datetime
    finished_at: datetime | None
    attributes: dict[str, Any]


class RunPage(BaseModel):
    """One page of a list of runs."""

    items: list[RunSummary]
    next_cursor: str | None


class Run(RunSummary):
    """A run as it stands."""

    version: str
    input: Any
    result: Any
    error: Failure | None
    updated_at: datetime
    waiting_for: list[str]
    pending: list[Pending]
    trace_id: str


class HistoryEvent(BaseModel):
    """One event of a history."""

    seq: int
    type: str
    at: datetime
    id: str
    name: str
    value: Any
    details: dict[str, Any]


class History(BaseModel):
    """The events of a run."""

    id: Id
    events: list[HistoryEvent]


class Definition(BaseModel):
    """A workflow that can be started."""

    name: str
    version: str
    newest: bool = Field(description="whether new runs get this version")
    takes_input: bool
    input_schema: dict[str, Any]
    outputs: list[str] = Field(description="the topics that it may publish to")
    doc: str


class Definitions(BaseModel):
    """The workflows that can be started."""

    items: list[Definition]


class SignalAccepted(BaseModel):
    """A signal that is durable."""

    id: Id
    signal: str


class RefAnswer(BaseModel):
    """What a ref resolves to, or raises: one of the two."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"not": {"required": ["value", "error"]}})

    value: Any = None
    error: Annotated[Any, WithJsonSchema({"not": {"type": "null"}})] = None

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if {"value", "error"} <= self.model_fields_set:
            message = "a ref is answered by a value or by an error, not by both"
            raise ValueError(message)
        if "error" in self.model_fields_set and self.error is None:
            message = "the error must not be null"
            raise ValueError(message)
        return self


class RefAnswered(BaseModel):
    """What became of an answer: `resolved`, `kept` for a ref that does not exist yet, or `dropped`."""

    id: Id
    ref: str
    resolution: Literal["resolved", "kept", "dropped"]


class PayloadReply(BaseModel):
    """What a query answered."""

    result: Any


class UpdateReply(BaseModel):
    """What an update replied; without a result where it has not yet. Ask again under the same `update_id`."""

    id: Id
    update_id: str
    result: Any = None


class Health(BaseModel):
    """How the process is."""

    status: str
    store: str = ""


class DeadLetter(BaseModel):
    """A message that found no run."""

    number: int
    topic: str
    key: str
    id: str
    at: datetime
    reason: str
    workflow_id: str
    signal: str
    value: Any
    truncated: bool = Field(description="not all of it was kept, so it cannot be replayed")


class DeadLetterPage(BaseModel):
    """Dead letters, the newest first."""

    items: list[DeadLetter]
    next_cursor: str | None


class Replayed(BaseModel):
    """What became of a dead letter that was delivered again."""

    number: int
    delivery: Delivery


class HeldMessage(BaseModel):
    """A message that waits."""

    topic: str
    workflow_id: str
    signal: str
    id: str
    source: str
    sequence: int
    at: datetime
    expires_at: datetime
    reason: str


class HeldMessages(BaseModel):
    """Messages that wait, the oldest first."""

    items: list[HeldMessage]


class Finding(BaseModel):
    """What one check has found."""

    check: str
    verdict: Verdict
    found: str
    advice: str


class Diagnosis(BaseModel):
    """What the service finds of itself and its sidecar."""

    findings: list[Finding]
