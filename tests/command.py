"""The `vmwb` command as a user has it, with a library and a runtime folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

#: A cold boot may take this long on a busy machine of two cores.
BOOT_SECONDS = 400
#: Anything else the command does.
COMMAND_SECONDS = 60
SHELL = "can't access tty"


class Vmwb:
    """Runs the installed command; every call returns when the command has ended."""

    def __init__(self, home: Path) -> None:
        self.library = home / "library"
        runtime = home / "run"
        runtime.mkdir(mode=0o700)
        kept = {
            name: os.environ[name]
            for name in ("PATH", "LANG", "LC_ALL", "TMPDIR")
            if name in os.environ
        }
        self.environment = kept | {
            "HOME": str(home),
            "VMWB_LIBRARY": str(self.library),
            "XDG_RUNTIME_DIR": str(runtime),
        }

    def run(
        self, *arguments: str | Path, seconds: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run `vmwb` with the arguments and without standard input."""
        return subprocess.run(
            [Path(sys.executable).with_name("vmwb"), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            # A signal to the group of whoever runs the tests is not meant for the machine in them.
            start_new_session=True,
        )

    def ok(self, *arguments: str | Path, seconds: float = COMMAND_SECONDS) -> str:
        """Run `vmwb`, insist on success, and return its standard output."""
        done = self.run(*arguments, seconds=seconds)
        assert done.returncode == 0, (
            f"vmwb {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout

    def wait(self, name: str, *condition: str, seconds: float) -> None:
        """Wait until the condition holds for the machine, and insist that it does in time."""
        self.ok("wait", name, *condition, "--timeout", str(seconds), seconds=seconds + 10)

    def state(self, name: str) -> str:
        """Return the machine's power state."""
        return str(json.loads(self.ok("show", name, "--json"))["state"])

    def kill_worker(self, name: str) -> None:
        """End the machine's worker as the kernel ends a process that ran out of memory."""
        os.kill(int(json.loads(self.ok("show", name, "--json"))["pid"]), signal.SIGKILL)

    def stop_all(self) -> None:
        """Switch off every machine that a test left running."""
        for machine in json.loads(self.run("list", "--json").stdout or "[]"):
            if machine["state"] not in {"off", "suspended", "crashed"}:
                self.run("stop", machine["name"], "--hard")
