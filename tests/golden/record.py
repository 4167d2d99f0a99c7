"""Records the golden histories: ``python -m tests.golden.record [FOLDER]``.

Without a folder those that are checked in are replaced. Do that only where a change of what is recorded is meant:
a history that today's code no longer fits stands for runs of users that are under way. The clock is a fixed one and
ids count, so that recording again gives the same bytes until something has changed.
"""

import sys
from pathlib import Path

from holdfast.testing import save_history
from tests.golden.flows import packing_as_it_was, shipping_as_it_was
from tests.laws import shapes_of_examples
from tests.laws.activities import ACTIVITIES
from tests.laws.case import Story, case, signal
from tests.laws.corpus import CASES
from tests.laws.recording import record

HISTORIES = Path(__file__).parent / "histories"

SHAPES = (
    "announces",
    "cart",
    "chain",
    "changed",
    "deadlines",
    "desk",
    "dice",
    "first_of_several",
    "generators",
    "group_that_fails",
    "groups",
    "leaves_children",
    "letters",
    "publishes_when_told",
    "queue",
    "race",
    "retries",
    "saga",
    "stoppable",
)
CHANGED = case(shipping_as_it_was, name="shipping", input="order-7", activities=ACTIVITIES)
PATCHED = case(packing_as_it_was, signal(9, "weighed"), name="packing", input="order-7", activities=ACTIVITIES)
RECORDED = (*shapes_of_examples.CASES, *(CASES[name] for name in SHAPES), CHANGED, PATCHED)


def file_of(story: Story) -> str:
    """Name the file of a run: by its case, its workflow id where that is another, and its place in a chain."""
    return f"{story.case.name}--{story.workflow_id}--{story.run_id}.json"


def record_all(folder: Path) -> None:
    """Write the history of each run of each case."""
    folder.mkdir(parents=True, exist_ok=True)
    for chosen in RECORDED:
        for story in record(chosen):
            save_history(folder / file_of(story), story.history)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HISTORIES
    for old in folder.glob("*.json"):
        old.unlink()
    record_all(folder)


if __name__ == "__main__":
    main()
