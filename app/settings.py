"""Settings of the service: environment variables that begin with ``HOLDFAST_``."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from app.durations import DurationField, parse_duration
from app.errors import StartupError
from app.topic_words import topic_words
from holdfast import TopicMapping
from holdfast.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Address", "MappedTopic", "Settings", "load_settings", "misspelt"]

PREFIX: Final = "HOLDFAST_"
_TOKEN = re.compile(r"[!-~]{1,512}")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_LAST_PORT: Final = 65_535


class Address(NamedTuple):
    """Where the service listens."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class MappedTopic(BaseModel):
    """A topic of another team, and how its records become signals; see `holdfast.TopicMapping`.

    Attributes:
        topic: The topic.
        pubsub: The pub/sub component; that of the setting `pubsub` by default.
        workflow_id: Which run, such as ``order-{data.order_id}``.
        signal: Under which name it receives the record.
        start: The workflow to start first where no run of that id is open.
        sequence: Where the number of the record stands, such as ``{sequence}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str = Field(min_length=1, max_length=256)
    pubsub: str = ""
    workflow_id: str = ""
    signal: str = ""
    start: str = ""
    sequence: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Let the mapping itself be checked."""
        TopicMapping(self.topic, self.workflow_id, self.signal, self.start, self.sequence)
        return self


class Settings(BaseSettings):
    """How the service runs.

    Attributes:
        store: Where runs are kept: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``memory:``,
            ``dapr:component`` for a state component of the sidecar, ``kafka://host:port/topic``,
            ``nats://host:port/bucket`` or ``inngest+http://host:port``; `docs/reference/stores.md` has all forms.
        store_wait: How long to wait at start for the store: until another process lets go of a file (30 seconds by
            default), or a sidecar or server answers (5 minutes).
        publisher: Where outputs go: ``dapr:component`` for a pub/sub component of the sidecar, or ``local``: they are
            not heard outside of this process.
        workflows: The modules whose workflows and activities it runs; see `app.modules`.
        address: ``host:port`` to listen on; port 0 takes a free one.
        token: What callers have to present; needed where others than this machine can reach the address.
        token_file: A file that holds the token instead.
        pubsub: The pub/sub component of the sidecar that brings signals.
        signals_topic: The topic of signals.
        resume_topic: The topic that answers refs and starts threads.
        resume_entry: The workflow that records of that topic start where they name none; empty for none.
        scheduler: Take in the topic ``workflow-scheduler``: timers for whoever speaks that protocol. What is due goes
            to ``workflow-resume``, so that has to be the `resume_topic`.
        topics: Other topics that signal runs, as a JSON list: ``[{"topic": "payments", "workflow_id":
            "order-{data.order_id}", "signal": "payment", "start": "order"}]``.
        subscribe: ``programmatic``: the sidecar is told the topics; ``declarative``: Subscription files tell it.
        app_api_token: What the sidecar presents when it calls, as it is told in APP_API_TOKEN.
        app_api_token_file: A file that holds it instead, read again when it changes.
        dapr_api_token: What the sidecar wants to be shown, as it is told in DAPR_API_TOKEN.
        dapr_api_token_file: A file that holds it instead, read again when it changes.
        instance: Names this process across its restarts: a successor of the same name need not wait for it.
        dev_replay: For development: replay each run after its activations, and stall it at the first difference. A
            history of over 500 events is replayed as it grows by a tenth.
        max_body_bytes: The largest request body.
        threads: How many requests are worked on at a time; half of them may be waiting ones.
        call_timeout: How long a request waits for the engine and its store before it is told to come again.
        drain: How long running activities may take to end at shutdown.
        activity_threads: How many ``def`` activities run at a time.
        max_cached_runs: How many runs stay in memory while nothing happens to them.
        tracing: Send a span for each request and each attempt of an activity, by OTLP over HTTP; where to is set by
            OpenTelemetry's own variables, such as ``OTEL_EXPORTER_OTLP_ENDPOINT``. Off, traces are only passed on.
        log_format: ``json``, ``console``, or ``auto``: console on a terminal, JSON elsewhere.
        log_level: The least level that is logged.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True
    )

    store: str = Field(default="sqlite:///holdfast.db", repr=False)  # it may hold a password
    store_wait: DurationField | None = None
    publisher: str = "local"
    workflows: Annotated[tuple[str, ...], NoDecode] = ()
    address: Annotated[Address, NoDecode] = Address("127.0.0.1", 8000)
    token: SecretStr | None = None
    token_file: Path | None = None
    pubsub: str = Field(default="pubsub", min_length=1, max_length=256)
    signals_topic: str = Field(default="workflow-signals", min_length=1, max_length=256)
    resume_topic: str = Field(default="workflow-resume", min_length=1, max_length=256)
    resume_entry: str = Field(default="", max_length=256)
    scheduler: bool = False
    topics: tuple[MappedTopic, ...] = ()
    subscribe: Literal["programmatic", "declarative"] = "programmatic"
    app_api_token: SecretStr | None = Field(default=None, validation_alias="APP_API_TOKEN")
    app_api_token_file: Path | None = Field(default=None, validation_alias="APP_API_TOKEN_FILE")
    dapr_api_token: SecretStr | None = Field(default=None, validation_alias="DAPR_API_TOKEN")
    dapr_api_token_file: Path | None = Field(default=None, validation_alias="DAPR_API_TOKEN_FILE")
    instance: str = Field(default_factory=socket.gethostname, min_length=1, max_length=256)
    dev_replay: bool = False
    max_body_bytes: int = Field(default=2 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    threads: int = Field(default=32, ge=2, le=1_000)
    call_timeout: DurationField = parse_duration("10s")
    drain: DurationField = parse_duration("10s")
    activity_threads: int = Field(default=32, ge=1, le=1_000)
    max_cached_runs: int = Field(default=10_000, ge=1)
    tracing: bool = False
    log_format: Literal["json", "console", "auto"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def store_kind(self) -> str:
        """The kind of store, as `holdfast.stores.names` has it: all of `store` that may be shown."""
        return self.store.partition(":")[0].partition("+")[0]

    def sidecar_callback_token(self) -> Secret:
        """Give what the sidecar presents when it calls."""
        return _secret(self.app_api_token, self.app_api_token_file)

    def sidecar_api_token(self) -> Secret:
        """Give what the sidecar wants to be shown."""
        return _secret(self.dapr_api_token, self.dapr_api_token_file)

    @field_validator("workflows", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Read ``module,module``."""
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("topics")
    @classmethod
    def _check_topics(cls, value: tuple[MappedTopic, ...]) -> tuple[MappedTopic, ...]:
        """Refuse a second mapping of a topic, which nobody would ever see at work: topics are told apart by name."""
        names = [each.topic for each in value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            message = f"topic {twice!r} is mapped twice: give it one mapping"
            raise ValueError(message)
        return value

    @field_validator("address", mode="before")
    @classmethod
    def _parse_address(cls, value: object) -> object:
        """Read ``host:port``; an IPv6 host stands in brackets."""
        if not isinstance(value, str):
            return value
        match = _ADDRESS.fullmatch(value.strip())
        if match is None or int(match[2]) > _LAST_PORT:
            message = "write host:port, such as 127.0.0.1:8000 or [::1]:8000"
            raise ValueError(message)
        return Address(match[1].strip("[]"), int(match[2]))

    @model_validator(mode="after")
    def _check_token(self) -> Self:
        """Find the token, and insist on one where others can reach the address."""
        if self.token is None and self.token_file is not None:
            object.__setattr__(self, "token", SecretStr(_read_token(self.token_file)))
        if self.token is not None and not _TOKEN.fullmatch(self.token.get_secret_value()):
            message = "the token must be 1 to 512 visible ASCII characters without spaces"
            raise ValueError(message)
        if self.token is None and not self.address.is_loopback:
            message = (
                f"{self.address} can be reached from other machines, so a token is needed: "
                f"set {PREFIX}TOKEN or {PREFIX}TOKEN_FILE, or listen on 127.0.0.1"
            )
            raise ValueError(message)
        return self


def _secret(value: SecretStr | None, file: Path | None) -> Secret:
    return Secret(value.get_secret_value() if value is not None else "", file)


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{PREFIX}TOKEN_FILE: {path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise ValueError(message) from error


def variable(name: str) -> str:
    """Give the environment variable of a setting; those that the sidecar shares with us have its names."""
    field = Settings.model_fields.get(name)
    alias = field.validation_alias if field is not None else None
    return alias if isinstance(alias, str) else name if name.isupper() else PREFIX + name.upper()


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        StartupError: One of them is not right; the text names it, and never what it was set to.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise StartupError("; ".join(_words(error))) from None
    except SettingsError as error:  # of HOLDFAST_TOPICS, the one that is JSON
        message = f"{variable('topics')}: it is not JSON: {error.__cause__ or error}"
        raise StartupError(message) from None


def _words(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = f"{variable(str(problem['loc'][0]))}: " if problem["loc"] else ""
        is_of_topics = problem["loc"][:1] == ("topics",)
        words = topic_words(problem, MappedTopic.model_fields) if is_of_topics else problem["msg"]
        yield name + words.removeprefix("Value error, ")


def misspelt() -> dict[str, str]:
    """Find variables in the environment that look like a setting and are none, and what was probably meant.

    Others that begin with the prefix are let be: Kubernetes sets some for a service of that name.
    """
    known = {variable(name) for name in Settings.model_fields}
    odd = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    close = {name: difflib.get_close_matches(name, known, n=1, cutoff=0.9) for name in odd}
    return {name: found[0] for name, found in close.items() if found}
