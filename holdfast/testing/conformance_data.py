"""Conformance checks of what a store keeps: every byte, every write, every deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.core.errors import StoreError, StoreUnavailableError, UnsupportedOperationError
from holdfast.ports import ABSENT, ANY, Write, Written
from holdfast.testing.conformance_kit import (
    GARBAGE_VERSION,
    current_version,
    fresh_keys,
    largest_value,
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

__all__ = ["DATA_CHECKS"]

_LARGE_BYTES: Final = 1_000_000
_EXACT_VALUES: Final = (
    b"null",
    b'""',
    b"1.0",
    b"12345678901234567890123456789",
    b' { "b" : 1 ,\n "a":\t[ ] } ',
    b'{"a":1,"a":2}',
    b'"\\u0000 \\ud83d\\ude00 \\/"',
    '"Grüße, 世界, \U0001f600, e\u0301, \u202e, \u2028"'.encode(),
)


async def values_come_back_byte_for_byte(factory: StoreFactory) -> None:
    """White space, repeated names, large numbers and any script: what is read is what was written."""
    store = factory.create()
    async with opened(store):
        keys = fresh_keys(len(_EXACT_VALUES))
        await store.write([Write(key, value, ABSENT) for key, value in zip(keys, _EXACT_VALUES, strict=True)])
        found = await store.read(keys)
        for key, value in zip(keys, _EXACT_VALUES, strict=True):
            require(key in found, f"the value {value!r} was written and is not there")
            require(found[key].value == value, f"{value!r} was written, and {found[key].value!r} was read")


async def large_values_are_kept(factory: StoreFactory) -> None:
    """A value of 1 MB, or of the backend's limit where that is less, comes back as it was."""
    store = factory.create()
    async with opened(store):
        (key,) = fresh_keys()
        value = text_value(min(_LARGE_BYTES, largest_value(store.capabilities, key)))
        await write_one(store, key, value, ABSENT)
        document = await read_one(store, key)
        require(document is not None, f"a value of {len(value)} bytes was written and is not there")
        require(document is not None and document.value == value, f"a value of {len(value)} bytes came back changed")


async def values_over_the_limit_are_refused(factory: StoreFactory) -> None:
    """One byte more than ``max_value_bytes`` is a StoreError and no outage; nothing of an atomic batch is written."""
    store = factory.create()
    async with opened(store):
        small, large = fresh_keys(2)
        limit = store.capabilities.max_value_bytes
        batch = [Write(small, b"1", ABSENT), Write(large, text_value(limit + 1), ABSENT)]
        try:
            results = await store.write(batch)
        except StoreUnavailableError as error:
            sentence = f"a value over the limit was answered as an outage, which would be tried again for ever: {error}"
            raise AssertionError(sentence) from error
        except StoreError:
            found = await store.read([small, large])
            require(large not in found, "a value over the limit was refused, and yet it is there")
            require(not found or not store.capabilities.atomic_batch, "a refused atomic batch was written in part")
        else:
            sentence = f"a value of {limit + 1} bytes is over the limit of {limit} and was answered with {results}"
            raise AssertionError(sentence)


async def batches_are_written_whole(factory: StoreFactory) -> None:
    """``max_batch`` writes in one call, or one call of many bytes: every one of them is there, the last one too."""
    store = factory.create()
    async with opened(store):
        limits = store.capabilities
        count = min(limits.max_batch, limits.max_batch_bytes // 100)
        await _write_and_read_back(store, [b"%d" % number for number in range(count)])
        size = min(_LARGE_BYTES, limits.max_value_bytes, limits.max_batch_bytes // 4)
        count = min(limits.max_batch, 4 * _LARGE_BYTES // size, limits.max_batch_bytes // (size + 100))
        await _write_and_read_back(store, [text_value(size - 1 - number) for number in range(count)])


async def one_batch_may_do_everything(factory: StoreFactory) -> None:
    """Creating, replacing, overwriting and deleting go together in one batch."""
    store = factory.create()
    async with opened(store):
        created, replaced, overwritten, deleted = fresh_keys(4)
        before = await store.write([Write(key, b"1", ABSENT) for key in (replaced, overwritten, deleted)])
        results = await store.write(
            [
                Write(deleted, None, ANY),
                Write(created, b"2", ABSENT),
                Write(replaced, b"3", current_version(store, before[0])),
                Write(overwritten, b"4", ANY),
            ]
        )
        require(all(isinstance(result, Written) for result in results), f"a batch that holds was answered {results}")
        documents = await store.read([created, replaced, overwritten, deleted])
        found = {key: document.value for key, document in documents.items()}
        wanted = {created: b"2", replaced: b"3", overwritten: b"4"}
        require(found == wanted, f"a batch that holds should leave {wanted}, and reading finds {found}")


async def an_empty_batch_is_no_write(factory: StoreFactory) -> None:
    """Nothing to write is answered with no results, nothing to read with no documents."""
    store = factory.create()
    async with opened(store):
        require(await store.write([]) == [], "an empty batch was answered with results")
        require(await store.read([]) == {}, "reading no keys was answered with documents")


async def reading_leaves_out_what_is_absent(factory: StoreFactory) -> None:
    """Absent keys are left out, and a key that is asked for twice is answered once."""
    store = factory.create()
    async with opened(store):
        there, absent = fresh_keys(2)
        await write_one(store, there, b"1", ABSENT)
        found = await store.read([absent, there, there, absent])
        require(absent not in found, "a key that was never written is in the answer")
        require(list(found) == [there], f"one key exists and {len(found)} are in the answer")


async def deleting_what_is_absent_succeeds(factory: StoreFactory) -> None:
    """A key that is absent already counts as deleted, whatever version was expected of it."""
    store = factory.create()
    async with opened(store):
        for expected in (ANY, GARBAGE_VERSION):
            (key,) = fresh_keys()
            result = await write_one(store, key, None, expected)
            require(isinstance(result, Written), f"deleting an absent key (expecting {expected}) was refused")
            require(await read_one(store, key) is None, "deleting an absent key has created it")


async def what_is_deleted_stays_deleted(factory: StoreFactory) -> None:
    """A deleted key is gone for reading and listing, and can be created again."""
    store = factory.create()
    async with opened(store):
        gone, other = fresh_keys(2)
        await store.write([Write(gone, b"1", ABSENT), Write(other, b"2", ABSENT)])
        result = await write_one(store, gone, None, ANY)
        require(isinstance(result, Written), "deleting a key that is there was refused")
        await write_one(store, other, b"3", ANY)
        require(await read_one(store, gone) is None, "a deleted key can still be read")
        if store.capabilities.list_keys:
            require(gone not in [key async for key in store.keys(gone)], "a deleted key is still listed")
        result = await write_one(store, gone, b"4", ABSENT)
        require(isinstance(result, Written), "a deleted key cannot be created again")


async def keys_are_listed_by_prefix(factory: StoreFactory) -> None:
    """Every key with the prefix once and no other; or UnsupportedOperationError from a store that cannot list."""
    store = factory.create()
    async with opened(store):
        (prefix,) = fresh_keys()
        if not store.capabilities.list_keys:
            try:
                found = [key async for key in store.keys(prefix)]
            except UnsupportedOperationError:
                return
            sentence = f"the store says it cannot list, and listed {found}"
            raise AssertionError(sentence)
        inside = sorted([f"{prefix}:a", f"{prefix}:b.c", f"{prefix}:b_c", f"{prefix}:Z", prefix])
        outside = [prefix[:-1], f"x{prefix}", prefix[:-1] + "."]
        await store.write([Write(key, b"1", ABSENT) for key in (*inside, *outside)])
        found = sorted([key async for key in store.keys(prefix)])
        require(found == inside, f"{inside} have the prefix {prefix!r}, and {found} were listed")
        require(not [key async for key in store.keys(f"{prefix}:none")], "keys were listed for a prefix that none has")


DATA_CHECKS: tuple[Check, ...] = (
    values_come_back_byte_for_byte,
    large_values_are_kept,
    values_over_the_limit_are_refused,
    batches_are_written_whole,
    one_batch_may_do_everything,
    an_empty_batch_is_no_write,
    reading_leaves_out_what_is_absent,
    deleting_what_is_absent_succeeds,
    what_is_deleted_stays_deleted,
    keys_are_listed_by_prefix,
)


async def _write_and_read_back(store: StateStore, values: Sequence[bytes]) -> None:
    keys = fresh_keys(len(values))
    results = await store.write([Write(key, value, ABSENT) for key, value in zip(keys, values, strict=True)])
    require(len(results) == len(values), f"{len(values)} writes were answered with {len(results)} results")
    require(all(isinstance(result, Written) for result in results), "a batch of new keys was refused")
    found = await store.read(keys)
    for number, (key, value) in enumerate(zip(keys, values, strict=True), start=1):
        require(key in found, f"write {number} of a batch of {len(values)} is not there")
        require(found[key].value == value, f"write {number} of a batch of {len(values)} has the value of another")
