"""The evil worker: tries every way out of the sandbox from a thread of one role, each in a process.

Run as `python evil.py ROLE BUNDLE OTHER`; prints a JSON object: attempt to what came of it, which
is `out`, `trapped` (the process was ended by SIGSYS, and what it said), or the error's name. `free`
is a thread that is not locked in.
"""

from __future__ import annotations

import array
import errno
import json
import os
import signal
import socket
import sys
from pathlib import Path

import vmwb_core

ATTEMPTS = (
    *("open_file", "create_file", "remove_file", "exec", "exec_at", "fork", "clone3"),
    *("inet_socket", "connect_unix", "datagram_pair", "ptrace", "read_memory", "write_memory"),
    *("signal", "pid_handle", "io_uring", "bpf", "unshare", "executable_memory"),
)
SECRET = array.array("Q", [42])


def victim() -> int:
    """Make a process that waits, with the secret where this one has it."""
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    return pid


def attempt(role: str, name: str, bundle: Path, path: str, pid: int) -> str:
    """Make one attempt in a process of its own and tell what came of it."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    said_reading, said_writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.dup2(said_writing, 2)
        if role == "control":
            vmwb_core.lock_down(os.open(bundle, os.O_PATH | os.O_DIRECTORY))
        address, _ = SECRET.buffer_info()
        refused = vmwb_core.attempt_escape(role, name, path, pid, address)
        os.write(writing, str(refused).encode())
        os._exit(0)
    os.close(writing)
    os.close(said_writing)
    told, said = os.read(reading, 100), os.read(said_reading, 1000).decode()
    os.close(reading)
    os.close(said_reading)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == -signal.SIGSYS:
        return f"trapped: {said}"
    if not told:  # It became another program.
        return "out" if status == 0 else f"failed: {status}: {said}"
    return errno.errorcode[int(told)] if int(told) else "out"


def main(role: str, bundle: Path, other: Path) -> None:
    """Make all attempts from one role."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(other / "other.sock"))
        listener.listen()
        pid = victim()
        paths = {
            "open_file": other / "machine.json",
            "create_file": other / "new",
            "remove_file": other / "doomed",
            "connect_unix": other / "other.sock",
        }
        try:
            came = {
                name: attempt(role, name, bundle, str(paths.get(name, "/bin/true")), pid)
                for name in ATTEMPTS
            }
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    print(json.dumps(came))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
