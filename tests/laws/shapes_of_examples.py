"""The examples as part of the corpus: each of their workflows, with the ends that it can come to."""

import json
from pathlib import Path
from typing import Any

from examples import data_pipeline, expense, order_approval, support_agent, trip_booking
from tests.laws.case import Case, Deed, cancel, case, signal, update
from tests.play import Anything, Code

_DATA = Path(__file__).parents[2] / "examples" / "data"


def read(name: str, **changes: object) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((_DATA / f"{name}.json").read_text(encoding="utf-8"))
    return value | changes


def trip(name: str, *deeds: Deed, **changes: object) -> Case:
    return of(trip_booking.trip_booking, trip_booking.activities, name, read("trip", **changes), *deeds)


def order(name: str, *deeds: Deed, **changes: object) -> Case:
    given = read("order", remind_every=30, decide_within=100, **changes)
    return of(order_approval.order_approval, order_approval.activities, name, given, *deeds)


def claim(name: str, *deeds: Deed) -> Case:
    return of(expense.expense, expense.activities, name, read("expense", decide_within=60), *deeds)


def ticket(name: str, *deeds: Deed, **changes: object) -> Case:
    given = read("ticket", decide_within=60, **changes)
    return of(support_agent.support_agent, support_agent.activities, name, given, *deeds)


def of(workflow: Code, activities: tuple[Code, ...], name: str, value: Anything, *deeds: Deed) -> Case:
    return case(workflow, *deeds, name=name, input=value, activities=activities)


def pipeline(name: str, *deeds: Deed) -> Case:
    given = read("pipeline", shards=3, at_a_time=2)
    given["readings"] = [{"sensor": f"S{n}", "celsius": "n/a" if n == 4 else str(18 + n)} for n in range(10)]
    return case(
        data_pipeline.data_pipeline,
        *deeds,
        name=name,
        input=given,
        helpers=(data_pipeline.clean_shard,),
        activities=data_pipeline.activities,
    )


YES, NO = {"approved": True, "by": "sales"}, {"approved": False, "by": "sales"}

CASES = (
    trip("trip_confirmed", signal(2, "flight_confirmed", {"seat": "14C"})),
    trip("trip_refused", signal(20, "flight_confirmed", {"confirmed": False, "reason": "overbooked"})),
    trip("trip_without_an_answer", answer_within=30),
    trip("trip_cancelled", cancel(4, "the traveller is ill"), cancel(7), cancel(9)),
    trip("trip_without_a_room", nights=21),
    order("order_approved", update(5, "quantity", 7), update(6, "quantity", 700), signal(70, "approval", YES)),
    order("order_declined", signal(1, "approval", YES), card="declined"),
    order("order_rejected", signal(31, "approval", NO), update(32, "quantity", 2)),
    order("order_expired", signal(200, "approval", YES)),
    order("order_cancelled", cancel(32)),
    claim("expense_approved", signal(1, "decision", {"type": "approve", "by": "finance"})),
    claim("expense_rejected", signal(1, "decision", {"type": "reject", "by": "finance"})),
    claim("expense_without_a_decision"),
    ticket("ticket_without_a_decision"),
    ticket("ticket_cancelled", cancel(5)),
    ticket("ticket_paid_at_once", text="I want my money back for A1002"),
    ticket("ticket_handed_over", cancel(90), turns=2),
    pipeline("pipeline"),
    pipeline("pipeline_cancelled", cancel(2)),
)
