"""A reader who follows a page to the letter, in a checkout of their own."""

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.docs.compare import Comparison
from tests.docs.markdown import ROOT, Block, Command, read_blocks, read_commands
from tests.docs.shell import Shell
from tests.integration.processes import free_port

ADDRESS = "127.0.0.1:8000"
SIDECAR = "127.0.0.1:3500"
SERVE = re.compile(r"([A-Z_]+=\S+ )*(make run|make run-dapr|holdfast serve)")
LOOKS = re.compile(r"(?!.*\s-(d|X)\s)curl |cat |grep |holdfast workflow (show|query|list|history) ", re.DOTALL)
SECONDS = 60
SNIPPET = """\
import faulthandler, runpy
faulthandler.dump_traceback_later(30, exit=True)  # a snippet that hangs says where
runpy.run_path("snippet.py", run_name="__main__")
"""


class Reader:
    """Types every command, saves every file and runs every snippet of a page, in order.

    The checkout is a folder of links to this one, so that no page leaves anything behind, and the service gets a port
    that is free; so does its sidecar. A command that serves goes on in the background, as in a second terminal.
    """

    def __init__(self, page: Path, folder: Path, tools: Mapping[str, str]) -> None:
        """Sit down with a page.

        Args:
            page: To be followed.
            folder: The checkout.
            tools: What the reader has set in the environment: where tools are.
        """
        self.page = page
        self.folder = folder
        self.tools = tools
        self.address = f"127.0.0.1:{free_port()}"
        self.sidecar = f"127.0.0.1:{free_port()}"
        self.served = 0
        self.comparison = Comparison()
        for entry in ROOT.iterdir():
            if entry.name not in {"var", ".venv"}:
                (folder / entry.name).symlink_to(entry)
        (folder / ".venv").symlink_to(sys.prefix)

    def follow(self) -> None:
        """Do what the page says.

        Raises:
            AssertionError: Something else comes of it than the page shows.
        """
        blocks = read_blocks(self.page)
        with Shell(self.folder, self.environment()) as shell:
            for block, following in zip(blocks, [*blocks[1:], None], strict=True):
                if block.language == "console":
                    for command in read_commands(block):
                        self.type(shell, command)
                elif block.language == "python" and block.file:
                    (self.where(shell) / block.file).write_text(block.text, encoding="utf-8")
                elif block.language == "python":
                    self.run(shell, block, following)

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return {
            "PATH": path,
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            "HOLDFAST_ADDRESS": self.address,
            **(self.beside() if self.tools else {}),
            "HOLDFAST_LOG_FORMAT": "console",  # as on a terminal
            # Everything is installed: `make` need not look.
            "BASH_FUNC_make%%": '() { command make -o .venv/.service-installed -o .venv/.dev-installed "$@"; }',
        }

    def beside(self) -> dict[str, str]:
        """What a reader who has the Dapr runtime needs besides: others have no sidecar, and nothing that looks so."""
        return {"DAPR_HTTP_PORT": self.sidecar.rpartition(":")[2], "DAPR_GRPC_PORT": str(free_port()), **self.tools}

    def type(self, shell: Shell, command: Command) -> None:
        """Type a command. One that only looks is typed again while it shows something else: a reader is not so fast."""
        text = command.text.replace(ADDRESS, self.address).replace(SIDECAR, self.sidecar)
        serves = SERVE.fullmatch(text)
        look: Callable[[], str] = partial(shell.run, text)
        if serves:
            self.served += 1
            log = self.folder / f"served-{self.served}.log"
            log.touch()
            shell.run(f"{text} >{log} 2>&1 &")
            look = log.read_text
        end = time.monotonic() + SECONDS
        while found := self.differences(command.output, look()):
            again = (serves or LOOKS.match(text)) and time.monotonic() < end
            assert again, f"{self.page.relative_to(ROOT)}:{command.line}\n{found}"
            time.sleep(0.1)

    def run(self, shell: Shell, block: Block, following: Block | None) -> None:
        (self.where(shell) / "snippet.py").write_text(block.text, encoding="utf-8")
        shown = following.text.splitlines() if following is not None and following.language == "text" else []
        found = self.differences(shown, shell.run(f"PYTHONPATH=. python -W error -c {shlex.quote(SNIPPET)}"))
        assert not found, f"{self.page.relative_to(ROOT)}:{block.line}\n{found}"

    def differences(self, shown: list[str], printed: str) -> str:
        printed = printed.replace(self.address, ADDRESS).replace(self.sidecar, SIDECAR)
        printed = printed.replace(str(self.folder), "...")
        return self.comparison.differences(shown, printed)

    @staticmethod
    def where(shell: Shell) -> Path:
        return Path(shell.run("pwd"))
