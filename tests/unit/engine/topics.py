"""What the tests of messages from topics share."""

from __future__ import annotations

import orjson

from holdfast import Delivery, Engine
from holdfast.engine.messages.routing import SIGNALS_TOPIC
from tests.play import Anything

HOUR = 3_600


def signal(workflow_id: str, number: Anything, **attributes: Anything) -> bytes:
    """A CloudEvent that signals ``n``; its id is that of its number unless told otherwise."""
    fields = {
        "specversion": "1.0",
        "id": f"e-{number}",
        "source": "shop",
        "type": "t",
        "workflowid": workflow_id,
        "signalname": "n",
    }
    return orjson.dumps({**fields, "data": number, **attributes})


async def deliver(engine: Engine, value: bytes, topic: str = SIGNALS_TOPIC) -> Delivery:
    return await engine.deliver(topic, None, value)


async def reasons(engine: Engine) -> list[str]:
    return [letter.reason for letter in (await engine.dead_letters(limit=1_000)).items]
