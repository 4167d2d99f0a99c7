"""Conformance checks of what closing, reopening and an outage do to a store."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Write, Written
from holdfast.testing.conformance_kit import (
    current_version,
    fresh_keys,
    largest_value,
    need,
    opened,
    read_one,
    require,
    text_value,
    write_one,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.ports import StateStore
    from holdfast.testing.conformance_kit import Check, StoreFactory

__all__ = ["LIFECYCLE_CHECKS"]

_RECOVERY_SECONDS: Final = 30.0


async def a_store_reopened_has_its_data(factory: StoreFactory) -> None:
    """What was written, replaced and deleted before closing is so after opening, and the known versions still count."""
    store = factory.create()
    async with opened(store):
        need(store.capabilities.durable, "the store does not claim to be durable")
        kept, gone = fresh_keys(2)
        first = await store.write([Write(kept, b"1", ABSENT), Write(gone, b"1", ABSENT)])
        (written,) = await store.write([Write(kept, b"2", current_version(store, first[0]))])
        await write_one(store, gone, None, ANY)
    again = factory.again(store)
    need(again, "the factory gives no second handle")
    if again is None:
        return
    async with opened(again):
        document = await read_one(again, kept)
        require(document is not None, "a key that was written is gone after reopening")
        require(document is not None and document.value == b"2", "the newest value of a key is gone after reopening")
        require(await read_one(again, gone) is None, "a deleted key is back after reopening")
        result = await write_one(again, kept, b"3", current_version(again, written))
        require(isinstance(result, Written), "after reopening the version from before is refused")


async def an_outage_is_told_and_passes(factory: StoreFactory) -> None:
    """While the backend is away writes raise StoreUnavailableError; afterwards the same batch can be written."""
    store = factory.create()
    async with opened(store):
        there, new = fresh_keys(2)
        await write_one(store, there, b"1", ABSENT)
        outage = factory.outage(store)
        need(outage, "the factory cannot bring an outage about")
        if outage is None:
            return
        batch = [Write(new, text_value(min(100_000, largest_value(store.capabilities, new))), ABSENT)]
        async with outage:
            try:
                results = await store.write(batch)
            except StoreUnavailableError:
                pass
            else:
                sentence = f"the backend is away, and a write was answered with {results}"
                raise AssertionError(sentence)
        await _write_until_answered(store, batch)
        found = {key: document.value for key, document in (await store.read([there, new])).items()}
        require(found.get(there) == b"1", "what was written before an outage is gone after it")
        require(found.get(new) == batch[0].value, "a batch that was tried again after an outage is not there")


async def a_closed_store_refuses(factory: StoreFactory) -> None:
    """Closing twice is harmless; reading, writing and listing afterwards is a StoreError."""
    store = factory.create()
    async with opened(store):
        (key,) = fresh_keys()
        await write_one(store, key, b"1", ABSENT)
    await store.close()
    for what, call in (("read", lambda: read_one(store, key)), ("write", lambda: write_one(store, key, b"2", ANY))):
        try:
            await call()
        except StoreError:
            continue
        sentence = f"a closed store answered a {what}"
        raise AssertionError(sentence)
    try:
        found = [key async for key in store.keys("")]
    except StoreError:
        return
    sentence = f"a closed store listed {len(found)} keys"
    raise AssertionError(sentence)


LIFECYCLE_CHECKS: tuple[Check, ...] = (
    a_store_reopened_has_its_data,
    an_outage_is_told_and_passes,
    a_closed_store_refuses,
)


async def _write_until_answered(store: StateStore, batch: Sequence[Write]) -> None:
    """Try a batch again as an engine would, for a client may need a moment to connect again."""
    give_up_at = time.monotonic() + _RECOVERY_SECONDS
    while True:
        try:
            await store.write(batch)
        except StoreUnavailableError as error:
            if time.monotonic() > give_up_at:
                sentence = f"the store is still unavailable {_RECOVERY_SECONDS:g} s after an outage: {error}"
                raise AssertionError(sentence) from error
        else:
            return
        await asyncio.sleep(0.1)
