"""The tables about stores: what each kind can do and how fast it was, as `python -m bench.stores` wrote it down."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from holdfast.stores.store_kinds import KINDS
from tests.docs.markdown import ROOT

MEASURED = ROOT / "docs" / "reference" / "stores.json"
Row = tuple[str, ...]
_NAMES = [kind.name for kind in KINDS]
_UNITS = ((1024 * 1024, "MiB"), (1024, "KiB"), (1, "B"))


def load() -> dict[str, Any]:
    """What was measured, by kind of store."""
    whole: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return whole


def kind_rows() -> Iterable[Row]:
    for kind in KINDS:
        forms = ", ".join(f"`{form}`" for form in kind.form.split(", "))
        install = f"`pip install 'holdfast[{kind.extra}]'`" if kind.extra else ""
        yield f"`{kind.name}`", forms, f"`{kind.adapter.replace(':', '.')}`", install


def option_rows() -> Iterable[Row]:
    for kind in KINDS:
        for option in kind.options:
            yield f"`{kind.name}`", f"`{option.name}=`", option.means


def size(count: int) -> str:
    """So many bytes, in words."""
    unit, word = next((unit, word) for unit, word in _UNITS if count >= unit)
    return f"{round(count / unit, 2):g} {word}"


def replicas(capabilities: dict[str, Any]) -> str:
    """What a second process of the service does."""
    if not capabilities["durable"] or capabilities["guard"] == "none":
        return "one, and nothing checks it"
    return "one works, others wait"


def versions(measured: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in measured["versions"].items())


def _yes(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda measured: "yes" if measured["capabilities"][name] else "no"


def _figure(name: str) -> Callable[[dict[str, Any]], str]:
    def cell(measured: dict[str, Any]) -> str:
        figure = measured["figures"].get(name)
        if figure is None:
            return ""
        return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"

    return cell


def _limit(measured: dict[str, Any]) -> str:
    limits = measured["capabilities"]
    return f"{limits['max_batch']:,} documents, {size(limits['max_batch_bytes'])}"


STORE_ROWS: dict[str, Callable[[dict[str, Any]], str]] = {
    "survives the process": _yes("durable"),
    "`guard`": lambda measured: f"`{measured['capabilities']['guard']}`",
    "atomic batches": _yes("atomic_batch"),
    "lists its keys": _yes("list_keys"),
    "processes of the service": lambda measured: replicas(measured["capabilities"]),
    "largest document": lambda measured: size(measured["capabilities"]["max_value_bytes"]),
    "largest batch": _limit,
    "commits/s, 10 documents each": _figure("commits_per_s"),
    "such a commit, p50 ms": _figure("commit_p50_ms"),
    "p99 ms": _figure("commit_p99_ms"),
    "documents/s, 200 a commit": _figure("documents_per_s"),
    "steps/s of the engine": _figure("steps_per_s"),
    "a run of one step alone, p50 ms": _figure("idle_p50_ms"),
    "10,000 runs move again, s": _figure("all_moving_s"),
    "documents/s read when it opens": _figure("opened_documents_per_s"),
    "measured with": versions,
}


def store_head() -> Row:
    return ("", *(f"`{name}`" for name in _NAMES))


def store_rows() -> Iterable[Row]:
    measured = load()["stores"]
    for title, cell in STORE_ROWS.items():
        yield (title, *(cell(measured[name]) for name in _NAMES))
