"""What a service has made of its customers' runs, held against what it had promised them, and against the ledger."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import requests

from tests.chaos.customers import Customers


def check(url: str, customers: Customers, ledger: Path) -> dict[str, int]:
    """Check every run that was promised, and give some figures."""
    assert not customers.refusals, customers.refusals[:5]
    attempts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for line in ledger.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        attempts[entry["key"]][entry["attempt"]] += 1
    assert all(times == 1 for numbers in attempts.values() for times in numbers.values()), "an attempt ran twice"
    activities = interruptions = 0
    for workflow_id, promise in customers.promises.items():
        if promise.started:
            done = check_run(url, workflow_id, int(workflow_id.rpartition("-")[2]), attempts)
            activities += done
    interruptions = sum(max(numbers) - 1 for numbers in attempts.values())
    return {
        "runs": len(customers.promises),
        "activities": activities,
        "ledger": sum(sum(numbers.values()) for numbers in attempts.values()),
        "attempts past the first": interruptions,
    }


def check_run(url: str, workflow_id: str, number: int, attempts: dict[str, Counter[int]]) -> int:
    """Check one run: its end, its history, and that each of its activities stands in the ledger."""
    run = requests.get(f"{url}/v1/runs/{workflow_id}", timeout=30).json()
    assert run["status"] == "completed", run
    sent = {"from": number}
    assert run["result"] == {
        "first": [0, 1, 2],
        "left": sent,
        "both": [number, number],
        "child": 2 * number,
        "right": sent,
        "extra": 0,
    }
    return check_history(url, workflow_id, run["run_id"], attempts)


def check_history(url: str, workflow_id: str, run_id: str, attempts: dict[str, Counter[int]]) -> int:
    events: list[dict[str, Any]] = requests.get(f"{url}/v1/runs/{workflow_id}/history", timeout=30).json()["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    completed = Counter(event["id"] for event in events if event["type"] == "activity_completed")
    started = Counter(event["id"] for event in events if event["type"] == "activity_started")
    assert completed == started
    assert set(completed.values()) == {1}
    for command_id in completed:
        assert attempts.get(f"{workflow_id}/{run_id}/{command_id}"), f"{workflow_id} {command_id}: never ran"
    ended = [event["type"] for event in events if event["type"].startswith("workflow_")]
    assert ended == ["workflow_started", "workflow_completed"]
    return len(completed)
