"""Each of the ten modes emits exactly its records: what is cancelled says so, and what is not does not."""

import json
from pathlib import Path

import pytest

from examples.kafka_workflow.cancellation_scopes import (
    MODES,
    SAID,
    SAYS,
    Cancel,
    Request,
    cancel_asked,
    see_through,
    workflows,
)
from holdfast import Delivery, RunStatus, WorkflowContext, workflow
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

URL = "https://example.com/a"
URLS = [URL, "https://example.com/b"]


def said(scopes: Thread, what: str, **record: Anything) -> Emitted:
    return scopes.json(f"temporal-cancellation-scopes-{what}", record)


async def refs(scopes: Thread, what: str) -> list[str]:
    """The refs that the requests of one kind carry, in their order."""
    return [json.loads(value)["ref"] for value in await scopes.on(f"temporal-cancellation-scopes-{what}")]


async def ref(scopes: Thread, what: str) -> str:
    (only,) = await refs(scopes, what)
    return only


def result(scopes: Thread, status: str, **more: Anything) -> Emitted:
    return scopes.json(RESULT, {"status": status, **more})


@pytest.mark.parametrize(
    ("mode", "timer", "status"),
    [("cancelTimer", "timer", "timer-cancelled"), ("cancelTimerAltImpl", "timer-alt", "timer-cancelled-alt")],
)
async def test_a_timer_is_cancelled_in_the_step_that_sets_it(mode: str, timer: str, status: str) -> None:
    async with thread(workflows) as scopes:
        await scopes.new({"mode": mode})

        records = await scopes.emitted()
        assert [each.topic for each in records[:2]] == [SCHEDULER, SCHEDULER]
        address = records[0].key
        set_and_off = [scopes.of(SCHEDULER, "60000", address), scopes.of(SCHEDULER, "0", address)]
        assert records[:2] == set_and_off
        await scopes.emits(*set_and_off, said(scopes, "timer-cancelled", timer=timer), result(scopes, status))


async def test_a_cancelled_post_is_cleaned_up_after() -> None:
    async with thread(workflows) as scopes:
        await scopes.new({"mode": "cleanupAfterCancel", "urls": [URL]})

        posted = {"url": URL, "ref": await ref(scopes, "http-post")}
        undone = [said(scopes, "http-post-cancel", **posted), said(scopes, "cleanup", url=URL)]
        await scopes.emits(said(scopes, "http-post", **posted), *undone, result(scopes, "cleaned-up"))


class TestCancellationFromOutside:
    async def begun(self, scopes: Thread, **more: Anything) -> tuple[dict[str, str], list[Emitted]]:
        await scopes.new({"mode": "externalCancellationCleanup", "urls": [URL], **more})
        posted = {"url": URL, "ref": await ref(scopes, "http-post")}
        first = [said(scopes, "http-post", **posted), said(scopes, "await-cancel", ref="cancel")]
        await scopes.emits(*first)
        return posted, first

    @pytest.mark.parametrize(
        ("given", "data"), [({"data": {"payload": True}}, {"payload": True}), ({}, {"ok": True})], ids=["data", "none"]
    )
    @pytest.mark.parametrize(
        ("cancel", "reason"), [({"reason": "operator requested"}, "operator requested"), ({}, "cancel requested")]
    )
    async def test_it_cleans_up(self, given: Anything, data: Anything, cancel: Anything, reason: str) -> None:
        async with thread(workflows) as scopes:
            posted, first = await self.begun(scopes, **given)

            await scopes.answer("cancel", cancel)

            undone = [said(scopes, "http-post-cancel", **posted), said(scopes, "cleanup", url=URL)]
            end = result(scopes, "cleaned-up-after-external-cancel", reason=reason, data=data)
            await scopes.emits(*first, *undone, end)

    async def test_it_does_nothing_where_the_post_has_gone_through(self) -> None:
        async with thread(workflows) as scopes:
            posted, first = await self.begun(scopes)

            await scopes.answer(posted["ref"], {"value": "done"})
            await scopes.answer("cancel", {"reason": "too late"})

            await scopes.emits(*first, result(scopes, "completed"))

    async def test_it_is_kept_where_it_comes_before_the_start(self) -> None:
        async with thread(workflows) as scopes:
            assert await scopes.answer("cancel", {"reason": "early"}) is Delivery.HELD

            await scopes.new({"mode": "externalCancellationCleanup", "urls": [URL]})

            posted = {"url": URL, "ref": await ref(scopes, "http-post")}
            first = [said(scopes, "http-post", **posted), said(scopes, "await-cancel", ref="cancel")]
            undone = [said(scopes, "http-post-cancel", **posted), said(scopes, "cleanup", url=URL)]
            end = result(scopes, "cleaned-up-after-external-cancel", reason="early", data={"ok": True})
            await scopes.emits(*first, *undone, end)


class TestOneTimeoutForSeveral:
    async def begun(self, scopes: Thread) -> tuple[list[dict[str, str]], list[Emitted]]:
        await scopes.new({"mode": "multipleActivitiesSingleTimeout", "urls": URLS, "timeoutMS": 50})
        asked = [{"url": url, "ref": ref} for url, ref in zip(URLS, await refs(scopes, "http-get"), strict=True)]
        requests = [said(scopes, "http-get", **each) for each in asked]
        first = [*requests, said(scopes, "await-timeout", timeoutMS=50, ref="timeout")]
        await scopes.emits(*first)
        return asked, first

    async def test_it_cancels_all_of_them(self) -> None:
        async with thread(workflows) as scopes:
            asked, first = await self.begun(scopes)

            await scopes.answer("timeout", {"timedOut": True})

            cancelled = [said(scopes, "http-get-cancel", **each) for each in asked]
            await scopes.emits(*first, *cancelled, result(scopes, "timed-out"))

    async def test_it_cancels_only_those_that_have_no_answer(self) -> None:
        async with thread(workflows) as scopes:
            (answered, open_), first = await self.begun(scopes)

            await scopes.answer(answered["ref"], {"value": "a"})
            await scopes.emits(*first)
            await scopes.answer("timeout", {"timedOut": True})

            await scopes.emits(*first, said(scopes, "http-get-cancel", **open_), result(scopes, "timed-out"))

    async def test_it_does_nothing_where_all_are_answered(self) -> None:
        async with thread(workflows) as scopes:
            asked, first = await self.begun(scopes)

            for each in reversed(asked):
                await scopes.answer(each["ref"], {"value": each["url"]})

            await scopes.emits(*first, result(scopes, "completed", values=URLS))

    async def test_an_error_of_one_cancels_the_others_and_is_the_end(self) -> None:
        async with thread(workflows) as scopes:
            (failed, open_), first = await self.begun(scopes)

            await scopes.reject(failed["ref"], "gone")

            await scopes.emits(*first, said(scopes, "http-get-cancel", **open_), scopes.json(ERROR, "gone"))


async def test_what_is_not_cancellable_completes_without_a_cancellation() -> None:
    async with thread(workflows) as scopes:
        await scopes.new({"mode": "nonCancellable", "urls": [URL]})
        asked = {"url": URL, "ref": await ref(scopes, "http-get")}
        request = said(scopes, "http-get", **asked)
        await scopes.emits(request)

        await scopes.answer(asked["ref"], {"value": {"ok": True}})

        await scopes.emits(request, result(scopes, "completed", value={"ok": True}))


@workflow(name="impatient", outputs=[f"{SAYS}-{what}" for what in SAID])
async def impatient(ctx: WorkflowContext, request: Request) -> Cancel:
    """Cancel that mode when somebody asks for an end."""
    cancel: Cancel = await ctx.race(see_through(ctx, request), cancel_asked(ctx))
    return cancel


async def test_who_cancels_what_is_not_cancellable_waits_for_its_answer() -> None:
    async with thread([impatient]) as scopes:
        await scopes.new({"mode": "nonCancellable", "urls": [URL]})
        asked = {"url": URL, "ref": await ref(scopes, "http-get")}
        first = [said(scopes, "http-get", **asked), said(scopes, "await-cancel", ref="cancel")]

        await scopes.answer("cancel", {"reason": "enough"})
        await scopes.emits(*first)
        await scopes.answer(asked["ref"], {"value": {"ok": True}})

        await scopes.emits(*first, scopes.json(RESULT, {"reason": "enough"}))


@pytest.mark.parametrize("order", [("cancel", "reply"), ("reply", "cancel")], ids=" first, then ".join)
async def test_a_cancellation_is_noted_and_the_answer_waited_for(order: tuple[str, str]) -> None:
    async with thread(workflows) as scopes:
        await scopes.new({"mode": "resumeAfterCancellation", "urls": [URL]})
        asked = {"url": URL, "ref": await ref(scopes, "http-get")}
        first = [said(scopes, "http-get", **asked), said(scopes, "await-cancel", ref="cancel")]
        await scopes.emits(*first)
        observed = said(scopes, "cancel-observed", url=URL, reason="stop requested")
        sent = {"cancel": ("cancel", {"reason": "stop requested"}), "reply": (asked["ref"], {"value": "late"})}

        await scopes.answer(*sent[order[0]])
        await scopes.emits(*first, *([observed] if order[0] == "cancel" else []))
        await scopes.answer(*sent[order[1]])

        await scopes.emits(*first, observed, result(scopes, "resumed-after-cancel", value="late"))


async def test_a_callback_resumes_it() -> None:
    async with thread(workflows) as scopes:
        await scopes.new({"mode": "cancellationScopesWithCallbacks"})
        scheduled = said(scopes, "callback-scheduled", ref="callback")
        await scopes.emits(scheduled)

        await scopes.answer("callback", {"ok": True})

        resolved = said(scopes, "callback-resolved", ref="callback")
        await scopes.emits(scheduled, resolved, result(scopes, "callback-resolved"))


async def test_the_first_of_shared_requests_cancels_no_other() -> None:
    async with thread(workflows) as scopes:
        await scopes.new({"mode": "sharedScopes", "urls": URLS})
        requests = [said(scopes, "http-get", url=url, ref=f"shared-get:{n}") for n, url in enumerate(URLS)]
        await scopes.emits(*requests)

        await scopes.answer("shared:first", {"index": 1, "value": "b"})

        winner = {"url": URLS[1], "ref": "shared-get:1", "value": "b"}
        end = result(scopes, "first-completed", winner=winner)
        await scopes.emits(*requests, said(scopes, "shared-winner", **winner), end)


async def test_a_shielded_request_is_left_running() -> None:
    async with thread(workflows) as scopes:
        await scopes.new({"mode": "shieldAwaitedActivity", "urls": [URL]})

        label = f"shielded-get:{URL}"
        end = result(scopes, "cancel-observed-activity-kept-running", shieldedRef=label)
        await scopes.emits(said(scopes, "http-get", url=URL, ref=label), end)


async def test_a_mode_that_there_is_not_starts_nothing() -> None:
    async with thread(workflows) as scopes:
        assert await scopes.new({"mode": "cancelEverything"}) is Delivery.DEAD

        await scopes.emits()


@pytest.mark.parametrize("mode", MODES)
async def test_each_mode_replays(mode: str, tmp_path: Path) -> None:
    answers = {"cancel": {}, "timeout": None, "callback": None, "shared:first": {"index": 0}}
    async with thread(workflows) as scopes:
        await scopes.new({"mode": mode})
        for fixed, answer in answers.items():
            await scopes.answer(fixed, answer)
        for own in await refs(scopes, "http-get"):
            await scopes.answer(own, {"value": None})

        assert await replays(scopes.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED
