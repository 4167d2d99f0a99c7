"""W3C trace contexts: what is one, what is none, and how the next one in a chain follows."""

import pytest

from holdfast.core.trace import Trace

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


def test_a_traceparent_is_read_with_its_state() -> None:
    alone, both = Trace.read(PARENT), Trace.read(f"{PARENT} congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")

    assert alone == Trace(PARENT)
    assert alone.text == PARENT
    assert alone.details() == {"traceparent": PARENT}
    assert both is not None
    assert both.id == TRACE_ID
    assert both.state == "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
    assert both.text == f"{PARENT} {both.state}"
    assert both.details() == {"traceparent": PARENT, "tracestate": both.state}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        PARENT.upper(),
        f" {PARENT}",
        f"{PARENT}\n",
        PARENT[:-1],
        f"{PARENT}0",
        f"{PARENT}-more",  # version 00 has nothing behind its flags
        f"ff{PARENT[2:]}",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID}-00f067aa0ba902b7-0g",
        f"00-{TRACE_ID[:-1]}٣-00f067aa0ba902b7-01",  # a digit, but not one of these
        None,
        7,
        3.5,
        True,
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ["00"],
        {"traceparent": PARENT},
    ],
)
def test_what_is_no_trace_context_is_none_and_no_error(text: object) -> None:
    assert Trace.read(text) is None


@pytest.mark.parametrize(("given", "read"), [("01", "01"), ("03", "01"), ("02", "00"), ("00", "00")])
def test_a_newer_version_is_read_as_the_first(given: str, read: str) -> None:
    newer = f"cc-{TRACE_ID}-00f067aa0ba902b7-{given}"

    assert Trace.read(newer) == Trace.read(f"{newer}-what-the-future-brings") == Trace(f"{PARENT[:-2]}{read}")


@pytest.mark.parametrize("state", ["\x00", "ä=1", "a=1\nb=2", " a=1", "x" * 513])
def test_a_state_that_cannot_be_sent_on_is_left_out(state: str) -> None:
    assert Trace.read(f"{PARENT} {state}") == Trace(PARENT)


def test_the_trace_that_follows_is_a_new_one_linked_to_the_old() -> None:
    first = Trace(PARENT, "congo=t61rcWkgMzE")

    second, third = first.following("run-2"), first.following("run-3")
    unsampled = Trace(f"{PARENT[:-2]}00").following("run-2")

    assert Trace.read(second.parent) == Trace(second.parent)
    assert len({first.id, second.id, third.id}) == 3
    assert (second.link, second.state) == (PARENT, "")
    assert second == first.following("run-2")
    assert second.following("run-4").link == second.parent
    assert (second.parent[-2:], unsampled.parent[-2:]) == ("01", "00")
