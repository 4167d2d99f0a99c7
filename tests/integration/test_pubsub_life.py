"""Messages while something starts, ends or is away: sidecar, service, store, policy, tokens."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.backends import redis_server
from tests.integration.beside import Beside
from tests.integration.conftest import StartSidecar
from tests.integration.processes import Backend, until
from tests.integration.pubsub import (
    RESILIENCY,
    SUBSCRIPTIONS,
    Publisher,
    left_over,
    redis_pubsub,
    redis_state,
    signal_event,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

KEPT = "brings messages of 'pubsub' again"


@pytest.fixture
def store_redis(tmp_path: Path) -> Iterator[Backend]:
    """A Redis for the state alone, which can go away without the broker."""
    folder = tmp_path / "store"
    folder.mkdir()
    server, port = redis_server(folder)
    server.start()
    yield server, port
    server.kill()


def events(run: str, count: int) -> list[dict[str, object]]:
    return [signal_event(run, f"{run}-{number}", number) for number in range(count)]


def said(service: Beside) -> str:
    assert service.process is not None
    return service.process.out


def pid_of(service: Beside) -> int:
    assert service.process is not None
    return service.process.pid


def ended(service: Beside, pid: int) -> bool:
    """Whether the process of that id has been followed by another."""
    return service.process is not None and service.process.pid != pid


# Starting.


def test_a_sidecar_that_starts_first_waits_for_the_service(
    own_redis: Backend, start_sidecar: StartSidecar, service: Beside
) -> None:
    _, port = own_redis
    sidecar = start_sidecar(redis_state(port), redis_pubsub(port), RESILIENCY, app_id="holdfast", app_port=service.port)
    Publisher(sidecar.http_port).publish_all(events("first", 3))

    service.start(sidecar).ready().begin("collect", "first", 3)

    # What was published before anybody had ever subscribed is there: the stream has it.
    assert sorted(service.result("first")) == [0, 1, 2]


def test_a_service_that_starts_first_waits_for_the_sidecar(
    own_redis: Backend, start_sidecar: StartSidecar, service: Beside
) -> None:
    _, port = own_redis
    resources = (redis_state(port), redis_pubsub(port), RESILIENCY)
    sidecar = start_sidecar(*resources, app_id="holdfast", app_port=service.port)
    sidecar.kill()
    service.start(sidecar)
    until(lambda: "still waiting for the sidecar to answer" in said(service), "the service says that it waits")

    sidecar.start()

    service.ready().begin("collect", "second", 3)
    Publisher(sidecar.http_port).publish_all(events("second", 3))
    assert sorted(service.result("second")) == [0, 1, 2]


def test_a_sidecar_that_is_started_again_asks_again_for_the_subscriptions(
    own_redis: Backend, start_sidecar: StartSidecar, service: Beside
) -> None:
    _, port = own_redis
    sidecar = start_sidecar(redis_state(port), redis_pubsub(port), RESILIENCY, app_id="holdfast", app_port=service.port)
    service.start(sidecar).ready().begin("collect", "again", 6)
    publisher = Publisher(sidecar.http_port)
    publisher.publish_all(events("again", 3))
    until(lambda: said(service).count("GET /dapr/subscribe") == 1, "the sidecar has asked")

    sidecar.stop()
    sidecar.start()

    Publisher(sidecar.http_port).publish_all(events("again", 6))
    assert sorted(service.result("again")) == list(range(6))
    until(lambda: said(service).count("GET /dapr/subscribe") == 2, "the sidecar has asked again")


def test_subscription_files_do_what_the_service_would_tell(
    own_redis: Backend, start_sidecar: StartSidecar, service: Beside
) -> None:
    _, port = own_redis
    resources = (redis_state(port), redis_pubsub(port), RESILIENCY, *SUBSCRIPTIONS)
    sidecar = start_sidecar(*resources, app_id="holdfast", app_port=service.port)
    service.start(sidecar, subscribe="declarative").ready().begin("collect", "declared", 2)

    Publisher(sidecar.http_port).publish_all(events("declared", 2))

    assert sorted(service.result("declared")) == [0, 1]
    until(lambda: KEPT in said(service), "the probe comes again though nothing else is told by the service")


# The policy.


def test_with_the_policy_the_service_finds_that_messages_come_again(
    own_redis: Backend, start_sidecar: StartSidecar, service: Beside
) -> None:
    _, port = own_redis
    sidecar = start_sidecar(redis_state(port), redis_pubsub(port), RESILIENCY, app_id="holdfast", app_port=service.port)

    service.start(sidecar).ready()

    until(lambda: KEPT in said(service), "the service has found out")
    assert service.is_ready()


@pytest.mark.parametrize("is_restarted", [False, True], ids=["from the first", "after a restart of the service"])
def test_without_the_policy_the_service_is_not_ready(
    own_redis: Backend, start_sidecar: StartSidecar, service: Beside, *, is_restarted: bool
) -> None:
    _, port = own_redis
    sidecar = start_sidecar(redis_state(port), redis_pubsub(port), app_id="holdfast", app_port=service.port)
    service.start(sidecar).ready()
    if is_restarted:
        until(lambda: "GET /dapr/subscribe" in said(service), "the sidecar has asked")
        service.supervise()
        old = pid_of(service)
        assert service.process is not None
        service.process.send(signal.SIGKILL)
        until(lambda: ended(service, old) and service.is_ready(), "the service is back")

    until(lambda: service.readiness() == "no_redelivery", "the service has found out")

    sidecar.stop()
    sidecar.add(RESILIENCY)
    sidecar.start()
    until(service.is_ready, "the service has found out that there is a policy now")


# Away.


def test_while_the_store_is_away_messages_are_kept_and_all_are_applied_after_it(
    own_redis: Backend, store_redis: Backend, start_sidecar: StartSidecar, service: Beside
) -> None:
    _, port = own_redis
    store, store_port = store_redis
    sidecar = start_sidecar(
        redis_state(store_port), redis_pubsub(port), RESILIENCY, app_id="holdfast", app_port=service.port
    )
    service.start(sidecar, call_timeout="1s").ready().begin("collect", "kept", 400)
    store.kill()

    publisher = Publisher(sidecar.http_port)
    for first in range(0, 400, 100):
        publisher.publish_all(events("kept", 400)[first : first + 100])
    publisher.publish({"nothing": "kept"}, type="application/json")
    until(lambda: "to come again" in said(service), "the service asks for messages again")
    until(lambda: service.readiness() == "not_ready", "the service says that it is not ready")
    pending, lag = left_over(port)["holdfast"]
    assert pending + lag == 401
    store.start()

    assert sorted(service.result("kept")) == list(range(400))
    until(lambda: left_over(port) == {"holdfast": (0, 0)}, "all messages are done")
    assert len(list(service.dead_letters())) == 1


@pytest.mark.parametrize("who", ["service", "sidecar"])
def test_an_orderly_end_in_the_middle_loses_nothing(
    own_redis: Backend, start_sidecar: StartSidecar, service: Beside, who: str
) -> None:
    count = 2_000
    _, port = own_redis
    sidecar = start_sidecar(redis_state(port), redis_pubsub(port), RESILIENCY, app_id="holdfast", app_port=service.port)
    service.start(sidecar).ready().begin("collect", "ordered-end", count)
    service.supervise()
    publisher = Publisher(sidecar.http_port)
    for first in range(0, count, 100):
        publisher.publish_all(events("ordered-end", count)[first : first + 100])

    old = pid_of(service)
    if who == "service":
        assert service.process is not None
        service.process.send(signal.SIGTERM)
        until(lambda: ended(service, old), "the service has ended")
    else:
        sidecar.stop()
        sidecar.start()

    assert sorted(service.result("ordered-end")) == list(range(count))
    until(lambda: left_over(port) == {"holdfast": (0, 0)}, "all messages are done")
    assert list(service.dead_letters()) == []


def test_copies_that_come_while_the_service_is_slow_are_applied_once(
    own_redis: Backend, start_sidecar: StartSidecar, service: Beside
) -> None:
    _, port = own_redis
    impatient = redis_pubsub(port, processingTimeout="1000", redeliverInterval="200")
    sidecar = start_sidecar(redis_state(port), impatient, RESILIENCY, app_id="holdfast", app_port=service.port)
    service.start(sidecar).ready().begin("collect", "slow", 50)
    until(lambda: KEPT in said(service), "the service has found out")
    assert service.process is not None
    service.process.send(signal.SIGSTOP)

    Publisher(sidecar.http_port).publish_all(events("slow", 50))
    until(lambda: most_deliveries(port) > 1, "the sidecar brings copies")
    service.process.send(signal.SIGCONT)

    assert sorted(service.result("slow")) == list(range(50))
    until(lambda: left_over(port) == {"holdfast": (0, 0)}, "all messages are done")
    assert list(service.dead_letters()) == []


def most_deliveries(port: int) -> int:
    """Say how often Redis has given out the message that it has given out most."""
    command = ["redis-cli", "-p", str(port), "--json", "XPENDING", "workflow-signals", "holdfast", "-", "+", "100"]
    pending = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return max((int(entry[3]) for entry in pending), default=0)


# Tokens.


def test_tokens_open_both_ways_and_are_read_again_when_they_are_renewed(
    own_redis: Backend, start_sidecar: StartSidecar, service: Beside, tmp_path: Path
) -> None:
    _, port = own_redis
    resources = (redis_state(port), redis_pubsub(port), RESILIENCY)
    files = {name: tmp_path / name for name in ("APP_API_TOKEN", "DAPR_API_TOKEN")}
    write_tokens(files, "old")
    environment = {"APP_API_TOKEN": "old-APP_API_TOKEN", "DAPR_API_TOKEN": "old-DAPR_API_TOKEN"}
    sidecar = start_sidecar(*resources, app_id="holdfast", app_port=service.port, environment=environment)
    named = {f"{name}_FILE": str(path) for name, path in files.items()}
    service.start(sidecar, **named).ready().begin("collect", "tokens", 2)
    Publisher(sidecar.http_port, "old-DAPR_API_TOKEN").publish(signal_event("tokens", "tokens-1", 1))
    until(lambda: KEPT in said(service), "the probe came again")
    assert " 401" not in said(service)

    sidecar.stop()
    write_tokens(files, "new")
    sidecar.environment.update({"APP_API_TOKEN": "new-APP_API_TOKEN", "DAPR_API_TOKEN": "new-DAPR_API_TOKEN"})
    sidecar.start()

    Publisher(sidecar.http_port, "new-DAPR_API_TOKEN").publish(signal_event("tokens", "tokens-2", 2))
    assert sorted(service.result("tokens")) == [1, 2]


def test_a_sidecar_with_the_wrong_token_loses_nothing_and_is_seen_in_the_log(
    own_redis: Backend, start_sidecar: StartSidecar, service: Beside
) -> None:
    _, port = own_redis
    resources = (redis_state(port), redis_pubsub(port), RESILIENCY, *SUBSCRIPTIONS)
    sidecar = start_sidecar(
        *resources, app_id="holdfast", app_port=service.port, environment={"APP_API_TOKEN": "wrong"}
    )
    service.start(sidecar, APP_API_TOKEN="right").ready().begin("collect", "tokens", 2)
    Publisher(sidecar.http_port).publish_all(events("tokens", 2))
    until(lambda: "POST /dapr/pubsub/workflow-signals 401" in said(service), "the service has refused it")
    sidecar.stop()
    sidecar.environment["APP_API_TOKEN"] = "right"
    sidecar.start()

    assert sorted(service.result("tokens")) == [0, 1]


def write_tokens(files: dict[str, Path], word: str) -> None:
    """Put each in its place in one step, as Kubernetes does."""
    for name, path in files.items():
        new = path.with_suffix(".new")
        new.write_text(f"{word}-{name}\n", encoding="utf-8")
        new.replace(path)
