"""A lock has one holder at a time, grants in the order it was asked, and is not held up by one who never returns."""

import json
from pathlib import Path

from examples.kafka_workflow.mutex import mutex, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, RESULT, RESUME, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

FREE: dict[str, Anything] = {
    "lockId": "db",
    "holder": None,
    "releaseRef": None,
    "timeoutRef": None,
    "timeoutKey": None,
    "queue": [],
}


def state(lock: Thread, **changes: Anything) -> Emitted:
    return lock.json("temporal-mutex-state", FREE | changes)


def acquired(lock: Thread, owner: str) -> Emitted:
    return lock.json("temporal-mutex-lock-acquired", {"lockId": "db", "owner": owner}, owner)


def queued(lock: Thread, owner: str, position: int) -> Emitted:
    return lock.json("temporal-mutex-lock-requested", {"lockId": "db", "owner": owner, "position": position}, owner)


async def acquire(lock: Thread, owner: str, **options: Anything) -> None:
    await lock.answer("main", {"type": "acquire", "owner": owner, **options})


async def release(lock: Thread, owner: str) -> None:
    await lock.answer("main", {"type": "release", "owner": owner})


async def query(lock: Thread) -> None:
    await lock.answer("main", {"type": "query"})


class Contender:
    """One who needs the resource, and every record that follows from it.

    Attributes:
        thread: The contender's thread.
        owner: Its key, and who holds the lock for it.
        timeout: For how many milliseconds.
    """

    def __init__(self, thread: Thread, owner: str, timeout: int = 1000) -> None:
        self.thread = Thread(thread.env, owner)
        self.owner = owner
        self.timeout = timeout

    async def start(self) -> None:
        options = {"owner": self.owner, "sleepForMS": 25, "lockTimeoutMS": self.timeout}
        await self.thread.new({"workflow": "oneAtATimeWorkflow", "resourceId": "db"} | options)

    async def finish(self) -> None:
        await self.thread.answer(await self.critical_section(), {"ok": True})

    async def critical_section(self) -> str:
        """The ref that ends its work."""
        found = [json.loads(each) for each in await self.thread.on("temporal-mutex-critical-section")]
        (ref,) = [each["ref"] for each in found if each["owner"] == self.owner]
        assert "critical-section" in ref
        return str(ref)

    async def asks(self) -> Emitted:
        """What it says to the lock."""
        request = {
            "type": "acquire",
            "owner": self.owner,
            "replyThread": self.owner,
            "replyRef": await self.reply_ref(),
            "releaseRef": await self.release_ref(),
            "timeoutMS": self.timeout,
        }
        return self.thread.json(RESUME, {"ref": "main", "value": request}, "db")

    async def gets_in(self) -> list[Emitted]:
        """What is said when it is granted the lock: by the lock to all, to the scheduler and to it, and by it."""
        release = await self.release_ref()
        granted = {"lockId": "db", "owner": self.owner, "releaseRef": release}
        held = {"resourceId": "db", "owner": self.owner}
        work = held | {"sleepForMS": 25, "ref": await self.critical_section()}
        return [
            acquired(self.thread, self.owner),
            self.thread.of(SCHEDULER, str(self.timeout), await self.timer()),
            self.thread.json(RESUME, {"ref": await self.reply_ref(), "value": granted}),
            self.thread.json("temporal-mutex-notify-locked", held | {"releaseRef": release}),
            self.thread.json("temporal-mutex-critical-section", work),
        ]

    async def gets_out(self) -> list[Emitted]:
        """What is said when its work is done."""
        held = {"resourceId": "db", "owner": self.owner}
        given_back = {"ref": await self.release_ref(), "value": {"owner": self.owner}}
        return [
            self.thread.json(RESUME, given_back, "db"),
            self.thread.json("temporal-mutex-notify-unlocked", held),
            self.thread.json(RESULT, held),
        ]

    async def timer(self) -> str:
        """The address of its lock's timer."""
        return f'db|{{"ref":"timeout:{await self.release_ref()}"}}'

    async def timer_called_off(self) -> Emitted:
        return self.thread.of(SCHEDULER, "0", await self.timer())

    async def release_ref(self) -> str:
        return f"{self.owner}:release:{await self.reply_ref()}"

    async def reply_ref(self) -> str:
        said = [json.loads(each).get("value", {}) for each in await self.thread.on(RESUME)]
        (ref,) = [each["replyRef"] for each in said if each.get("type") == "acquire" and each["owner"] == self.owner]
        assert "lock-acquired" in ref
        return str(ref)


async def test_a_lock_serializes_its_owners_and_answers_queries(tmp_path: Path) -> None:
    async with thread(workflows, key="db") as lock:
        await lock.new({"lockId": "db"})
        await acquire(lock, "alice")
        await acquire(lock, "bob")
        await query(lock)
        await release(lock, "charlie")
        await release(lock, "alice")
        await query(lock)
        await lock.answer("main", {"type": "shutdown"})

        held_by_bob = {"holder": "bob", "releaseRef": "release:db:bob"}
        await lock.emits(
            acquired(lock, "alice"),
            queued(lock, "bob", 1),
            state(lock, holder="alice", releaseRef="release:db:alice", queue=[{"owner": "bob"}]),
            lock.json(
                "temporal-mutex-invalid-release", {"lockId": "db", "owner": "charlie", "holder": "alice"}, "charlie"
            ),
            acquired(lock, "bob"),
            state(lock, **held_by_bob),
            lock.json(RESULT, FREE | held_by_bob),
        )
        assert await replays(lock.env, mutex, "db", tmp_path) is RunStatus.COMPLETED


async def test_a_lock_is_granted_in_the_order_it_was_asked_for() -> None:
    async with thread(workflows, key="db") as lock:
        owners = ["dora", "alice", "carl", "bob"]
        await lock.new({"lockId": "db"})
        for owner in owners:
            await acquire(lock, owner)
        for owner in owners:
            await release(lock, owner)
        await query(lock)

        assert [json.loads(each)["owner"] for each in await lock.on("temporal-mutex-lock-acquired")] == owners
        await lock.emits(
            *(acquired(lock, owner) for owner in owners),
            *(queued(lock, owner, position) for position, owner in enumerate(owners[1:], start=1)),
            state(lock),
        )


async def test_a_release_that_nobody_may_make_changes_nothing() -> None:
    async with thread(workflows, key="db") as lock:
        await lock.new({"lockId": "db"})
        await release(lock, "alice")
        await acquire(lock, "alice", releaseRef="mine")
        await lock.answer("mine", {"owner": "mallory"})
        await query(lock)

        await lock.emits(
            lock.json("temporal-mutex-invalid-release", {"lockId": "db", "owner": "alice", "holder": None}, "alice"),
            acquired(lock, "alice"),
            lock.json(
                "temporal-mutex-invalid-release", {"lockId": "db", "owner": "mallory", "holder": "alice"}, "mallory"
            ),
            state(lock, holder="alice", releaseRef="mine"),
        )


async def test_the_release_ref_gives_the_lock_back_and_calls_the_timer_off() -> None:
    async with thread(workflows, key="db") as lock:
        await lock.new({"lockId": "db"})
        await acquire(lock, "alice", replyThread="other", releaseRef="mine", timeoutMS=50)
        await query(lock)
        await lock.answer("mine")
        await query(lock)

        timer = 'db|{"ref":"timeout:mine"}'
        await lock.emits(
            acquired(lock, "alice"),
            lock.of(SCHEDULER, "50", timer),
            state(lock, holder="alice", releaseRef="mine", timeoutRef="timeout:mine", timeoutKey=timer),
            lock.of(SCHEDULER, "0", timer),
            state(lock),
        )


async def test_a_timer_that_fires_after_the_release_takes_the_lock_from_nobody() -> None:
    async with thread(workflows, key="db") as lock:
        await lock.new({"lockId": "db"})
        await acquire(lock, "alice", releaseRef="hers", timeoutMS=50)
        await acquire(lock, "bob", releaseRef="his")
        await release(lock, "alice")

        late = await lock.fire('db|{"ref":"timeout:hers"}')
        await query(lock)

        assert late is Delivery.DROPPED
        await lock.emits(
            acquired(lock, "alice"),
            lock.of(SCHEDULER, "50", 'db|{"ref":"timeout:hers"}'),
            queued(lock, "bob", 1),
            lock.of(SCHEDULER, "0", 'db|{"ref":"timeout:hers"}'),
            acquired(lock, "bob"),
            state(lock, holder="bob", releaseRef="his"),
        )


async def test_commands_that_come_before_the_lock_exists_wait_for_it() -> None:
    async with thread(workflows, key="db") as lock:
        await acquire(lock, "alice")
        await acquire(lock, "bob")
        await lock.emits()

        await lock.new({"lockId": "db"})

        await lock.emits(acquired(lock, "alice"), queued(lock, "bob", 1))


async def test_contenders_run_the_protected_section_one_after_the_other(tmp_path: Path) -> None:
    async with thread(workflows, key="db") as lock:
        alice, bob = Contender(lock, "alice"), Contender(lock, "bob")
        await alice.start()
        await bob.start()

        first = [await alice.asks(), *await alice.gets_in(), await bob.asks(), queued(lock, "bob", 1)]
        await lock.emits(*first)

        await alice.finish()
        second = [*await alice.gets_out(), await alice.timer_called_off(), *await bob.gets_in()]
        await lock.emits(*first, *second)

        await bob.finish()
        await query(lock)
        third = [*await bob.gets_out(), await bob.timer_called_off(), state(lock)]
        await lock.emits(*first, *second, *third)
        assert await replays(lock.env, mutex, "alice", tmp_path) is RunStatus.COMPLETED


async def test_a_lock_that_is_held_for_too_long_goes_to_the_next(tmp_path: Path) -> None:
    async with thread(workflows, key="db") as lock:
        alice, bob = Contender(lock, "alice", timeout=50), Contender(lock, "bob", timeout=60)
        await alice.start()
        await bob.start()
        await lock.fire(await alice.timer())

        first = [await alice.asks(), *await alice.gets_in(), await bob.asks(), queued(lock, "bob", 1)]
        await lock.emits(*first, *await bob.gets_in())

        await alice.finish()  # too late: the lock is no longer hers to give back
        await query(lock)
        held_by_bob = {
            "holder": "bob",
            "releaseRef": await bob.release_ref(),
            "timeoutRef": f"timeout:{await bob.release_ref()}",
            "timeoutKey": await bob.timer(),
        }
        await lock.emits(*first, *await bob.gets_in(), *await alice.gets_out(), state(lock, **held_by_bob))
        assert await replays(lock.env, mutex, "bob", tmp_path) is RunStatus.RUNNING


async def test_a_contender_whose_section_fails_holds_the_lock_until_its_time_is_over() -> None:
    async with thread(workflows, key="db") as lock:
        alice = Contender(lock, "alice")
        await alice.start()
        await alice.thread.reject(await alice.critical_section(), "disk full")
        failed = [await alice.asks(), *await alice.gets_in(), lock.json(ERROR, "disk full", "alice")]
        await lock.emits(*failed)

        await lock.fire(await alice.timer())
        await query(lock)

        await lock.emits(*failed, state(lock))


async def test_a_hold_of_no_time_at_all_is_over_at_once() -> None:
    async with thread(workflows, key="db") as lock:
        await lock.new({"lockId": "db"})
        await acquire(lock, "alice", releaseRef="mine", timeoutMS=0)

        await lock.emits(acquired(lock, "alice"), lock.of(SCHEDULER, "+0", 'db|{"ref":"timeout:mine"}'))


async def test_a_release_that_is_sent_twice_ends_no_later_hold_that_has_a_release_ref_of_its_own() -> None:
    async with thread(workflows, key="db") as lock:
        await lock.new({"lockId": "db"})
        await acquire(lock, "alice", releaseRef="first")
        await lock.answer("first", {"owner": "alice"})
        await lock.answer("first", {"owner": "alice"})
        await acquire(lock, "alice", releaseRef="second")
        await query(lock)

        held = state(lock, holder="alice", releaseRef="second")
        await lock.emits(acquired(lock, "alice"), acquired(lock, "alice"), held)
