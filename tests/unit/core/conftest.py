"""What the tests of the core share: runs that are taken apart when their test ends."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.play import Anything, Begin, Play


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Start runs, and take them out of memory in the end."""
    plays: list[Play] = []

    def start(workflow: Callable[..., Any], input: object = None, **options: Anything) -> Play:
        play = Play(workflow, input, **options)
        plays.append(play)
        return play.start()

    yield start
    for play in plays:
        play.close()
