"""Lines of outputs: whose turn it is."""

import pytest

from holdfast.core.history import Event, EventType
from holdfast.engine.records.outbox import Outgoing, OutgoingKind
from holdfast.engine.runs.effects import Publish
from holdfast.engine.work.lines import Line, Lines

NOW = 100.0


def queued(*names: str, each: int = 1) -> Lines:
    lines = Lines()
    for name in names:
        for number in range(1, each + 1):
            event = Event(EventType.OUTPUT_SENT, 1, str(number), "topic", b"1", {"content_type": "application/json"})
            lines.add(name, Publish(Outgoing("run", number, OutgoingKind.OUTPUT, "", str(number)), event, ""))
    return lines


def names(taken: list[Line]) -> list[str]:
    return [line.workflow_id for line in taken]


def fail(lines: Lines, taken: list[Line], due: float = NOW) -> None:
    for line in taken:
        line.failures += 1
        lines.failed(line, due)


def test_lines_take_turns_and_one_that_has_gone_waits_for_the_others() -> None:
    lines = queued(*(f"r{number}" for number in range(150)), each=2)

    first = lines.take(NOW)
    for line in first:
        lines.left(line)
    second = lines.take(NOW)

    assert names(first) == [f"r{number}" for number in range(100)]
    assert names(second) == [f"r{number}" for number in [*range(100, 150), *range(50)]]


def test_what_has_failed_and_is_always_due_takes_turns_with_what_is_new() -> None:
    lines = queued("bad")
    fail(lines, lines.take(NOW))
    turns = []
    for number in range(6):
        lines.add(f"new-{number}", Publish(Outgoing("run", 1, OutgoingKind.OUTPUT, "", "1"), None, ""))
        turns.append(names(taken := lines.take(NOW)))
        if turns[-1] == ["bad"]:
            fail(lines, taken)
        else:
            for line in taken:
                lines.left(line)

    assert turns == [["bad"], ["new-0", "new-1"], ["bad"], ["new-2", "new-3"], ["bad"], ["new-4", "new-5"]]


def test_what_has_failed_is_not_taken_before_its_time_nor_with_what_is_new() -> None:
    lines = queued("bad", "good")
    bad, good = lines.take(NOW)
    fail(lines, [bad], NOW + 5)
    lines.left(good)

    assert lines.next_due() == NOW + 5
    assert lines.take(NOW + 4.9) == []
    assert lines.take(NOW + 5) == [bad]
    assert lines.next_due() is None


@pytest.mark.parametrize(("doubts", "size"), [(0, 100), (1, 50), (3, 12), (6, 1), (20, 1)])
def test_calls_are_smaller_the_more_doubt_there_is_which_output_they_failed_for(doubts: int, size: int) -> None:
    lines = queued(*(f"r{number}" for number in range(150)))
    for taken in (lines.take(NOW), lines.take(NOW)):
        for line in taken:
            line.doubts = doubts
        fail(lines, taken)

    assert len(lines.take(NOW)) == size


def test_lines_that_are_put_back_are_the_first_again() -> None:
    lines = queued("a", "b", "c")
    taken = lines.take(NOW)
    lines.put_back(taken[1:], NOW)
    lines.left(taken[0])

    assert names(lines.take(NOW)) == ["b", "c"]


def test_the_count_and_what_is_held_follow_what_comes_and_goes() -> None:
    lines = queued("a", each=3)
    lines.add("a", Publish(Outgoing("run", 2, OutgoingKind.OUTPUT, "", "2"), None, ""))
    assert lines.count == 3

    for _ in range(3):
        (line,) = lines.take(NOW)
        lines.left(line)

    assert (lines.count, lines.any_fresh, lines.take(NOW)) == (0, False, [])
