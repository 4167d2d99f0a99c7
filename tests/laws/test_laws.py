"""The replay laws hold for every workflow of the corpus, in whatever order its activities complete."""

import asyncio
import importlib
import pkgutil
from dataclasses import replace
from typing import Any

import pytest

import examples
from holdfast import Engine
from tests.laws.case import Deed, Story, as_event
from tests.laws.corpus import CASES, recorded
from tests.laws.laws import LAWS, said
from tests.laws.recording import record

FEW, MANY = range(2), range(20)
AT_EVERY_STEP = 0

in_any_case = pytest.mark.parametrize("name", CASES)
in_many_orders = pytest.mark.parametrize("seed", MANY)


@in_any_case
@pytest.mark.parametrize("seed", FEW)
@pytest.mark.parametrize("law", LAWS)
def test_the_law_holds(name: str, seed: int, law: str) -> None:
    for story in recorded(name, seed):
        LAWS[law](story)


@pytest.mark.laws_full
@in_any_case
@in_many_orders
def test_all_laws_hold_in_many_orders(name: str, seed: int) -> None:
    for story in recorded(name, seed):
        for law in LAWS.values():
            law(story)


def same_when_evicted(name: str, seed: int) -> None:
    usual = recorded(name, seed)
    evicted = record(CASES[name], seed, max_cached_runs=AT_EVERY_STEP)
    assert [said_by(story) for story in evicted] == [said_by(story) for story in usual]


def said_by(story: Story) -> list[Any]:
    """Give a history without the id of its run: a child that is delivered twice draws one more."""
    first, *rest = story.history
    return [first.type, first.value, *(said(as_event(event)) for event in rest)]


@in_any_case
def test_a_run_that_leaves_memory_after_each_step_has_the_same_history(name: str) -> None:
    same_when_evicted(name, seed=1)


@pytest.mark.laws_full
@in_any_case
@in_many_orders
def test_a_run_that_leaves_memory_after_each_step_has_the_same_history_in_many_orders(name: str, seed: int) -> None:
    same_when_evicted(name, seed)


@in_any_case
def test_a_history_recorded_again_is_the_same(name: str) -> None:
    assert [story.history for story in record(CASES[name], 0)] == [story.history for story in recorded(name, 0)]


def in_one_commit_or_in_many(name: str, moment: float, *, together: bool) -> list[Any]:
    """Let all signals and updates of a case come at one instant: in one turn, or each after what the last one did."""
    case = CASES[name]
    acts = [deed.act for deed in case.deeds]

    async def do_all(engine: Engine, id: str) -> None:
        for act in acts:
            done = asyncio.ensure_future(act(engine, id))
            if not together:
                await asyncio.wait({done})

    (story, *_) = record(replace(case, deeds=(Deed(moment, do_all),)), 1)
    return said_by(story)


@pytest.mark.parametrize("name", ["race", "channel", "two_readers", "chain", "stoppable", "trip_confirmed"])
@pytest.mark.parametrize("moment", [0.5, 2.5])
def test_what_comes_in_one_tick_does_what_it_does_one_by_one(name: str, moment: float) -> None:
    """A tick groups commits, never semantics."""
    together = in_one_commit_or_in_many(name, moment, together=True)

    assert together == in_one_commit_or_in_many(name, moment, together=False)


def test_the_corpus_has_every_workflow_of_the_examples() -> None:
    modules = [importlib.import_module(f"examples.{found.name}") for found in pkgutil.iter_modules(examples.__path__)]
    shown = {workflow.__name__ for module in modules for workflow in getattr(module, "workflows", ())}

    covered = {story.history[0].name for name in CASES for story in recorded(name, 0)}

    assert len(shown) == 6
    assert shown <= covered


def test_the_orders_of_completion_differ_from_seed_to_seed() -> None:
    orders = {
        tuple(event.id for event in recorded("branches", seed)[0].events if event.type == "activity_completed")
        for seed in MANY
    }

    assert len(orders) > 10


def test_some_results_come_in_one_tick() -> None:
    """Two results at one instant are the case in which grouping them could make a difference."""
    moments = [
        (seed, event.at)
        for seed in FEW
        for event in recorded("first_of_several", seed)[0].events
        if event.type == "activity_completed"
    ]

    assert len(set(moments)) < len(moments)
