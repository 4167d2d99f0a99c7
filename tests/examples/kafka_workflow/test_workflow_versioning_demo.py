"""Which version may take over from which, and how runs hear that they are to be upgraded."""

from pathlib import Path

import pytest

from examples.kafka_workflow.workflow_versioning_demo import (
    Resource,
    Start,
    UpgradeRequest,
    Version,
    can_reuse,
    handoff,
    ignores_patch_difference,
    needs_minor_upgrade,
    require_upgrade,
    upgrade_manager,
    workflows,
)
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import RESULT, RESUME, thread
from tests.examples.kit import replays
from tests.play import Anything

V1_1 = {"major": 1, "minor": 1, "patch": 0}


def version(text: str) -> Version:
    major, minor, patch = map(int, text.split("."))
    return Version(major=major, minor=minor, patch=patch)


@pytest.mark.parametrize(
    ("current", "target", "reuse", "upgrade", "same"),
    [
        ("1.0.0", "1.1.0", True, True, False),
        ("1.1.0", "1.1.9", True, False, True),
        ("1.1.9", "1.1.0", True, False, True),
        ("1.1.0", "1.0.0", True, False, False),
        ("1.1.0", "2.0.0", False, False, False),
        ("1.0.0", "2.1.0", False, False, False),
    ],
)
def test_the_numbers_decide_who_may_take_over(
    current: str, target: str, *, reuse: bool, upgrade: bool, same: bool
) -> None:
    assert can_reuse(version(current), version(target)) is reuse
    assert needs_minor_upgrade(version(current), version(target)) is upgrade
    assert ignores_patch_difference(version(current), version(target)) is same


def test_a_handoff_says_from_which_version_to_which() -> None:
    start = Start[dict[str, str]].model_validate(
        {
            "workflow": "trip-booking-versioned",
            "version": {"major": 1, "minor": 0, "patch": 0},
            "kind": "start",
            "bookingId": "booking-1",
            "payload": {"customer": "alice"},
        }
    )
    hotel = Resource.of("booking-1", "hotel", "booking-1:hotel:v1")

    handed = handoff(start, version("1.0.0"), version("1.1.0"), start.payload, [hotel])

    assert handed.model_dump(by_alias=True) == {
        "workflow": "trip-booking-versioned",
        "version": V1_1,
        "kind": "handoff",
        "bookingId": "booking-1",
        "payload": {
            "fromVersion": {"major": 1, "minor": 0, "patch": 0},
            "toVersion": V1_1,
            "input": {"customer": "alice"},
            "booked": [
                {
                    "kind": "hotel",
                    "reservationId": "booking-1:hotel:v1",
                    "releaseId": "booking-1:hotel:booking-1:hotel:v1:release",
                }
            ],
        },
    }


def test_a_request_to_what_is_no_newer_minor_version_is_refused() -> None:
    def ask(target: str) -> UpgradeRequest:
        return require_upgrade(version("1.1.0"), UpgradeRequest(target_version=version(target)))

    assert ask("1.2.7").target_version == version("1.2.7")
    with pytest.raises(ValueError, match=r"^cannot reuse 1\.1\.0 for 2\.0\.0$"):
        ask("2.0.0")
    with pytest.raises(ValueError, match=r"^target 1\.1\.9 does not require a minor upgrade$"):
        ask("1.1.9")


def managed(*targets: tuple[str, str]) -> Anything:
    command = {
        "workflow": "trip-booking-versioned",
        "targetVersion": V1_1,
        "targets": [{"bookingId": booking, "ref": ref} for booking, ref in targets],
    }
    return {"workflow": "versioning-upgrade-manager", "command": command}


async def test_the_manager_tells_each_run_once(tmp_path: Path) -> None:
    async with thread(workflows, key="upgrade-1") as manager:
        await manager.new(
            managed(("booking-1", "versioning-upgrade"), ("", "main"), ("cart-1", "main"), ("booking-2", ""))
            | {"more": "is left alone"}
        )

        told = []
        for booking, ref in (("booking-1", "versioning-upgrade"), ("cart-1", "main")):
            dispatched = {"bookingId": booking, "ref": ref, "targetVersion": V1_1}
            told += [
                manager.json("versioning-upgrade-dispatch", dispatched, booking),
                manager.json(RESUME, {"ref": ref, "value": {"targetVersion": V1_1}}, booking),
            ]
        result = {"targetVersion": V1_1, "dispatched": ["booking-1", "cart-1"], "skipped": []}
        await manager.emits(*told, manager.json(RESULT, result))
        assert await replays(manager.env, upgrade_manager, "upgrade-1", tmp_path) is RunStatus.COMPLETED


async def test_a_target_that_is_named_twice_is_told_once() -> None:
    async with thread(workflows, key="upgrade-1") as manager:
        await manager.new(managed(("cart-1", "main"), ("cart-1", "main"), ("cart-1", "other")))

        assert len(await manager.on("versioning-upgrade-dispatch")) == 2
        assert len(await manager.on(RESUME)) == 2
        assert await manager.on(RESULT) == [
            '{"targetVersion":{"major":1,"minor":1,"patch":0},"dispatched":["cart-1","cart-1"],"skipped":[]}'
        ]


async def test_another_workflow_is_not_the_manager() -> None:
    async with thread(workflows, key="upgrade-1") as manager:
        delivery = await manager.new(managed() | {"workflow": "another"})

        assert delivery is Delivery.DEAD
        await manager.emits()
