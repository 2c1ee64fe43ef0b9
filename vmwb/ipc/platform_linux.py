"""What the control sockets need from Linux: passed descriptors, peer's uid, locks, processes.

The only file of this room that is Linux-only; another system is another file with the same names.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import signal
import socket
import stat
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from vmwb.model.errors import ProtocolError, StorageError

RECEIVE_BYTES: Final = 65_536
MAX_PASSED: Final = 4
SOCKET_PATH_MAX_BYTES: Final = 107
_UCRED: Final = struct.Struct("iII")
_DESCRIPTOR_BYTES: Final = array.array("i").itemsize


def send_with_handles(sock: socket.socket, data: bytes, handles: Sequence[int]) -> int:
    """Send bytes, descriptors with the first of them; give how many bytes went."""
    if not handles:
        return sock.send(data)
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handles).tobytes())
    return sock.sendmsg([data], [rights])


def receive_with_handles(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Receive bytes and the descriptors that came with them (close-on-exec, now the caller's).

    Raises:
        ProtocolError: more descriptors came than anybody may send; they are closed.
    """
    data, ancillary, flags, _ = sock.recvmsg(
        RECEIVE_BYTES,
        socket.CMSG_SPACE(MAX_PASSED * _DESCRIPTOR_BYTES),
        socket.MSG_CMSG_CLOEXEC,
    )
    handles = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = len(payload) - len(payload) % _DESCRIPTOR_BYTES
            handles.frombytes(payload[:whole])
    if flags & socket.MSG_CTRUNC:
        close_all(handles)
        raise ProtocolError("Too many descriptors came over the socket.")
    return data, list(handles)


def close_all(handles: Sequence[int]) -> None:
    """Close descriptors; one that is closed already is no error."""
    for handle in handles:
        with contextlib.suppress(OSError):
            os.close(handle)


def peer_uid(sock: socket.socket) -> int:
    """Tell which user is at the other end of a Unix socket (``SO_PEERCRED``, unix(7))."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    uid: int = _UCRED.unpack(raw)[1]
    return uid


def runtime_directory(environment: Mapping[str, str]) -> Path:
    """Give the private directory for sockets and ephemeral machines; make it when missing.

    ``$XDG_RUNTIME_DIR/vmwb`` when that is a directory of the user's own, else ``/tmp/vmwb-<uid>``.

    Raises:
        StorageError: the directory exists but belongs to somebody else, or is open to others.
    """
    base = environment.get("XDG_RUNTIME_DIR", "")
    if base and _is_private(Path(base)):
        path = Path(base) / "vmwb"
    else:
        path = Path(environment.get("TMPDIR", "/tmp")) / f"vmwb-{os.getuid()}"  # noqa: S108
    return private_directory(path)


def private_directory(path: Path) -> Path:
    """Make a directory that only this user may enter, or check the one that is there.

    Raises:
        StorageError: it cannot be made, or it is not private.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The directory for sockets {path} cannot be made: {error.strerror}."
        ) from error
    if not _is_private(path):
        raise StorageError(
            f"The directory {path} is not private: remove it, or set XDG_RUNTIME_DIR to a "
            "directory of your own with mode 0700."
        )
    return path


def _is_private(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.getuid()
        and stat.S_IMODE(status.st_mode) & 0o077 == 0
    )


def socket_path(runtime: Path, bundle: Path) -> Path:
    """Give the socket of a bundle's worker: short, because a path has 108 bytes (unix(7)).

    Raises:
        StorageError: the runtime directory's own path is too long.
    """
    # Here, because workers never need it and it takes as long to load as all the rest.
    from hashlib import sha256

    digest = sha256(os.fsencode(bundle.resolve())).hexdigest()[:12]
    path = runtime / f"{digest}.sock"
    if len(os.fsencode(path)) > SOCKET_PATH_MAX_BYTES:
        raise StorageError(
            f"The path {runtime} is too long for a socket: set XDG_RUNTIME_DIR to a shorter one."
        )
    return path


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take a lock on an open file without waiting; give whether it was free (flock(2))."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EAGAIN}:
            return False
        raise
    return True


def spawn_session(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: int,
    passed: Mapping[int, int],
) -> int:
    """Start a process in a session of its own and give its pid.

    Standard input is empty, output and errors go to ``log``. ``passed`` maps descriptors of this
    process to their numbers in the new one (3 and up); everything else is close-on-exec.
    """
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    actions: list[tuple[int, int, int]] = [
        (os.POSIX_SPAWN_DUP2, null, 0),
        (os.POSIX_SPAWN_DUP2, log, 1),
        (os.POSIX_SPAWN_DUP2, log, 2),
    ]
    copies: list[int] = []
    try:
        for ours, theirs in passed.items():
            # A copy above all targets: dup2 onto the same number would leave it close-on-exec.
            copy = fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 64)
            copies.append(copy)
            actions.append((os.POSIX_SPAWN_DUP2, copy, theirs))
        return os.posix_spawn(
            command[0],
            list(command),
            dict(environment),
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP],
        )
    finally:
        close_all([null, *copies])


def process_handle(pid: int) -> int:
    """Open a descriptor that becomes readable when a process ends (pidfd_open(2))."""
    return os.pidfd_open(pid)


def reap(pid: int) -> int | None:
    """Take the exit status of a child: its code, minus a signal's number, ``None`` while it runs.

    A child that somebody else has reaped counts as ended with 0.
    """
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status) if done else None


def kill(pid_handle: int) -> None:
    """Kill the process behind a handle; one that has ended already is no error."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pid_handle, signal.SIGKILL)
