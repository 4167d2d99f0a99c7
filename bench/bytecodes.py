"""Count what the interpreter does per step: ``python -m bench.bytecodes`` prints a table by part of the code.

The counts are the same on every machine and in every run, so they show what a change costs where times are noisy. What
is written in C (orjson, tasks, futures) does not show.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.run import bench, noop
from holdfast import Engine
from holdfast.stores import MemoryStore

if TYPE_CHECKING:
    from types import CodeType, FrameType

_HOLDFAST = Path("holdfast").resolve()


def part_of(code: CodeType) -> str:
    """Name the part of the engine that a function belongs to; what a dataclass makes counts as values."""
    if code.co_filename.startswith("<"):
        return "values (generated)"
    path = Path(code.co_filename)
    if path.is_relative_to(_HOLDFAST):
        folder = path.relative_to(_HOLDFAST).parent.as_posix()
        return f"holdfast/{folder}"
    return "asyncio" if path.parent.name == "asyncio" else "other"


async def count(workflows: int, steps: int) -> Counter[CodeType]:
    """Count the bytecodes of each function while runs proceed side by side in memory."""
    counts: Counter[CodeType] = Counter()

    def trace(frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 - as the interpreter wants it
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            counts[frame.f_code] += 1
        return trace

    async with Engine(MemoryStore(), workflows=[bench], activities=[noop]) as engine:
        await engine.execute(bench, steps)
        sys.settrace(trace)
        await asyncio.gather(*(engine.execute(bench, steps) for _ in range(workflows)))
        sys.settrace(None)
    return counts


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workflows", type=int, default=20)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--functions", type=int, default=0, help="how many functions to list as well")
    options = parser.parse_args()
    counts = asyncio.run(count(options.workflows, options.steps))
    done, total = options.workflows * options.steps, counts.total()
    parts: Counter[str] = Counter()
    for code, number in counts.items():
        parts[part_of(code)] += number
    for part, number in parts.most_common():
        print(f"{number / done:8.0f}  {number / total:4.0%}  {part}")
    print(f"{total / done:8.0f}  100%  per step")
    for code, number in counts.most_common(options.functions):
        print(f"{number / done:8.1f}  {part_of(code)}  {code.co_qualname}")


if __name__ == "__main__":
    main()
