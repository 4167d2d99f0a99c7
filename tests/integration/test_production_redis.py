"""The components of the production overlay on a Redis as they want it: TLS, and a user with no more than its rights."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from holdfast import Engine, WorkflowContext, activity
from holdfast.stores.dapr import DaprStore
from tests.conftest import require
from tests.deployment.manifests import ROOT, Manifest, of_kind, overlay
from tests.integration.application import Application
from tests.integration.conftest import StartSidecar
from tests.integration.processes import Server, free_port, listens, until
from tests.integration.shipped import ShippedSidecar
from tests.integration.sidecar import StateComponent

pytestmark = pytest.mark.integration

PASSWORD = "of-holdfast"
NOTHING = b"+OK\r\n*0\r\n+OK\r\n"
RIGHTS = re.compile(r"^# +ACL SETUSER holdfast on >\S+ (.+)$", re.MULTILINE)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine that speaks for itself, and its key."""
    require(shutil.which("openssl"), "openssl")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=redis"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return cert, key


def rights() -> str:
    """What the overlay says that the user needs."""
    text = (ROOT / "k8s" / "overlays" / "production" / "components.yaml").read_text(encoding="utf-8")
    (found,) = RIGHTS.findall(text)
    return str(found)


def for_a_laptop(component: Manifest, port: int) -> Manifest:
    """Take the address and the password from here instead of the cluster; all else stays."""
    for item in component["spec"]["metadata"]:
        if item["name"] == "redisHost":
            item["value"] = f"127.0.0.1:{port}"
        if "secretKeyRef" in item:
            item["secretKeyRef"] = {"name": "REDIS_PASSWORD", "key": "REDIS_PASSWORD"}
    return component | {"auth": {"secretStore": "secretstore"}}


@pytest.fixture
def secure_redis(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A Redis that speaks TLS to one user alone: its port, and the certificate to trust."""
    program = shutil.which("redis-server")
    require(program, "redis-server (Debian: redis-server)")
    cert, key = certificate(tmp_path)
    port = free_port()
    users = tmp_path / "users.acl"
    lines = ["user default off", f"user holdfast on >{PASSWORD} {rights()}", f"user auditor on >{PASSWORD} +acl"]
    users.write_text("\n".join([*lines, ""]), encoding="ascii")
    options = f"--port 0 --tls-port {port} --bind 127.0.0.1 --tls-cert-file {cert} --tls-key-file {key}"
    command = [str(program), *options.split(), "--tls-auth-clients", "no", "--aclfile", str(users), "--save", ""]
    server = Server(command, tmp_path / "redis.log", lambda: listens(port))
    server.start()
    yield port, cert
    server.stop()


@pytest.fixture
def sidecar(tmp_path: Path, secure_redis: tuple[int, Path], application: Application) -> Iterator[ShippedSidecar]:
    port, cert = secure_redis
    folder = tmp_path / "components"
    folder.mkdir()
    for component in of_kind(overlay("production"), "Component"):
        text = yaml.safe_dump(for_a_laptop(component, port))
        (folder / f"{component['metadata']['name']}.yaml").write_text(text, encoding="utf-8")
    sidecar = ShippedSidecar(
        tmp_path,
        "dapr/subscriptions",
        resources=[folder],
        environment={"REDIS_PASSWORD": PASSWORD, "SSL_CERT_FILE": str(cert)},
        app_port=application.server_port,
    )
    sidecar.start()
    yield sidecar
    sidecar.kill()


def refused(port: int, cert: Path) -> bytes:
    """What Redis has refused to any user, as it writes it: ``*0`` is an empty list."""
    context = ssl.create_default_context(cafile=cert)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(f"AUTH auditor {PASSWORD}\r\nACL LOG\r\nQUIT\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@activity
async def double(number: int) -> int:
    return 2 * number


async def doubles(ctx: WorkflowContext, number: int) -> int:
    return await ctx.execute_activity(double, number)


async def test_the_user_has_the_rights_that_runs_need(sidecar: ShippedSidecar, secure_redis: tuple[int, Path]) -> None:
    for _ in range(2):  # the second time there are documents to read, and to delete
        async with Engine(DaprStore(address=sidecar.address), workflows=[doubles], activities=[double]) as engine:
            assert await engine.execute(doubles, 21) == 42
            await engine.start(doubles, 1, id="purged")
            await engine.handle("purged").result(timeout=30)
            await engine.purge("purged")

    assert refused(*secure_redis) == NOTHING


def test_the_user_has_the_rights_that_signals_need(
    sidecar: ShippedSidecar, secure_redis: tuple[int, Path], application: Application, start_sidecar: StartSidecar
) -> None:
    port, cert = secure_redis
    broker = {"redisHost": f"127.0.0.1:{port}", "redisUsername": "holdfast", "redisPassword": PASSWORD}
    component = StateComponent("pubsub", "pubsub.redis", broker | {"enableTLS": "true"})
    other = start_sidecar(component, app_id="shop", environment={"SSL_CERT_FILE": str(cert)})
    until(lambda: requests.get(f"{sidecar.url}/healthz", timeout=10).ok, "the sidecar has found the application")

    for number in range(10):
        topic = f"http://127.0.0.1:{other.http_port}/v1.0/publish/pubsub/workflow-signals"
        requests.post(topic, json=number, timeout=10).raise_for_status()

    until(lambda: len(application.taken) >= 10, "every message was taken")
    assert sorted(event["data"] for event in application.taken) == list(range(10))
    assert refused(*secure_redis) == NOTHING
