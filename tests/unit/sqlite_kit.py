"""Small steps that the tests of the SQLite store share."""

from __future__ import annotations

from pathlib import Path

from holdfast.ports import ABSENT, ANY, Conflict, Write, Written
from holdfast.stores import SqliteStore


def folder_bytes(path: Path) -> dict[str, bytes]:
    """Every file beside a path, with its content. Only while no store of this process has it open."""
    return {file.name: file.read_bytes() for file in sorted(path.parent.iterdir()) if file.is_file()}


async def put(store: SqliteStore, key: str, value: bytes) -> Written | Conflict:
    (result,) = await store.write([Write(key, value, ANY)])
    return result


async def value_of(store: SqliteStore, key: str) -> bytes | None:
    found = await store.read([key])
    return found[key].value if key in found else None


async def filled(path: Path, *, count: int = 10) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.write([Write(f"key:{number}", b'"value"', ABSENT) for number in range(count)])
    await store.close()
