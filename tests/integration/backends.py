"""Redis and PostgreSQL of this machine, in a folder and on a port of their own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from tests.conftest import require
from tests.integration.processes import Server, free_port, listens

POSTGRES_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def redis_server(folder: Path) -> tuple[Server, int]:
    """A Redis that has every write on the disk before it answers; it is not started yet."""
    program = shutil.which("redis-server")
    require(program, "redis-server (Debian: redis-server)")
    assert program
    port = free_port()
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
    }
    command = [program, *(word for name, value in options.items() for word in (f"--{name}", value))]
    return Server(command, folder / "redis.log", lambda: listens(port)), port


def postgres_server(folder: Path) -> tuple[Server, int]:
    """A PostgreSQL with a database ``postgres`` of user ``postgres``; it is not started yet.

    It refuses to be root, so root runs it as the user that Debian made for it, or as nobody.
    """
    tools = shutil.which("initdb"), shutil.which("postgres")
    if not all(tools) and POSTGRES_FOLDERS:
        tools = str(POSTGRES_FOLDERS[-1] / "initdb"), str(POSTGRES_FOLDERS[-1] / "postgres")
    initdb, program = tools
    require(initdb and program, "PostgreSQL (Debian: postgresql)")
    assert initdb
    assert program
    uid = _server_uid()
    # Not by subprocess's own `user=`: that forks, and what gRPC does in a fork can crash it.
    change_user = [] if uid is None else ["setpriv", f"--reuid={uid}", "--clear-groups", "--"]
    data = folder / "data"
    data.mkdir()
    if uid is not None:
        for path in (folder, data):
            os.chown(path, uid, -1)
    subprocess.run(
        [
            *change_user,
            initdb,
            "-D",
            str(data),
            "--username=postgres",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        ],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    port = free_port()
    settings = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": str(data)}
    command = [
        *change_user,
        program,
        "-D",
        str(data),
        *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
    ]
    ready = [str(Path(initdb).resolve().with_name("pg_isready")), "-h", "127.0.0.1", "-p", str(port), "-q"]
    log = folder / "postgres.log"
    return Server(command, log, lambda: subprocess.run(ready, check=False).returncode == 0), port


def _server_uid() -> int | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise AssertionError("there is no user to run PostgreSQL as")
