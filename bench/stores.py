"""Measure the stores: ``python -m bench.stores`` starts their servers, and writes docs/reference/stores.json.

``python -m bench.stores kafka nats`` measures these again and leaves the others as they are. Each measurement has a
server of its own. It needs what the tests of the stores and of Dapr need: ``make store-servers dapr-runtime``.

commits: 10 documents of 1 KB at a time, one commit after the other, and 200 at a time; see `bench.store_load`.
steps: 200 runs of 10 steps, 50 at a time, the median of three; see `bench.run`.
restart: 10,000 open runs, until all of them move again; see `bench.scale`.
opening: a store with 200,000 documents of 1 KB, where all of them are read when it is opened.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from bench.store_places import PLACES, Place

OUTPUT: Final = Path(__file__).parents[1] / "docs" / "reference" / "stores.json"

_RUN: Final = ["bench.run", "--workflows", "200", "--steps", "10", "--concurrency", "50", "--runs", "3", "--store"]
MEASURES: Final = {
    "commits": (
        ["bench.store_load", "commits"],
        ("commits_per_s", "commit_p50_ms", "commit_p99_ms", "documents_per_s"),
    ),
    "steps": (_RUN, ("steps_per_s", "steps_per_s_range", "idle_p50_ms")),
    "restart": (["bench.scale", "restart", "--store"], ("all_moving_s",)),
    "opening": (["bench.store_load", "opening"], ("opened_documents_per_s",)),
}
"""What is run for each measurement, with the URL behind it, and which of its figures are kept."""

LEFT_OUT: Final = {
    "memory": {"restart", "opening"},
    **{kind: {"opening"} for kind in ("sqlite", "dapr", "nats", "inngest")},
}
"""What tells nothing: a store in memory outlives no restart, and of the others only Kafka reads all when it opens."""

WARMED: Final = {"kafka"}
"""A JVM compiles what it runs often: the figures of its first seconds are two to three times slower."""

SHOWN: Final = ("commits_per_s", "commit_p50_ms", "commit_p99_ms", "documents_per_s", "steps_per_s", "all_moving_s")


def measured(kind: str) -> dict[str, Any]:
    """Measure one kind of store."""
    row: dict[str, Any] = {"figures": {}, "load_average_before": round(os.getloadavg()[0], 1)}
    for measure, (words, kept) in MEASURES.items():
        if measure in LEFT_OUT.get(kind, ()):
            continue
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder, PLACES[kind](Path(folder)) as place:
            row["versions"] = dict(place.versions)
            if kind in WARMED:
                _printed(["bench.store_load", "warming"], place)
            found = _printed(words, place)
        row["capabilities"] = found.get("capabilities") or row["capabilities"]
        row["figures"] |= {name: found[name] for name in kept}
        print(f"{kind} {measure}: {row['figures']}", file=sys.stderr, flush=True)
    return row


def _printed(words: list[str], place: Place) -> dict[str, Any]:
    """Run a measurement as a process of its own, and give the row that it prints."""
    command = [sys.executable, "-m", *words, place.url]
    environment = {**os.environ, **place.environment}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Lay the figures out for a person."""
    lines = [["store", *SHOWN]]
    lines += [[kind, *(str(row["figures"].get(name, "-")) for name in SHOWN)] for kind, row in rows.items()]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[[], *PLACES], default=[], metavar="KIND", help=", ".join(PLACES))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    known = json.loads(options.output.read_text(encoding="utf-8"))["stores"] if options.output.exists() else {}
    for kind in options.kinds or PLACES:
        known[kind] = measured(kind)
    rows = {kind: known[kind] for kind in PLACES if kind in known}
    machine = {"cpus": os.cpu_count(), "python": platform.python_version()}
    whole = {"holdfast": importlib.metadata.version("holdfast"), "machine": machine, "stores": rows}
    options.output.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
