"""The real servers of the stores, each in a folder and on a port of this machine alone; none is started yet."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.conftest import require
from tests.integration.processes import Server, free_port, http_status

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "tools" / "store-servers" / "build"
EVENT_KEY = "key-of-the-tests"
"""What the reference server of Inngest's protocol wants to be shown."""
CLUSTER_ID = "aG9sZGZhc3QtdGVzdHMtMQ"

NATS_CONFIGURATION = """\
listen: "127.0.0.1:{port}"
jetstream {{
  store_dir: "{folder}/jetstream"
  sync_interval: always
}}
"""

KAFKA_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
# One broker alone: topics of its own cannot be replicated, and need no more than one partition.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
# A broker that was killed is taken for dead soon, so that it is let in again soon.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
# A topic that asks for it is compacted within a second or two.
log.cleaner.backoff.ms=500
log.cleaner.min.cleanable.ratio=0.01
log.cleaner.dedupe.buffer.size=16777216
log.segment.delete.delay.ms=1000
"""


def nats_server(folder: Path) -> tuple[Server, int]:
    """A NATS server with JetStream that has every write on the disk before it answers."""
    program = os.environ.get("NATS_SERVER") or str(_fetched("nats-server"))
    require(shutil.which(program), "nats-server: run make store-servers, or name it in NATS_SERVER")
    port = free_port()
    configuration = folder / "nats.conf"
    configuration.write_text(NATS_CONFIGURATION.format(port=port, folder=folder), encoding="utf-8")
    command = [program, "--config", str(configuration)]
    return Server(command, folder / "nats.log", lambda: _has_jetstream(port)), port


def kafka_server(folder: Path) -> tuple[Server, int]:
    """A Kafka broker that is its own controller (KRaft)."""
    libs = Path(os.environ.get("KAFKA_LIBS") or _fetched("kafka"))
    require(any(libs.glob("kafka_*.jar")), "Kafka: run make store-servers, or name a folder of its jars in KAFKA_LIBS")
    java = shutil.which("java")
    require(java, "Java 17 or newer (Debian: openjdk-17-jre-headless)")
    assert java
    port, controller = free_port(), free_port()
    properties = folder / "server.properties"
    properties.write_text(KAFKA_PROPERTIES.format(port=port, controller=controller, folder=folder), encoding="utf-8")
    run = [java, "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{libs}/*"]
    storage = ["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config", str(properties)]
    subprocess.run([*run, *storage], check=True, capture_output=True, cwd=folder)
    return Server([*run, "kafka.Kafka", str(properties)], folder / "kafka.log", lambda: _has_leaders(port)), port


def inngest_server(folder: Path) -> tuple[Server, int]:
    """The reference server of Inngest's protocol; it lets in who shows `EVENT_KEY`."""
    port = free_port()
    options = {"database": str(folder / "inngest.db"), "port": str(port), "event-key": EVENT_KEY}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "holdfast.testing.inngest_server", *words]
    environment = {"PYTHONPATH": str(ROOT)}
    return Server(command, folder / "inngest.log", lambda: http_status(port, "/"), environment=environment), port


def _fetched(name: str) -> Path:
    """Where ``make store-servers`` puts something."""
    where = subprocess.run([str(BUILD), "--where"], check=True, capture_output=True, text=True).stdout.strip()
    return Path(where) / name


def _has_jetstream(port: int) -> bool:
    """Whether a NATS server greets whoever comes, and says that it keeps streams."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return b'"jetstream":true' in connection.recv(4096)
    except OSError:
        return False


def _has_leaders(port: int) -> bool:
    """Whether a broker is part of its cluster and leads all the partitions there are: an open port says less."""
    client = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
    try:
        metadata = client.list_topics(timeout=2)
    except KafkaException:
        return False
    partitions = (part for topic in metadata.topics.values() for part in topic.partitions.values())
    return bool(metadata.brokers) and all(part.leader >= 0 for part in partitions)
