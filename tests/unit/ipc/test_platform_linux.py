from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from vmwb.ipc import platform_linux as platform
from vmwb.model.errors import StorageError


def test_peer_uid_of_our_own_socket_is_ours() -> None:
    left, right = socket.socketpair()

    assert platform.peer_uid(left) == os.getuid()
    left.close()
    right.close()


def test_runtime_directory_uses_a_private_xdg_directory(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    made = platform.runtime_directory({"XDG_RUNTIME_DIR": str(tmp_path)})

    assert made == tmp_path / "vmwb"
    assert made.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["open", "missing", ""])
def test_runtime_directory_without_a_private_xdg_directory_is_our_own(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    environment = {"XDG_RUNTIME_DIR": name and str(tmp_path / name), "TMPDIR": str(tmp_path)}

    assert platform.runtime_directory(environment) == tmp_path / f"vmwb-{os.getuid()}"


def test_private_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)

    with pytest.raises(StorageError, match="not private"):
        platform.private_directory(tmp_path / "run")


def test_private_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "real")

    with pytest.raises(StorageError, match="not private"):
        platform.private_directory(tmp_path / "run")


def test_private_directory_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        platform.private_directory(tmp_path / "a" / "b")


def test_socket_path_is_short_and_the_same_for_the_same_bundle(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    first = platform.socket_path(Path("/run/vmwb"), tmp_path / "a.vmwb")
    second = platform.socket_path(Path("/run/vmwb"), tmp_path / "link" / "a.vmwb")

    assert first == second
    assert len(first.name) == len("0123456789ab.sock")


def test_socket_path_in_a_deep_directory_is_refused() -> None:
    with pytest.raises(StorageError, match="too long"):
        platform.socket_path(Path("/" + "x" * 100), Path("/a.vmwb"))


def test_try_lock_held_by_another_is_not_given(tmp_path: Path) -> None:
    first = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    second = os.open(tmp_path / "lock", os.O_RDWR)

    assert platform.try_lock(first)
    assert not platform.try_lock(second, shared=True)
    os.close(first)
    assert platform.try_lock(second)
    os.close(second)


def test_try_lock_of_no_file_is_an_error() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        platform.try_lock(10_000)


def test_spawn_session_passes_descriptors_and_log(tmp_path: Path) -> None:
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    reading, writing = os.pipe()
    code = (
        "import os,sys; os.write(3, b'%d' % (os.getsid(0) == os.getpid())); "
        "print(os.environ['WORD'], sys.stdin.read() == '')"
    )

    pid = platform.spawn_session(
        [sys.executable, "-c", code],
        environment={"WORD": "there"},
        log=log,
        passed={writing: 3},
    )
    handle = platform.process_handle(pid)
    os.close(writing)
    os.close(log)

    assert os.read(reading, 10) == b"1"
    os.waitid(os.P_PIDFD, handle, os.WEXITED | os.WNOWAIT)
    assert platform.reap(pid) == 0
    assert platform.reap(pid) == 0
    assert (tmp_path / "log").read_text() == "there True\n"
    platform.kill(handle)
    os.close(handle)
    os.close(reading)


def test_kill_ends_a_process_and_reap_tells_the_signal() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    pid = platform.spawn_session(
        [sys.executable, "-c", "input() or __import__('signal').pause()"],
        environment={},
        log=null,
        passed={},
    )
    os.close(null)
    handle = platform.process_handle(pid)
    status = platform.reap(pid)
    platform.kill(handle)
    os.waitid(os.P_PIDFD, handle, os.WEXITED | os.WNOWAIT)

    assert status in {None, -signal.SIGKILL, 1}
    assert platform.reap(pid) in {-signal.SIGKILL, 1}
    os.close(handle)


def test_close_all_closes_once_and_does_not_mind_twice() -> None:
    reading, writing = os.pipe()
    platform.close_all([writing])
    platform.close_all([reading, reading])

    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(reading)


def test_receive_leaves_credentials_aside() -> None:
    left, right = socket.socketpair()
    right.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    left.send(b"x")

    assert platform.receive_with_handles(right) == (b"x", [])
    left.close()
    right.close()
