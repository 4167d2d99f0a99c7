"""The servers that the other tests here rely on: what they have answered is there after SIGKILL."""

from __future__ import annotations

import asyncio

import pytest
import requests
from confluent_kafka import Consumer, Producer
from nats import connect

from tests.integration.processes import Backend
from tests.stores.servers import EVENT_KEY

pytestmark = [pytest.mark.stores, pytest.mark.timeout(180)]

NUMBERS = range(20)
QUIET = {"log_level": 0}
"""That a broker is away is what the test wants."""


async def put(port: int) -> None:
    client = await connect(f"nats://127.0.0.1:{port}")
    bucket = await client.jetstream().create_key_value(bucket="numbers")
    for number in NUMBERS:
        await bucket.put(str(number), b"%d" % number)
    await client.close()


async def get(port: int) -> list[bytes | None]:
    client = await connect(f"nats://127.0.0.1:{port}")
    bucket = await client.jetstream().key_value("numbers")
    found = [(await bucket.get(str(number))).value for number in NUMBERS]
    await client.close()
    return found


async def test_nats_keeps_what_it_has_answered(own_nats: Backend) -> None:
    server, port = own_nats
    await put(port)

    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)

    assert await get(port) == [b"%d" % number for number in NUMBERS]


def test_kafka_keeps_what_it_has_answered(own_kafka: Backend) -> None:
    server, port = own_kafka
    address = f"127.0.0.1:{port}"
    producer = Producer({**QUIET, "bootstrap.servers": address, "transactional.id": "numbers"})
    producer.init_transactions(60)
    producer.begin_transaction()
    for number in NUMBERS:
        producer.produce("numbers", b"%d" % number)
    producer.commit_transaction(60)

    server.kill()
    server.start()

    reader = Consumer({**QUIET, "bootstrap.servers": address, "group.id": "reader", "auto.offset.reset": "earliest"})
    reader.subscribe(["numbers"])
    messages = reader.consume(len(NUMBERS), timeout=60)
    reader.close()
    assert [message.value() for message in messages] == [b"%d" % number for number in NUMBERS]


def test_the_reference_server_of_inngest_keeps_what_it_has_answered(own_inngest: Backend) -> None:
    server, port = own_inngest
    address, headers = f"http://127.0.0.1:{port}/v1/workflows", {"Authorization": f"Bearer {EVENT_KEY}"}
    for number in NUMBERS:
        answer = requests.put(f"{address}/run-{number}", json={"number": number}, headers=headers, timeout=30)
        assert answer.ok, answer.text

    server.kill()
    server.start()

    found = [requests.get(f"{address}/run-{number}", headers=headers, timeout=30).json() for number in NUMBERS]
    assert found == [{"number": number} for number in NUMBERS]
