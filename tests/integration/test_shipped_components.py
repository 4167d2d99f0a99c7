"""Every component of this repository, in a real sidecar with the policies of this repository."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest
import requests

from holdfast.ports import ABSENT, Write
from holdfast.stores.dapr import DaprStore
from tests.integration.conftest import Ship
from tests.integration.processes import Backend, until
from tests.integration.shipped import ShippedSidecar, redis_at

pytestmark = pytest.mark.integration

PASSWORD = "of the server"


@pytest.fixture
def locked_redis(own_redis: Backend) -> int:
    """The port of a Redis that wants a password."""
    _, port = own_redis
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f'CONFIG SET requirepass "{PASSWORD}"\r\n'.encode())
        assert connection.recv(64) == b"+OK\r\n"
    return port


def loaded(sidecar: ShippedSidecar) -> dict[str, str]:
    """The components of a sidecar, by name, with their types."""
    metadata = requests.get(f"{sidecar.url}/metadata", timeout=10).json()
    assert [policy["name"] for policy in metadata["resiliencies"]] == ["holdfast"]
    return {component["name"]: component["type"] for component in metadata["components"]}


async def keeps_documents(sidecar: ShippedSidecar) -> None:
    """Write a document, and read it with another store."""
    store = DaprStore(address=sidecar.address)
    await store.open()
    await store.write([Write("one", b"1", ABSENT), Write("two", b"2", ABSENT)])
    await store.close()

    await store.open()
    found = await store.read(["one", "two", "three"])
    await store.close()
    assert {key: document.value for key, document in found.items()} == {"one": b"1", "two": b"2"}


def publish(sidecar: ShippedSidecar) -> int:
    event = {"workflow_id": "order-1", "signal": "approval"}
    return requests.post(f"{sidecar.url}/publish/pubsub/workflow-signals", json=event, timeout=10).status_code


async def test_redis_keeps_runs_and_brings_signals_with_the_password_of_the_environment(
    ship: Ship, locked_redis: int
) -> None:
    sidecar = ship(
        "components/state/redis",
        "components/pubsub/redis",
        instead=redis_at(locked_redis),
        environment={"REDIS_PASSWORD": PASSWORD},
    )

    assert loaded(sidecar) == {
        "statestore": "state.redis",
        "pubsub": "pubsub.redis",
        "secretstore": "secretstores.local.env",
    }
    await keeps_documents(sidecar)
    assert publish(sidecar) == 204


async def test_redis_without_a_password_needs_none(ship: Ship, redis: Backend) -> None:
    sidecar = ship("components/state/redis", "components/pubsub/redis", instead=redis_at(redis[1]))

    await keeps_documents(sidecar)
    assert publish(sidecar) == 204


async def test_memory_needs_nothing_to_be_installed(ship: Ship) -> None:
    sidecar = ship("components/state/in-memory", "components/pubsub/in-memory")

    assert loaded(sidecar).keys() == {"statestore", "pubsub", "secretstore"}
    await keeps_documents(sidecar)
    assert publish(sidecar) == 204


async def test_sqlite_keeps_runs_in_a_file_beside_which_the_sidecar_was_started(ship: Ship) -> None:
    sidecar = ship("components/state/sqlite")

    await keeps_documents(sidecar)
    assert (sidecar.log.parent / "var" / "statestore.db").exists()


async def test_postgresql_keeps_runs(ship: Ship, postgres: Backend) -> None:
    sidecar = ship(
        "components/state/postgresql",
        instead={"holdfast@127.0.0.1:5432/holdfast": f"postgres@127.0.0.1:{postgres[1]}/postgres"},
        environment={"POSTGRES_PASSWORD": "not asked for: here"},
    )

    assert loaded(sidecar)["statestore"] == "state.postgresql"
    await keeps_documents(sidecar)


def test_kafka_is_asked_for_as_the_component_says(ship: Ship) -> None:
    """No broker answers here; what the sidecar sends to one shows that it has understood the settings before that."""
    with socket.create_server(("127.0.0.1", 0)) as broker:
        asked: list[bytes] = []

        def listen() -> None:
            connection, _ = broker.accept()
            with connection:
                asked.append(connection.recv(1_024))
            broker.close()  # and nobody is there any more

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()

        with suppress(AssertionError):  # whether it ends without a broker or goes on looking is its own affair
            ship("components/pubsub/kafka", instead={"127.0.0.1:9092": f"127.0.0.1:{broker.getsockname()[1]}"})

        listener.join(30)
    assert b"holdfast" in asked[0]  # the client's id, as the wire has it


@pytest.mark.parametrize(("setting", "wrong"), [("oldest", "sometime"), ("2.1.0", "two"), ("none", "magic")])
def test_kafka_settings_are_read_so_that_a_wrong_one_is_refused(ship: Ship, setting: str, wrong: str) -> None:
    with pytest.raises(AssertionError, match=r"pubsub\.kafka") as failure:
        ship("components/pubsub/kafka", instead={f"value: {setting}": f"value: {wrong}"})

    assert "out of available brokers" not in str(failure.value)


def test_what_the_resources_say_is_not_warned_of(ship: Ship, redis: Backend) -> None:
    sidecar = ship("components/state/redis", "components/pubsub/redis", instead=redis_at(redis[1]))
    until(lambda: "waiting on port" in sidecar.said(), "the sidecar waits for the application")

    expected = ("mTLS is disabled", "file subscriptions", "'kubernetes', but no", "placement", "scheduler", "Scheduler")
    lines = [line for line in sidecar.said().splitlines() if "level=warning" in line or "level=error" in line]
    assert [line for line in lines if not any(words in line for words in expected)] == []
