"""Compare with another program: ``python -m bench.against ../shared/bench/probe/engine_probe.py --store memory``.

Both run by turns, so that a machine that is slow for a while is slow for both. One JSON line tells the median of their
ratios, with the extremes.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PROBE_STORES = {"memory": "mem", "sqlite": "sqlite"}


def ours(store: str, workflows: int) -> float:
    """Give our steps per second."""
    command = [sys.executable, "-m", "bench.run", "--store", store, "--workflows", str(workflows)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(json.loads(printed)["steps_per_s"])


def theirs(probe: Path, store: str, folder: str) -> float:
    """Give the probe's steps per second, which it prints in words."""
    command = [sys.executable, str(probe), PROBE_STORES[store]]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout
    found = re.search(r"steps/s (\d+)", printed)
    if found is None:
        message = f"the probe printed no figure: {printed[:200]}"
        raise RuntimeError(message)
    return float(found[1])


def main() -> None:
    """Run both by turns and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("probe", type=Path)
    parser.add_argument("--store", choices=sorted(PROBE_STORES), default="sqlite")
    parser.add_argument("--workflows", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        pairs = [
            (theirs(options.probe.resolve(), options.store, folder), ours(options.store, options.workflows))
            for _ in range(options.rounds)
        ]
    ratios = sorted(probe / own for probe, own in pairs)
    row = {
        "store": options.store,
        "rounds": options.rounds,
        "probe_steps_per_s": round(statistics.median(probe for probe, _ in pairs)),
        "steps_per_s": round(statistics.median(own for _, own in pairs)),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
