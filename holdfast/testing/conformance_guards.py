"""Conformance checks of how a store keeps stale writers out, as far as its capabilities say that it does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from holdfast.ports import ABSENT, ANY, Conflict, Write, Written
from holdfast.testing.conformance_kit import (
    GARBAGE_VERSION,
    fresh_keys,
    need,
    opened,
    read_one,
    require,
    write_one,
)

if TYPE_CHECKING:
    from holdfast.ports import Expectation, StateStore
    from holdfast.testing.conformance_kit import Check, StoreFactory

__all__ = ["GUARD_CHECKS"]

_RACERS: Final = 8


async def creating_what_exists_is_refused(factory: StoreFactory) -> None:
    """A key is created once; the second creation is a Conflict and leaves the value alone."""
    store = factory.create()
    async with opened(store):
        _need_creations_guarded(store)
        (key,) = fresh_keys()
        await write_one(store, key, b'"first"', ABSENT)
        result = await write_one(store, key, b'"second"', ABSENT)
        require(isinstance(result, Conflict), f"a key that exists was created again: {result}")
        await _require_value(store, key, b'"first"', "a refused creation has changed the value")


async def of_racing_creators_one_wins(factory: StoreFactory) -> None:
    """Eight creators of one key at the same time, over two handles where there can be: one Written, and its value."""
    store = factory.create()
    async with opened(store):
        _need_creations_guarded(store)
        other = _second(factory, store)
        async with opened(*([other] if other else [])):
            handles = [store, other or store]
            (key,) = fresh_keys()
            results = await asyncio.gather(
                *(write_one(handles[racer % 2], key, b"%d" % racer, ABSENT) for racer in range(_RACERS))
            )
        winners = [racer for racer, result in enumerate(results) if isinstance(result, Written)]
        require(len(winners) == 1, f"{_RACERS} creators raced for one key and {len(winners)} won")
        await _require_value(store, key, b"%d" % winners[0], "the value is not the winner's")


async def of_racing_updates_one_wins(factory: StoreFactory) -> None:
    """Eight updates from one version at the same time: one Written, and its value."""
    store = factory.create()
    async with opened(store):
        _need_versions(store)
        other = _second(factory, store)
        async with opened(*([other] if other else [])):
            handles = [store, other or store]
            (key,) = fresh_keys()
            version = await _written(store, key, b'"start"', ABSENT)
            results = await asyncio.gather(
                *(write_one(handles[racer % 2], key, b"%d" % racer, version) for racer in range(_RACERS))
            )
        winners = [racer for racer, result in enumerate(results) if isinstance(result, Written)]
        require(len(winners) == 1, f"{_RACERS} updates raced from one version and {len(winners)} won")
        await _require_value(store, key, b"%d" % winners[0], "the value is not the winner's")


async def written_versions_are_those_read(factory: StoreFactory) -> None:
    """What a write answers is what reading says, changes with every write, and is what the next write may name."""
    store = factory.create()
    async with opened(store):
        _need_versions(store)
        keys = fresh_keys(3)
        expected: list[str | Expectation] = [ABSENT] * len(keys)
        for value in (b"1", b"2", b"3"):
            results = await store.write([Write(key, value, old) for key, old in zip(keys, expected, strict=True)])
            require(all(isinstance(result, Written) for result in results), "the version of the last write was refused")
            versions = [result.version for result in results if isinstance(result, Written)]
            found = await store.read(keys)
            for key, version, old in zip(keys, versions, expected, strict=True):
                require(version, "a write was answered without a version")
                require(version != old, f"a key was written and its version stayed {version!r}")
                read = found[key].version if key in found else None
                require(read == version, f"a write was answered version {version!r}, reading says {read!r}")
            expected = [*versions]


async def stale_versions_are_refused(factory: StoreFactory) -> None:
    """Updating from an older version, or one that never was, is a Conflict and leaves the value alone."""
    store = factory.create()
    async with opened(store):
        _need_versions(store)
        (key,) = fresh_keys()
        stale = await _written(store, key, b"1", ABSENT)
        await _written(store, key, b"2", stale)
        for version in (stale, GARBAGE_VERSION):
            result = await write_one(store, key, b"3", version)
            require(isinstance(result, Conflict), f"an update from the stale version {version!r} took effect")
            await _require_value(store, key, b"2", "a refused update has changed the value")


async def stale_deletions_are_refused(factory: StoreFactory) -> None:
    """Deleting at an older version is a Conflict and the key stays; at the right one it goes."""
    store = factory.create()
    async with opened(store):
        _need_versions(store)
        (key,) = fresh_keys()
        stale = await _written(store, key, b"1", ABSENT)
        version = await _written(store, key, b"2", stale)
        result = await write_one(store, key, None, stale)
        require(isinstance(result, Conflict), "a deletion at a stale version took effect")
        await _require_value(store, key, b"2", "a refused deletion has changed the value")
        result = await write_one(store, key, None, version)
        require(isinstance(result, Written), "a deletion at the right version was refused")
        require(await read_one(store, key) is None, "a deletion at the right version left the key there")


async def a_late_update_brings_nothing_back(factory: StoreFactory) -> None:
    """Updating a deleted key from the version it had is a Conflict, and the key stays deleted."""
    store = factory.create()
    async with opened(store):
        _need_versions(store)
        (key,) = fresh_keys()
        version = await _written(store, key, b"1", ABSENT)
        await write_one(store, key, None, version)
        result = await write_one(store, key, b"2", version)
        require(isinstance(result, Conflict), "an update of a deleted key took effect")
        require(await read_one(store, key) is None, "an update has brought a deleted key back")


async def versions_never_return(factory: StoreFactory) -> None:
    """A key that is deleted and created again has a version that it never had, after reopening too."""
    store = factory.create()
    async with opened(store):
        _need_versions(store)
        (key,) = fresh_keys()
        seen = {await _written(store, key, b"1", ABSENT)}
        for value in (b"2", b"3"):
            await write_one(store, key, None, ANY)
            await _require_new_version(store, key, value, seen)
        await write_one(store, key, None, ANY)
    again = factory.again(store) if store.capabilities.durable else None
    if again is not None:
        async with opened(again):
            await _require_new_version(again, key, b"4", seen)


async def a_refused_write_and_its_siblings(factory: StoreFactory) -> None:
    """One creation of a batch is refused: in an atomic batch all are, otherwise the results tell what was written."""
    store = factory.create()
    async with opened(store):
        _need_creations_guarded(store)
        for place in (0, 1, 2):
            taken, *others = fresh_keys(3)
            gone = fresh_keys()[0]
            await store.write([Write(taken, b'"old"', ABSENT), Write(gone, b'"old"', ABSENT)])
            batch = [Write(key, b'"new"', ABSENT) for key in others]
            batch.insert(place, Write(taken, b'"new"', ABSENT))
            batch.append(Write(gone, None, ANY))
            results = await store.write(batch)
            require(isinstance(results[place], Conflict), "a creation of an existing key took effect within a batch")
            await _require_value(store, taken, b'"old"', "a refused creation within a batch has changed the value")
            await _require_truth(store, batch, results)


async def a_stale_write_and_its_siblings(factory: StoreFactory) -> None:
    """One update of a batch is stale: in an atomic batch all are refused, otherwise the results tell."""
    store = factory.create()
    async with opened(store):
        _need_versions(store)
        stale_key, updated, created = fresh_keys(3)
        stale = await _written(store, stale_key, b"1", ABSENT)
        await _written(store, stale_key, b'"old"', stale)
        version = await _written(store, updated, b'"old"', ABSENT)
        batch = [
            Write(created, b'"new"', ABSENT),
            Write(updated, b'"new"', version),
            Write(stale_key, b'"new"', stale),
        ]
        results = await store.write(batch)
        require(isinstance(results[2], Conflict), "a stale update took effect within a batch")
        await _require_value(store, stale_key, b'"old"', "a refused update within a batch has changed the value")
        await _require_truth(store, batch, results)


GUARD_CHECKS: tuple[Check, ...] = (
    creating_what_exists_is_refused,
    of_racing_creators_one_wins,
    of_racing_updates_one_wins,
    written_versions_are_those_read,
    stale_versions_are_refused,
    stale_deletions_are_refused,
    a_late_update_brings_nothing_back,
    versions_never_return,
    a_refused_write_and_its_siblings,
    a_stale_write_and_its_siblings,
)


def _second(factory: StoreFactory, store: StateStore) -> StateStore | None:
    """Get a second handle to race with, unless the store lets only one write."""
    limits = store.capabilities
    return None if limits.exclusive or limits.guard == "writer" else factory.again(store)


def _need_versions(store: StateStore) -> None:
    need(store.capabilities.guard == "key", "the store does not guard each key by a version")


def _need_creations_guarded(store: StateStore) -> None:
    need(store.capabilities.guard != "none", "the store does not guard creations")


async def _written(store: StateStore, key: str, value: bytes, expected: str | Expectation) -> str:
    result = await write_one(store, key, value, expected)
    if isinstance(result, Written):
        return result.version
    sentence = "a write whose expectation holds was refused"
    raise AssertionError(sentence)


async def _require_value(store: StateStore, key: str, value: bytes, sentence: str) -> None:
    document = await read_one(store, key)
    found = None if document is None else document.value
    require(found == value, f"{sentence}: it is {found!r}, and should be {value!r}")


async def _require_new_version(store: StateStore, key: str, value: bytes, seen: set[str]) -> None:
    version = await _written(store, key, value, ABSENT)
    require(version not in seen, f"a key was deleted and created again, and has version {version!r} once more")
    for old in seen:
        result = await write_one(store, key, b'"late"', old)
        require(isinstance(result, Conflict), f"an update from version {old!r}, of a life before, took effect")
    seen.add(version)


async def _require_truth(store: StateStore, batch: list[Write], results: list[Written | Conflict]) -> None:
    """Compare what a partly refused batch was answered with what is there; a Conflict may have got through."""
    require(len(results) == len(batch), f"{len(batch)} writes were answered with {len(results)} results")
    found = await store.read([write.key for write in batch])
    for write, result in zip(batch, results, strict=True):
        document = found.get(write.key)
        took_effect = (None if document is None else document.value) == write.value
        if store.capabilities.atomic_batch:
            require(isinstance(result, Conflict), "one write of an atomic batch was refused, and another was not")
            require(not took_effect, "one write of an atomic batch was refused, and yet another took effect")
        elif isinstance(result, Written):
            require(took_effect, "a write of a partly refused batch was answered Written and is not there")
