"""Each message gets its one answer, in order, also those that come while another waits for the greeting service."""

import json
from pathlib import Path

import pytest

from examples.kafka_workflow.message_introduction import workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

SERVICE = "temporal-message-introduction-greeting-service"
HELLO = "مرحبا بالعالم"


async def tell(greeter: Thread, type: str, **more: Anything) -> Delivery:
    return await greeter.answer("main", {"type": type, **more})


async def use_service(greeter: Thread, language: str, reply: str) -> Delivery:
    return await tell(greeter, "setLanguageUsingActivity", language=language, reply=reply)


async def service_ref(greeter: Thread) -> str:
    """The ref of the last request to the greeting service."""
    *_, request = await greeter.on(SERVICE)
    ref: str = json.loads(request)["ref"]
    return ref


def replied(greeter: Thread, reply: str, **said: Anything) -> Emitted:
    return greeter.json("temporal-message-introduction-reply", {"reply": reply, **said})


def requested(greeter: Thread, language: str, ref: str) -> Emitted:
    return greeter.json(SERVICE, {"language": language, "ref": ref})


async def test_it_answers_questions_and_changes_until_it_is_approved(tmp_path: Path) -> None:
    async with thread(workflows) as greeter:
        await greeter.new({})
        await greeter.emits()

        await tell(greeter, "getLanguages", includeUnsupported=False, reply="supported")
        await tell(greeter, "setLanguage", language="CHINESE", reply="set-1")
        await tell(greeter, "setLanguage", language="PORTUGUESE", reply="set-2")
        await use_service(greeter, "ARABIC", "set-3")
        ref = await service_ref(greeter)
        before = [
            replied(greeter, "supported", value=["CHINESE", "ENGLISH"]),
            replied(greeter, "set-1", value="ENGLISH"),
            replied(greeter, "set-2", error="PORTUGUESE is not supported"),
            requested(greeter, "ARABIC", ref),
        ]
        await greeter.emits(*before)
        await greeter.answer(ref, {"greeting": HELLO})
        await tell(greeter, "getLanguage", reply="current")
        await tell(greeter, "approve", name="test-approver")

        after = [replied(greeter, "set-3", value="CHINESE"), replied(greeter, "current", value="ARABIC")]
        await greeter.emits(*before, *after, greeter.json(RESULT, HELLO))
        assert await replays(greeter.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_all_languages_are_told_where_unsupported_ones_count_too() -> None:
    async with thread(workflows) as greeter:
        await greeter.new({})

        await tell(greeter, "getLanguages", includeUnsupported=True, reply="all")

        languages = ["ARABIC", "CHINESE", "ENGLISH", "FRENCH", "HINDI", "PORTUGUESE", "SPANISH"]
        await greeter.emits(replied(greeter, "all", value=languages))


async def test_messages_that_come_while_the_service_is_asked_are_taken_afterwards_in_their_order(
    tmp_path: Path,
) -> None:
    async with thread(workflows) as greeter:
        await greeter.new({})
        await use_service(greeter, "ARABIC", "slow")
        ref = await service_ref(greeter)

        assert await tell(greeter, "getLanguage", reply="1") is Delivery.APPLIED
        await tell(greeter, "setLanguage", language="CHINESE", reply="2")
        await tell(greeter, "getLanguage", reply="3")
        await tell(greeter, "approve", name="test-approver")
        request = requested(greeter, "ARABIC", ref)
        await greeter.emits(request)
        await greeter.answer(ref, {"greeting": HELLO})

        replies = [
            replied(greeter, "slow", value="ENGLISH"),
            replied(greeter, "1", value="ARABIC"),
            replied(greeter, "2", value="ARABIC"),
            replied(greeter, "3", value="CHINESE"),
        ]
        records = [request, *replies, greeter.json(RESULT, "你好，世界")]  # noqa: RUF001 - the comma is Chinese too
        await greeter.emits(*records)
        assert await greeter.emitted() == records
        assert await replays(greeter.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


@pytest.mark.parametrize("nothing", [{}, {"greeting": None}, {"greeting": ""}], ids=["missing", "null", "empty"])
async def test_a_language_that_the_service_does_not_know_is_refused_and_changes_nothing(nothing: Anything) -> None:
    async with thread(workflows) as greeter:
        await greeter.new({})
        await use_service(greeter, "KLINGON", "set")
        ref = await service_ref(greeter)

        await greeter.answer(ref, nothing)
        await tell(greeter, "approve")

        refused = replied(greeter, "set", error="KLINGON is not supported by the greeting service")
        await greeter.emits(requested(greeter, "KLINGON", ref), refused, greeter.json(RESULT, "Hello, world"))


async def test_the_service_is_asked_once_for_each_language() -> None:
    async with thread(workflows) as greeter:
        await greeter.new({})
        await use_service(greeter, "CHINESE", "1")
        await use_service(greeter, "ARABIC", "2")
        ref = await service_ref(greeter)
        await greeter.answer(ref, {"greeting": HELLO})

        await use_service(greeter, "ENGLISH", "3")
        await use_service(greeter, "ARABIC", "4")

        said = zip("1234", ("ENGLISH", "CHINESE", "ARABIC", "ENGLISH"), strict=True)
        replies = [replied(greeter, reply, value=language) for reply, language in said]
        await greeter.emits(requested(greeter, "ARABIC", ref), *replies)


async def test_an_error_of_the_service_is_the_end() -> None:
    async with thread(workflows) as greeter:
        await greeter.new({})
        await use_service(greeter, "ARABIC", "set")
        ref = await service_ref(greeter)

        await greeter.reject(ref, "the service is away")

        await greeter.emits(requested(greeter, "ARABIC", ref), greeter.json(ERROR, "the service is away"))


@pytest.mark.parametrize("odd", [{"type": "sing"}, {"type": "getLanguage"}, {"type": "setLanguage"}, "approve", None])
async def test_what_is_no_command_changes_nothing(odd: Anything) -> None:
    async with thread(workflows) as greeter:
        await greeter.new({})

        await greeter.answer("main", odd)
        await tell(greeter, "getLanguage", reply="after")

        await greeter.emits(replied(greeter, "after", value="ENGLISH"))
