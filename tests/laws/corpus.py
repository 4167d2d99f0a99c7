"""All workflows of the corpus, by name, and their histories."""

import functools

from tests.laws import shapes_of_branches, shapes_of_examples, shapes_of_outputs, shapes_of_talk, shapes_of_tasks
from tests.laws.case import Case, Story
from tests.laws.recording import record

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        *shapes_of_tasks.CASES,
        *shapes_of_talk.CASES,
        *shapes_of_outputs.CASES,
        *shapes_of_branches.CASES,
        *shapes_of_examples.CASES,
    )
}


@functools.cache
def recorded(name: str, seed: int) -> tuple[Story, ...]:
    """Run a case of the corpus, and give the histories of all runs that it led to; a second time from memory."""
    return record(CASES[name], seed)
