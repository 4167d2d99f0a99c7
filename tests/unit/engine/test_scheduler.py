"""The topic workflow-scheduler: timers of addresses, for whoever speaks that protocol."""

import asyncio
import json

import orjson
import pytest

from holdfast import Delivery, Engine, WorkflowContext, workflow
from holdfast.engine.bus import LocalBus
from holdfast.engine.messages.timers import SCHEDULER_TOPIC
from holdfast.patterns import scheduler
from holdfast.ports import Record
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import died, engine_on, on_skipping_loop
from tests.unit.engine.resuming import RESUMING, asks, reasons, resume

ADDRESS = 'trip 1|{"ref":"answer"}'


class Rang:
    """What has reached workflow-resume, and when."""

    def __init__(self) -> None:
        self.bus = LocalBus()
        self.bus.subscribe("workflow-resume", self._note)
        self.records: list[tuple[float, str | None, str]] = []

    def _note(self, record: Record) -> None:
        self.records.append((asyncio.get_running_loop().time(), record.key, record.value.decode()))

    @property
    def values(self) -> list[str]:
        return [value for _, _, value in self.records]


def open_engine(rang: Rang | None = None, store: MemoryStore | None = None, **options: Anything) -> Engine:
    workflows = [scheduler, *RESUMING]
    bus = rang.bus if rang is not None else LocalBus()
    return engine_on(store, **{"workflows": workflows, "publisher": bus, "resume_entry": "asks", **options})


async def tell(engine: Engine, value: str, address: str = ADDRESS, id: str = "") -> Delivery:
    return await engine.deliver(SCHEDULER_TOPIC, address, value.encode(), id=id or None)


async def timers(engine: Engine) -> list[str]:
    """The statuses of all timers that were ever set."""
    return [run.status.value for run in (await engine.list(workflow="workflow-scheduler")).items]


@on_skipping_loop
async def test_a_timer_sends_its_record_to_its_thread_once_its_time_has_come() -> None:
    rang = Rang()
    async with open_engine(rang, dev_replay=True) as engine:
        await resume(engine, "trip 1", "new:1")
        start = asyncio.get_running_loop().time()
        assert await tell(engine, "90000") is Delivery.APPLIED
        await asyncio.sleep(89)
        assert rang.records == []
        await asyncio.sleep(3_600)

    ((at, key, value),) = rang.records
    assert (key, value) == ("trip 1", '{"ref":"answer"}')
    assert 90 <= at - start < 91


@on_skipping_loop
async def test_it_answers_the_ref_whose_address_it_was_given() -> None:
    @workflow(outputs=[SCHEDULER_TOPIC])
    async def waits(ctx: WorkflowContext) -> str:
        timer = ctx.ref("timer")
        ctx.output(SCHEDULER_TOPIC, "1000", key=timer.key)
        await timer
        return "rang"

    async with open_engine(workflows=[scheduler, waits], resume_entry="waits") as engine:
        await resume(engine, "a|b {}", "new:null")
        await engine.settled()
        await asyncio.sleep(2)
        await engine.settled()
        (run,) = (await engine.list(workflow="waits")).items
        assert (await engine.describe(run.workflow_id)).result == "rang"


@on_skipping_loop
async def test_the_newest_record_of_an_address_moves_its_timer() -> None:
    rang = Rang()
    async with open_engine(rang) as engine:
        await resume(engine, "trip 1", "new:3")
        for delay in ("60000", "5000", "600000"):
            await tell(engine, delay)
        await asyncio.sleep(599)
        assert rang.records == []
        await asyncio.sleep(3_600)

    assert len(rang.records) == 1


@on_skipping_loop
async def test_a_timer_that_is_called_off_does_not_ring_and_can_be_set_again() -> None:
    rang = Rang()
    async with open_engine(rang) as engine:
        await resume(engine, "trip 1", "new:3")
        await tell(engine, "5000")
        assert await tell(engine, "0") is Delivery.APPLIED
        await asyncio.sleep(3_600)
        assert rang.records == []
        assert await timers(engine) == ["completed"]

        await tell(engine, "5000")
        await asyncio.sleep(3_600)
        assert len(rang.records) == 1


@pytest.mark.parametrize(
    "value", ["0", "", " ", "null", '"0"', '{"specversion":"1.0","id":"i","source":"s","data":"0"}']
)
@on_skipping_loop
async def test_nothing_is_called_off_where_there_is_no_timer_and_nothing_is_left_of_it(value: str) -> None:
    store = MemoryStore()
    async with open_engine(store=store) as engine:
        assert await tell(engine, value) is Delivery.DROPPED
        assert await timers(engine) == []
        await resume(engine, "trip 1", "new:1")
        await tell(engine, "+0")
        await asyncio.sleep(1)
        assert await tell(engine, value) is Delivery.DROPPED, "it has rung"
        assert await timers(engine) == ["completed"]
        assert await reasons(engine) == []
        assert engine.stats().held == 0


@pytest.mark.parametrize("value", ["+0", '"+0"', '{"specversion":"1.0","id":"i","source":"s","data":"+0"}'])
@on_skipping_loop
async def test_a_timer_of_no_time_rings_at_once(value: str) -> None:
    rang = Rang()
    async with open_engine(rang) as engine:
        await resume(engine, "trip 1", "new:1")
        assert await tell(engine, value) is Delivery.APPLIED
        await asyncio.sleep(0.5)
        await engine.settled()

    assert rang.values == ['{"ref":"answer"}']


@pytest.mark.parametrize(
    "value", ["1500", " 1500\n", "+1500", '"1500"', '{"specversion":"1.0","id":"i","source":"s","data":1500}']
)
@on_skipping_loop
async def test_milliseconds_in_each_of_their_forms(value: str) -> None:
    rang = Rang()
    async with open_engine(rang) as engine:
        await resume(engine, "trip 1", "new:1")
        assert await tell(engine, value) is Delivery.APPLIED
        await asyncio.sleep(1.4)
        assert rang.records == []
        await asyncio.sleep(5)

    assert len(rang.records) == 1


@pytest.mark.parametrize(
    ("key", "record"),
    [
        ("a|b", '{"ref":"x"}'),
        ("a|{b", '{"ref":"x"}'),
        ("|", '{"ref":"x"}'),
        ('{"k":1}|', '{"ref":"x"}'),
        ("a", '{"ref":"x|y","value":{"text":"p|q"}}'),
        ("a", 'new:{"text":"p|{}"}'),
        ("a|b", "init:null"),
    ],
)
@on_skipping_loop
async def test_an_address_may_hold_its_separator_on_both_sides(key: str, record: str) -> None:
    rang = Rang()
    async with open_engine(rang) as engine:
        assert await tell(engine, "10", f"{key}|{record}") is Delivery.APPLIED
        await asyncio.sleep(5)

    assert [(each[1], each[2]) for each in rang.records] == [(key, record)]


@pytest.mark.parametrize(
    ("value", "address", "reason"),
    [
        ("soon", ADDRESS, "cannot be read"),
        ("-1", ADDRESS, "a timer needs milliseconds as decimal text, not '-1'"),
        ("1.5", ADDRESS, "not '1.5'"),
        ("true", ADDRESS, "not 'True'"),
        ("[5]", ADDRESS, "not '[5]'"),
        ('"5 s"', ADDRESS, "not '5 s'"),
        ("99999999999999999", ADDRESS, "needs milliseconds as decimal text"),
        ("999999999999999", ADDRESS, "between 0 seconds and 100 years"),
        ("5", "no address", "is no address"),
        ("5", '|{"ref":"x"}', "is no address"),
        ("5", "k|{}", "is no address"),
        ("5", 'k|{"ref"', "is no address"),
        ("5", "", "is no address"),
        ("5", "x" * 1_025 + '|{"ref":"x"}', "thread key has 1,025"),
        ('{"specversion":"2.0","data":"5"}', ADDRESS, "of which only 1.x is known"),
    ],
)
@on_skipping_loop
async def test_what_is_no_timer_is_dead_with_its_reason(value: str, address: str, reason: str) -> None:
    async with open_engine() as engine:
        assert await tell(engine, value, address) is Delivery.DEAD
        (found,) = await reasons(engine)
        assert await timers(engine) == []

    assert reason in found


@on_skipping_loop
async def test_a_hundred_years_are_not_too_long_to_be_shown() -> None:
    async with open_engine() as engine:
        assert await tell(engine, str(100 * 365 * 24 * 3_600 * 1_000)) is Delivery.APPLIED
        (run,) = (await engine.list()).items
        assert (await engine.describe(run.workflow_id)).status == "running"


@on_skipping_loop
async def test_an_event_may_name_the_address_itself() -> None:
    rang = Rang()
    record = {"specversion": "1.0", "id": "i", "source": "s", "partitionkey": ADDRESS, "data": "10"}
    async with open_engine(rang) as engine:
        assert await engine.deliver(SCHEDULER_TOPIC, None, orjson.dumps(record)) is Delivery.APPLIED
        await asyncio.sleep(5)

    assert [key for _, key, _ in rang.records] == ["trip 1"]


# The same record again, and other processes.


@on_skipping_loop
async def test_a_record_that_comes_again_moves_nothing_and_sets_nothing_anew() -> None:
    rang = Rang()
    async with open_engine(rang) as engine:
        await resume(engine, "trip 1", "new:3")
        await tell(engine, "60000", id="m1")
        await tell(engine, "5000", id="m2")
        await tell(engine, "60000", id="m1")
        await asyncio.sleep(10)
        assert len(rang.records) == 1, "the newest is still the second"
        for name, value in (("m1", "60000"), ("m2", "5000")):
            assert await tell(engine, value, id=name) is Delivery.APPLIED
        await asyncio.sleep(3_600)

    assert len(rang.records) == 1


@pytest.mark.parametrize("end", ["clean", "killed"])
@on_skipping_loop
async def test_a_timer_outlives_the_process_that_took_it(end: str) -> None:
    store, rang = MemoryStore(), Rang()
    engine = open_engine(rang, store)
    await engine.open()
    await resume(engine, "trip 1", "new:1", "n")
    await tell(engine, "60000", id="m1")
    await tell(engine, "60000", 'trip 1|{"ref":"other"}', id="m2")
    await (engine.close() if end == "clean" else died(engine))

    async with open_engine(rang, store) as engine:
        assert await tell(engine, "0", 'trip 1|{"ref":"other"}', id="m3") is Delivery.APPLIED
        await asyncio.sleep(3_600)
        await engine.settled()

    assert list(dict.fromkeys(rang.values)) == ['{"ref":"answer"}']


@on_skipping_loop
async def test_set_and_called_off_at_once_in_the_order_in_which_they_came() -> None:
    rang = Rang()
    async with open_engine(rang) as engine:
        await asyncio.gather(tell(engine, "5000"), tell(engine, "0"))
        await asyncio.sleep(60)
        assert rang.records == []
        await asyncio.gather(tell(engine, "0"), tell(engine, "5000"))
        await asyncio.sleep(60)

    assert len(rang.records) == 1


@on_skipping_loop
async def test_many_addresses_have_a_timer_each() -> None:
    rang = Rang()
    async with open_engine(rang) as engine:
        for number in range(100):
            await tell(engine, "1000", f"k{number}|{json.dumps({'ref': 'r'})}")
        for number in range(0, 100, 2):
            await tell(engine, "0", f"k{number}|{json.dumps({'ref': 'r'})}")
        await asyncio.sleep(60)

    assert sorted(str(key) for _, key, _ in rang.records) == sorted(f"k{number}" for number in range(1, 100, 2))


@on_skipping_loop
async def test_an_engine_that_does_not_know_the_workflow_does_not_know_the_topic() -> None:
    async with engine_on(workflows=[asks]) as engine:
        assert await tell(engine, "5") is Delivery.DEAD
        (reason,) = await reasons(engine)

    assert "topic 'workflow-scheduler' is not mapped" in reason
