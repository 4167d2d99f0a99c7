"""A cluster obeys one command after another, also those that come while it waits for a service."""

import json
from pathlib import Path
from typing import Any

import pytest

from examples.kafka_workflow.safe_message_handlers import STATUS, manage_cluster, workflows
from holdfast import RunStatus
from tests.examples.kafka_workflow.kit import ERROR, RESULT, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

PREFIX = "temporal-safe-message-handlers"
JOB = {"jobName": "job-a", "nodes": ["0", "1", "2"]}


class Cluster:
    """A cluster, and every record that it should have emitted so far."""

    def __init__(self, thread: Thread) -> None:
        self.thread = thread
        self.expected: list[Emitted] = []

    async def is_told(self, kind: str, **more: Anything) -> None:
        await self.thread.answer("main", {"type": kind, **more})

    async def asks_for(self, what: str, **payload: Anything) -> str:
        """Check that a service has been asked, and nobody else; gives the ref that it answers."""
        topic = f"{PREFIX}-{what}"
        ref: str = json.loads((await self.thread.on(topic))[-1])["ref"]
        self.expected.append(self.thread.json(topic, {**payload, "ref": ref}))
        await self.emits()
        return ref

    async def has(self, what: str, most: int, assigned: int, **payload: Anything) -> None:
        """Let a service do what it is asked for; the cluster tells how many nodes have a job after that."""
        ref = await self.asks_for(what, **payload)
        await self.thread.send(json.dumps({"ref": ref}))
        self.tells(most, assigned)

    async def is_started(self) -> None:
        await self.is_told("startCluster")
        await self.has("start-cluster", 0, 0)
        await self.emits()

    def tells(self, most: int, assigned: int, topic: str = STATUS) -> None:
        self.expected.append(self.thread.json(topic, {"maxAssignedNodes": most, "assignedNodes": assigned}))

    async def fails(self, error: str) -> None:
        self.expected.append(self.thread.json(ERROR, error))
        await self.emits()

    async def emits(self) -> None:
        await self.thread.emits(*self.expected)


async def test_commands_are_obeyed_one_by_one(tmp_path: Path) -> None:
    async with thread(workflows) as records:
        cluster = Cluster(records)
        await records.new({})
        await cluster.emits()
        await cluster.is_started()

        await cluster.is_told("allocateNodesToJob", jobName="job-a", numNodes=3)
        await cluster.has("assign-nodes", 3, 3, **JOB)
        await cluster.is_told("allocateNodesToJob", jobName="job-a", numNodes=7)
        cluster.tells(3, 3)
        await cluster.is_told("getClusterStatus")
        cluster.tells(3, 3)
        await cluster.emits()
        await cluster.is_told("deleteJob", jobName="job-a")
        await cluster.has("unassign-nodes", 3, 0, **JOB)
        await cluster.is_told("shutdownCluster")
        await cluster.has("shutdown-cluster", 3, 0)

        cluster.tells(3, 0, RESULT)
        await cluster.emits()
        assert await replays(records.env, manage_cluster, records.key, tmp_path) is RunStatus.COMPLETED


async def test_commands_that_come_while_a_service_is_asked_wait_for_their_turn() -> None:
    async with thread(workflows) as records:
        cluster = Cluster(records)
        await records.new({})

        await cluster.is_told("startCluster")
        await cluster.is_told("allocateNodesToJob", jobName="job-a", numNodes=3)
        await cluster.is_told("allocateNodesToJob", jobName="job-b", numNodes=1)
        await cluster.is_told("deleteJob", jobName="job-a")
        await cluster.is_told("allocateNodesToJob", jobName="job-c", numNodes=2)
        await cluster.is_told("shutdownCluster")

        await cluster.has("start-cluster", 0, 0)
        await cluster.has("assign-nodes", 3, 3, **JOB)
        await cluster.has("assign-nodes", 4, 4, jobName="job-b", nodes=["3"])
        await cluster.has("unassign-nodes", 4, 1, **JOB)
        await cluster.has("assign-nodes", 4, 3, jobName="job-c", nodes=["0", "1"])
        await cluster.has("shutdown-cluster", 4, 3)
        cluster.tells(4, 3, RESULT)
        await cluster.emits()


async def test_a_job_without_nodes_is_deleted_as_any_other() -> None:
    async with thread(workflows) as records:
        cluster = Cluster(records)
        await records.new({"nodeCount": 1})
        await cluster.is_started()

        await cluster.is_told("deleteJob", jobName="job-z")

        await cluster.has("unassign-nodes", 0, 0, jobName="job-z", nodes=[])
        await cluster.emits()


async def test_more_nodes_than_there_are_end_the_workflow() -> None:
    async with thread(workflows) as records:
        cluster = Cluster(records)
        await records.new({})
        await cluster.is_started()

        await cluster.is_told("allocateNodesToJob", jobName="job-a", numNodes=30)

        await cluster.fails("Cannot assign 30 nodes; have only 25 available")


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ({"type": "startCluster"}, "Cannot start cluster in state STARTED"),
        (
            {"type": "allocateNodesToJob", "jobName": "job-a", "numNodes": 0},
            "numNodes must be positive (got 0)",
        ),
        ({"type": "allocateNodesToJob", "jobName": "", "numNodes": 1}, "jobName cannot be empty"),
    ],
)
async def test_what_makes_no_sense_ends_the_workflow(command: dict[str, Any], error: str) -> None:
    async with thread(workflows) as records:
        cluster = Cluster(records)
        await records.new({})
        await cluster.is_started()

        await records.answer("main", command)

        await cluster.fails(error)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ({"type": "shutdownCluster"}, "Cannot shutdown cluster in state NOT_STARTED"),
        (
            {"type": "allocateNodesToJob", "jobName": "job-a", "numNodes": 1},
            "Cannot assign nodes to a job: Cluster is not started",
        ),
        ({"type": "deleteJob", "jobName": "job-a"}, "Cannot delete job: Cluster is not started"),
    ],
)
async def test_a_cluster_that_has_not_started_can_only_be_started(command: dict[str, Any], error: str) -> None:
    async with thread(workflows) as records:
        await records.new({})

        await records.answer("main", command)

        await records.emits(records.json(ERROR, error))
