"""The manager of a cluster: commands change its state one after another, though each asks other services on its way.

All commands come by one ref, ``main``, to one loop, which takes the next one when it is done with the last. So no
handler sees what another has half done, and none needs a lock. Commands that come meanwhile wait.

A command that cannot be obeyed ends the workflow with an error.

Started by a record of ``workflow-resume``: ``new:{"nodeCount": 25}``, and then moved on by such as
``{"ref": "main", "value": {"type": "allocateNodesToJob", "jobName": "training", "numNodes": 3}}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from holdfast import WorkflowContext, workflow

PREFIX = "temporal-safe-message-handlers"
STATUS = f"{PREFIX}-status"
REQUESTS = [f"{PREFIX}-{what}" for what in ("start-cluster", "shutdown-cluster", "assign-nodes", "unassign-nodes")]


@dataclass(frozen=True)
class Settings:
    """How large the cluster is."""

    nodeCount: int = 25  # noqa: N815 - the field of the record


class Cluster:
    """A cluster, and which job has which of its nodes."""

    def __init__(self, ctx: WorkflowContext, size: int) -> None:
        self.ctx = ctx
        self.size = size
        self.state: Literal["NOT_STARTED", "STARTED"] = "NOT_STARTED"
        self.jobs: list[str | None] = []
        self.most_assigned = 0

    async def start(self) -> None:
        """Have the nodes started."""
        if self.state != "NOT_STARTED":
            raise RuntimeError(f"Cannot start cluster in state {self.state}")
        await self.request("start-cluster")
        self.jobs = [None] * self.size
        self.state = "STARTED"
        self.publish_status()

    async def shut_down(self) -> None:
        """Have the nodes stopped."""
        if self.state != "STARTED":
            raise RuntimeError(f"Cannot shutdown cluster in state {self.state}")
        await self.request("shutdown-cluster")
        self.publish_status()

    async def allocate(self, job: str, count: int) -> None:
        """Give nodes to a job, unless it has some."""
        if count <= 0:
            raise ValueError(f"numNodes must be positive (got {count})")
        if not job:
            raise ValueError("jobName cannot be empty")
        if self.state == "NOT_STARTED":
            raise RuntimeError("Cannot assign nodes to a job: Cluster is not started")
        if not self.nodes_of(job):
            free = self.nodes_of(None)
            if count > len(free):
                raise RuntimeError(f"Cannot assign {count} nodes; have only {len(free)} available")
            await self.move("assign-nodes", job, free[:count], to=job)
        self.publish_status()

    async def delete(self, job: str) -> None:
        """Take its nodes from a job."""
        if self.state == "NOT_STARTED":
            raise RuntimeError("Cannot delete job: Cluster is not started")
        await self.move("unassign-nodes", job, self.nodes_of(job), to=None)
        self.publish_status()

    def nodes_of(self, job: str | None) -> list[int]:
        """List the nodes of a job, or those that are free."""
        return [node for node, owner in enumerate(self.jobs) if owner == job]

    async def move(self, what: str, job: str, nodes: list[int], *, to: str | None) -> None:
        """Have nodes assigned or unassigned, and note it once that is done."""
        await self.request(what, jobName=job, nodes=[str(node) for node in nodes])
        for node in nodes:
            self.jobs[node] = to
        self.most_assigned = max(self.most_assigned, self.assigned)

    async def request(self, what: str, **payload: str | list[str]) -> None:
        """Ask a service for something, and wait until it is done."""
        done = self.ctx.ref()
        self.ctx.output_json(f"{PREFIX}-{what}", {**payload, "ref": done.id})
        await done

    @property
    def assigned(self) -> int:
        """How many nodes have a job."""
        return len(self.jobs) - len(self.nodes_of(None))

    def summary(self) -> dict[str, int]:
        """Say how many nodes have a job, and how many had at most."""
        return {"maxAssignedNodes": self.most_assigned, "assignedNodes": self.assigned}

    def publish_status(self) -> None:
        """Tell whoever listens."""
        self.ctx.output_json(STATUS, self.summary())


@workflow(name="safe-message-handlers", outputs=[*REQUESTS, STATUS])
async def manage_cluster(ctx: WorkflowContext, settings: Settings) -> dict[str, Any]:
    """Obey commands, one at a time, until the cluster is shut down."""
    cluster = Cluster(ctx, settings.nodeCount)
    while True:
        match await ctx.ref_id("main"):
            case {"type": "startCluster"}:
                await cluster.start()
            case {"type": "allocateNodesToJob", "jobName": str(job), "numNodes": int(count)}:
                await cluster.allocate(job, count)
            case {"type": "deleteJob", "jobName": str(job)}:
                await cluster.delete(job)
            case {"type": "getClusterStatus"}:
                cluster.publish_status()
            case {"type": "shutdownCluster"}:
                await cluster.shut_down()
                return cluster.summary()


workflows = [manage_cluster]
