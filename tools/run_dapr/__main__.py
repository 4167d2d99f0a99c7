"""Run what `dapr.yaml` describes without the Dapr CLI, and what stands behind it, until Ctrl-C.

Redis (or the one that ``REDIS_URL`` names), placement, scheduler, daprd and the service, in this order, on this
machine's own address; logs and data are in ``var/dapr``. Run it in the folder of `dapr.yaml`: `make run-dapr`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from tools.run_dapr.lock import LockedError, hold
from tools.run_dapr.plan import plan
from tools.run_dapr.programs import MissingProgramError
from tools.run_dapr.resources import RedisUrlError, reach_redis
from tools.run_dapr.run_file import BadSettingError, read_run_file
from tools.run_dapr.supervisor import Supervisor

FOLDER: Final = Path("var", "dapr")


def main() -> int:
    """Run all of it; the exit status is 0 after Ctrl-C, and 1 where one of the processes did not serve or ended."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        lock = hold(FOLDER / "lock")
        for name in ("redis", "scheduler"):
            (FOLDER / name).mkdir(exist_ok=True)
        reach_redis(os.environ.get("REDIS_URL", ""))
        programs = plan(read_run_file(Path("dapr.yaml"), os.environ), os.environ, FOLDER)
    except (BadSettingError, LockedError, MissingProgramError, RedisUrlError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    supervisor = Supervisor(FOLDER, lock)
    try:
        if all(supervisor.start(program) for program in programs):
            print("Ctrl-C ends all of them", flush=True)
            supervisor.watch()
    finally:
        status = supervisor.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
