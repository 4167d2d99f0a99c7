"""A purchase is confirmed or called off, by whichever comes first, and tells how it stands meanwhile."""

from pathlib import Path

from examples.kafka_workflow.nextjs_ecommerce_oneclick import CANCELED, CHECKOUT, STATE, one_click_buy, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays

KEY = "oneclick-thread"
TIMER = f'{KEY}|{{"ref":"main","value":{{"type":"timeout"}}}}'


async def begun(buy: Thread) -> Emitted:
    await buy.new({"itemId": "sku-1", "confirmationWindowMS": 50})
    waits = buy.of(SCHEDULER, "50", TIMER)
    await buy.emits(waits)
    return waits


def purchase(state: str) -> dict[str, str]:
    return {"itemId": "sku-1", "purchaseState": f"PURCHASE_{state}"}


async def test_a_purchase_that_is_pending_says_so() -> None:
    async with thread(workflows, key=KEY) as buy:
        waits = await begun(buy)

        await buy.answer("main", {"type": "query"})
        await buy.answer("main", {"type": "dance"})
        await buy.answer("main", {"type": "query"})

        pending = buy.json(STATE, purchase("PENDING"))
        await buy.emits(waits, pending, pending)


async def test_a_purchase_is_called_off_in_time(tmp_path: Path) -> None:
    async with thread(workflows, key=KEY) as buy:
        waits = await begun(buy)

        await buy.answer("main", {"type": "cancelPurchase"})

        canceled = purchase("CANCELED")
        ended = [buy.of(SCHEDULER, "0", TIMER), buy.json(CANCELED, canceled), buy.json(RESULT, canceled)]
        await buy.emits(waits, *ended)
        assert await buy.fire(TIMER) is Delivery.DEAD
        await buy.emits(waits, *ended)
        assert await replays(buy.env, one_click_buy, KEY, tmp_path) is RunStatus.COMPLETED


async def test_a_purchase_is_confirmed_when_the_time_is_over(tmp_path: Path) -> None:
    async with thread(workflows, key=KEY) as buy:
        waits = await begun(buy)

        await buy.fire(TIMER)

        confirmed = purchase("CONFIRMED")
        await buy.emits(waits, buy.json(CHECKOUT, confirmed), buy.json(RESULT, confirmed))
        assert await buy.answer("main", {"type": "cancelPurchase"}) is Delivery.DEAD
        assert await replays(buy.env, one_click_buy, KEY, tmp_path) is RunStatus.COMPLETED


async def test_without_a_window_a_purchase_can_be_called_off_for_a_moment() -> None:
    async with thread(workflows, key=KEY) as buy:
        await buy.new({"itemId": "sku-1"})

        await buy.emits(buy.of(SCHEDULER, "200", TIMER))


async def test_a_buyer_may_call_off_before_the_purchase_has_begun() -> None:
    async with thread(workflows, key=KEY) as buy:
        assert await buy.answer("main", {"type": "cancelPurchase"}) is Delivery.HELD

        await buy.new({"itemId": "sku-1", "confirmationWindowMS": 50})

        canceled = purchase("CANCELED")
        timers = [buy.of(SCHEDULER, delay, TIMER) for delay in ("50", "0")]
        await buy.emits(*timers, buy.json(CANCELED, canceled), buy.json(RESULT, canceled))
