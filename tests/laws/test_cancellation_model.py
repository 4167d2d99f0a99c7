"""The engine, a replay from every prefix of the history, and a model written from the table agree on random trees."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, note, seed, settings
from hypothesis import strategies as st

from holdfast.core import unwind
from holdfast.core.history import COMMANDS, Event, EventType
from holdfast.core.instance import Instance
from holdfast.core.replay import replay_history
from tests.laws.cancellation_model import CANCELLED, Model, Outcome, Reason, Value
from tests.laws.cancellation_trees import (
    TREES,
    TREES_WITH_SOMETHING_EMPTY,
    Group,
    Scope,
    Tree,
    ends_at_once,
    places,
    workflow_of,
)
from tests.play import Play

PARTS, CASES_OF_A_PART = 100, 200
LOGGER = "tests.laws.cancellation"

Deed = tuple[str, Any]
"""What happens: ``resolve`` or ``reject`` and a ref, ``cancel`` and the paths of scopes, ``stop`` and nothing."""

CHOICES = st.lists(st.integers(0, 999), min_size=4, max_size=10)


class Both:
    """A tree in the engine, and in the model."""

    def __init__(self, tree: Tree) -> None:
        self.scopes = {path: part for path, part in places(tree) if isinstance(part, Scope | Group)}
        self.only_entered = ends_at_once(tree)
        self.play = Play(workflow_of(tree), logger=LOGGER)
        self.model = Model(tree, [path for path, part in self.scopes.items() if part.is_early])
        self.stopped = False

    def begin(self) -> None:
        self.play.start()
        self.compare(self.model.begin())

    def deeds(self) -> list[Deed]:
        """Say what may happen next. What ends two things at once is left out, for the table does not order them."""
        found: list[Deed] = [(deed, ref) for ref in self.model.refs for deed in ("resolve", "reject")]
        found += [("resolve", ref) for ref in self.model.closed[-1:]]
        open_ones = [path for path, scope in self.model.scopes.items() if not scope.is_cancelled]
        if self.only_entered:
            open_ones = [path for path in open_ones if self.model.scopes[path].bodies]
        found += [("cancel", [path]) for path in open_ones]
        chains = [[outer, inner] for outer in open_ones for inner in open_ones if inner.startswith(f"{outer}.")]
        found += [("cancel", chain) for outer, inner in chains for chain in ([outer, inner], [inner, outer])]
        return found if self.stopped else [*found, ("stop", None)]

    def do(self, deed: Deed) -> None:
        what, which = deed
        match what:
            case "resolve":
                self.play.resolve(which, f"{which} done")
                said = self.model.answer(which, Value(f"{which} done"))
            case "reject":
                self.play.reject(which, f"{which} refused")
                said = self.model.answer(which, Reason("RefError", f"{which} refused"))
            case "cancel":
                self.play.signal("cancel", which)
                said = self.model.cancel_scopes(which)
            case _:
                self.stopped = True
                self.play.cancel()
                said = self.model.cancel()
        self.compare(said)

    def compare(self, said: list[str]) -> None:
        assert self.play.run.fault is None
        assert sorted(self.play.outputs) == said
        assert self.ended == self.model.outcome

    @property
    def ended(self) -> Outcome | None:
        run = self.play.run
        if run.outcome is None:
            return None
        match run.outcome.type:
            case EventType.WORKFLOW_COMPLETED:
                return Value(self.play.result)
            case EventType.WORKFLOW_CANCELED:
                return CANCELLED
            case _:
                return Reason(self.play.failure.type, self.play.failure.message)


def agree(tree: Tree, choices: Sequence[int]) -> None:
    """Let things happen to a tree, and compare after each; then replay it from wherever it may be cut."""
    both = Both(tree)
    with both.play:
        both.begin()
        for choice in choices:
            deeds = both.deeds()
            if both.play.ended or not deeds:
                break
            deed = deeds[choice % len(deeds)]
            note(f"{deed}")
            both.do(deed)
        replays_agree(both.play)


def replays_agree(play: Play) -> None:
    """Replay each prefix, go on from there live, and compare all that is asked for, to the letter and in order."""
    given_events = [event for event in play.history if event.type not in COMMANDS]
    ends = [n for n, event in enumerate(play.history) if n and event.type not in COMMANDS]
    for count, end in enumerate(ends, 1):
        fresh = Instance(play.registry.workflow(play.workflow), play.info, play.host)
        replay_history(fresh, play.history[:end])
        asked: list[Event] = []
        for event in given_events[count:]:
            asked += [event, *fresh.activate(event)]
        fresh.close()
        assert [said(event) for event in asked] == [said(event) for event in play.history[end:]]


def said(event: Event) -> tuple[Any, ...]:
    return event.type, event.at, event.id, event.name, event.value, event.details


@pytest.fixture(autouse=True)
def _nothing_goes_wrong_in_silence(caplog: pytest.LogCaptureFixture) -> Any:  # noqa: ANN401 - a generator
    """What callbacks of the loop raise is but logged, and so is a coroutine that would not end."""
    kept = len(unwind._kept)  # noqa: SLF001 - what the garbage collector may not have
    with caplog.at_level(logging.ERROR, logger=LOGGER):
        yield
    wrong = [record.getMessage() for record in caplog.records if "never retrieved" not in record.getMessage()]
    assert wrong == []
    assert len(unwind._kept) == kept  # noqa: SLF001 - likewise


@settings(max_examples=250)
@given(TREES, CHOICES)
def test_trees_do_what_the_table_says(tree: Tree, choices: list[int]) -> None:
    agree(tree, choices)


@settings(max_examples=50)
@given(TREES_WITH_SOMETHING_EMPTY, CHOICES)
def test_trees_with_something_empty_do_what_the_table_says(tree: Tree, choices: list[int]) -> None:
    agree(tree, choices)


@pytest.mark.laws_full
@pytest.mark.parametrize("part", range(PARTS))
def test_trees_do_what_the_table_says_in_many_cases(part: int) -> None:
    trees = TREES_WITH_SOMETHING_EMPTY if part % 5 == 0 else TREES

    @seed(part)
    @settings(max_examples=CASES_OF_A_PART, database=None)
    @given(trees, CHOICES)
    def holds(tree: Tree, choices: list[int]) -> None:
        agree(tree, choices)

    holds()
