"""The sandbox of a worker: what is tried from inside is refused, for each role of thread."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import guests
import pytest
from contract.bench import worker_environment
from contract.evil import ATTEMPTS

import vmwb_core
from vmwb.app import Paths, build_services
from vmwb.client.supervisor import WORKER_COMMAND
from vmwb.library.disc import build_disc
from vmwb.model.config import BootConfig, VmConfig
from vmwb.model.debug import TRACE_CLASSES, TraceSettings
from vmwb.model.drives import DriveConfig, DriveKind, ImageFile
from vmwb.model.errors import BusyError, EngineFailedError, StorageError, VmwbError
from vmwb.services.api import Services
from vmwb.services.types import Motion, Place, StopKind, WaitFor, WaitKind
from vmwb.worker.sandbox import LockedDown, locked_down_from_json

EVIL = Path(__file__).with_name("evil.py")
EVIL_WORKER = (sys.executable, "-P", str(Path(__file__).with_name("evil_worker.py")))
ROLES = ("control", "driver", "device", "drive")
FLOPPY_BYTES = 1_474_560
REFUSED = {"EACCES", "EPERM", "ENOSYS"}
# What nobody forbids a program that is not locked in, whatever the host and its user.
FREE_TO_ALL = {
    *("open_file", "create_file", "remove_file", "exec", "exec_at", "fork", "inet_socket"),
    *("connect_unix", "datagram_pair", "signal", "pid_handle", "executable_memory"),
}


@cache
def outcomes(role: str) -> dict[str, str]:
    """Let the evil worker try everything from one role; another machine's bundle lies beside."""
    with TemporaryDirectory(prefix="vmwb-", dir="/tmp") as root:
        ours, other = Path(root, "ours.vmwb"), Path(root, "other.vmwb")
        ours.mkdir()
        other.mkdir()
        (other / "machine.json").write_text("{}")
        (other / "doomed").touch()
        done = subprocess.run(
            [sys.executable, "-P", EVIL, role, ours, other],
            env=worker_environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    came: dict[str, str] = json.loads(done.stdout)
    return came


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("role", ROLES)
def test_attempt_to_leave_is_refused(role: str, attempt: str) -> None:
    came = outcomes(role)[attempt]

    assert came in REFUSED or came.startswith("trapped: "), came


def test_same_attempts_succeed_from_a_thread_that_is_not_locked_in() -> None:
    came = outcomes("free")

    assert {name for name in FREE_TO_ALL if came[name] != "out"} == set()


@pytest.mark.parametrize("role", ROLES)
def test_trapped_call_is_named_with_its_role(role: str) -> None:
    said = outcomes(role)["exec"].removeprefix("trapped: ")

    assert re.fullmatch(
        rf"error The worker was stopped by its own sandbox: its {role} thread made the system "
        r"call \d+, which it may not make\.\n",
        said,
    )


def test_attempts_are_those_of_the_core() -> None:
    for attempt in ATTEMPTS:
        assert outcomes("control")[attempt]
    with pytest.raises(vmwb_core.CoreError) as caught:
        vmwb_core.attempt_escape("control", "no such attempt", "", 0, 0)

    assert caught.value.code == "not_found"


@pytest.mark.parametrize(
    ("locked", "levels"),
    [
        (LockedDown("full", 7, True), ["info"]),
        (LockedDown("partial", 3, True), ["info"]),
        (LockedDown("partial", 3, False), ["info", "warn"]),
        (LockedDown("no", 0, True), ["warn"]),
        (LockedDown("no", 0, False), ["warn", "warn"]),
    ],
)
def test_log_says_how_far_the_worker_is_locked_in(locked: LockedDown, levels: list[str]) -> None:
    said = list(locked.sentences())

    assert [level for level, _ in said] == levels
    assert all(sentence.endswith(".") for _, sentence in said)


@pytest.mark.parametrize("answer", ["{}", '{"files": "full", "landlock_abi": "7", "calls": true}'])
def test_answer_of_the_core_that_makes_no_sense_is_refused(answer: str) -> None:
    with pytest.raises(EngineFailedError):
        locked_down_from_json(answer)


def test_host_answers_what_it_offers() -> None:
    host = json.loads(vmwb_core.host_sandbox_json())

    assert set(host) == {"landlock_abi", "seccomp"}


@pytest.fixture
async def library(
    no_tasks: None, short_tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Services]:
    """Give services of a library whose workers are started by the command of the test."""
    runtime = short_tmp_path / "run"
    runtime.mkdir(mode=0o700)
    services = build_services(
        Paths(short_tmp_path / "library", runtime),
        environment=worker_environment(),
        worker_command=request.param,
    )
    yield services
    for machine in await services.machines.list():
        if machine.state.has_worker:
            await services.power.stop(machine.name)
    await services.close()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)  # noqa: ASYNC222 - the loop has nothing else to do


def echoing() -> VmConfig:
    """Give a machine that echoes what comes in on its serial port, for ever."""
    return VmConfig(name="deb", memory_mib=16, boot=BootConfig(str(guests.hello()), None, "echo"))


def status_of_threads(pid: int) -> dict[str, str]:
    """Give the status of every thread of a process by its name."""
    texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return {text.split("\n")[0].removeprefix("Name:\t"): text for text in texts}


@pytest.mark.parametrize("library", [WORKER_COMMAND], indirect=True)
async def test_every_thread_of_a_worker_is_locked_in(library: Services) -> None:
    await library.machines.create(echoing())
    pid = (await library.power.start("deb")).pid
    assert pid is not None

    threads = status_of_threads(pid)

    assert {"vmwb-vcpu0", "vmwb-serial"} < set(threads)
    for name, status in threads.items():
        assert "NoNewPrivs:\t1\n" in status, name
        assert "Seccomp:\t2\n" in status, name  # filtered, proc(5)


def image_is_written(image: Path) -> bool:
    """Tell whether somebody has the image open to write it, by the locks of its bytes."""
    inode = f":{image.stat().st_ino} "
    locks = [line for line in Path("/proc/locks").read_text().splitlines() if inode in line]
    # QEMU's byte for a user that writes: 100 + 1 (BLK_PERM_WRITE).
    spans = [tuple(map(int, line.split()[-2:])) for line in locks]
    return any(first <= 101 <= last for first, last in spans)


@pytest.mark.parametrize(
    "library", [(*WORKER_COMMAND[:2], "-X", "importtime", *WORKER_COMMAND[2:])], indirect=True
)
async def test_locked_in_worker_does_all_that_it_does_without_another_module(
    library: Services,
) -> None:
    await library.machines.create(echoing())
    await library.power.start("deb")
    await library.console.send("deb", b"hello\n")
    assert await library.console.screen_text("deb") is not None
    assert await library.console.screenshot("deb")
    await library.watch.stats("deb")
    await library.power.reset("deb")
    await library.debug.trace_start("deb", TraceSettings(TRACE_CLASSES, 100))
    await library.power.pause("deb")
    await library.debug.registers("deb")
    await library.debug.read_memory("deb", 0, 64)
    await library.debug.trace_read("deb")
    await library.power.unpause("deb")
    await library.power.suspend("deb")
    first = await library.watch.logs("deb", lines=5000)
    await library.power.resume("deb")
    await library.power.stop("deb")
    second = await library.watch.logs("deb", lines=5000)

    for log in (first, second):
        before, _, after = log.partition("The worker is locked in")
        assert "import time:" in before
        assert [line for line in after.splitlines() if "import time:" in line] == []


@pytest.mark.parametrize("library", [EVIL_WORKER], indirect=True)
async def test_worker_stopped_by_its_sandbox_is_crashed_and_says_why(
    library: Services, short_tmp_path: Path
) -> None:
    kernel = short_tmp_path / "kernel"
    kernel.write_bytes(b"FAKE kernel")
    await library.machines.create(
        VmConfig(name="deb", memory_mib=16, boot=BootConfig(str(kernel), None, ""))
    )
    await library.power.start("deb")
    with pytest.raises(VmwbError):
        await library.power.stop("deb", StopKind.SOFT, timeout_s=10)
    await library.watch.wait("deb", WaitFor(WaitKind.STATE, "crashed"), timeout_s=10)

    machine = await library.machines.show("deb")

    assert machine.problem is not None
    assert machine.problem.startswith("The worker was stopped by its own sandbox: its control ")


@pytest.fixture
def media(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Give a CD, a floppy, and a folder to make a CD of."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("hello")
    disc = tmp_path / "cd.iso"
    build_disc(folder, disc)
    floppy = tmp_path / "floppy.img"
    floppy.write_bytes(bytes(FLOPPY_BYTES))
    return disc, floppy, folder


@pytest.mark.parametrize(
    "library", [(*WORKER_COMMAND[:2], "-X", "importtime", *WORKER_COMMAND[2:])], indirect=True
)
async def test_locked_in_worker_changes_media_and_moves_the_pointer(
    library: Services, media: tuple[Path, Path, Path]
) -> None:
    disc, floppy, folder = media
    drives = (
        DriveConfig("ide2", DriveKind.CDROM),
        DriveConfig("floppy0", DriveKind.FLOPPY),
    )
    await library.machines.create(VmConfig(name="pc", memory_mib=32, drives=drives))
    await library.power.start("pc")
    await library.watch.wait("pc", WaitFor(WaitKind.SCREEN, "SeaBIOS"), timeout_s=60)
    await library.media.insert("pc", "cdrom", disc)
    await library.media.insert("pc", "floppy", floppy)
    await library.media.insert("pc", "floppy", floppy, read_only=True)
    await library.media.insert("pc", "cdrom", folder)
    await library.console.point("pc", Motion(5, -5), wheel=1, buttons=1)
    await library.console.point("pc", Place(5, 5))
    await library.power.reset("pc")
    await library.media.eject("pc", "floppy")
    floppy.write_bytes(bytes(FLOPPY_BYTES + 1))
    with pytest.raises(VmwbError):
        await library.media.insert("pc", "floppy", floppy)
    await library.power.pause("pc")
    await library.media.eject("pc", "cdrom", force=True)
    shown = await library.machines.show("pc")
    await library.power.stop("pc")
    log = await library.watch.logs("pc", lines=5000)

    assert shown.config is not None
    assert [drive.image for drive in shown.config.drives] == [None, None]
    _, _, after = log.partition("The worker is locked in")
    assert [line for line in after.splitlines() if "import time:" in line] == []


@pytest.mark.parametrize("library", [WORKER_COMMAND], indirect=True)
async def test_image_put_into_a_running_machine_is_locked_as_one_it_starts_with(
    library: Services, media: tuple[Path, Path, Path]
) -> None:
    _, floppy, _ = media
    drive = DriveConfig("floppy0", DriveKind.FLOPPY)
    for name in ("one", "two"):
        await library.machines.create(VmConfig(name=name, memory_mib=32, drives=(drive,)))
        await library.power.start(name)

    await library.media.insert("one", "floppy", floppy)
    with pytest.raises(BusyError, match="in use") as refused:
        await library.media.insert("two", "floppy", floppy)
    await library.media.eject("one", "floppy")
    await library.media.insert("two", "floppy", floppy)
    await library.power.stop("one")
    await library.power.stop("two")

    assert refused.value.context["reason"] == "in_use"


@pytest.mark.parametrize("library", [WORKER_COMMAND], indirect=True)
@pytest.mark.parametrize("protected", [False, True])
async def test_machine_comes_back_with_the_floppy_as_it_was_protected(
    library: Services, media: tuple[Path, Path, Path], *, protected: bool
) -> None:
    _, floppy, _ = media
    drive = DriveConfig("floppy0", DriveKind.FLOPPY, ImageFile(str(floppy)), read_only=protected)
    await library.machines.create(VmConfig(name="pc", memory_mib=32, drives=(drive,)))
    await library.power.start("pc")
    await library.media.insert("pc", "floppy", floppy, read_only=not protected)
    await library.power.suspend("pc")

    await library.power.resume("pc")
    shown = await library.machines.show("pc")
    locked = image_is_written(floppy)
    await library.power.stop("pc")

    assert shown.config is not None
    assert shown.config.drives[0].read_only is not protected
    assert locked is protected


@pytest.mark.parametrize("library", [WORKER_COMMAND], indirect=True)
async def test_image_for_a_drive_is_a_regular_file_whatever_its_name(
    library: Services, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    drives = (DriveConfig("ide2", DriveKind.CDROM),)
    await library.machines.create(VmConfig(name="pc", memory_mib=32, drives=drives))
    await library.power.start("pc")

    with pytest.raises(StorageError, match="regular file"):
        await library.media.insert("pc", "cdrom", pipe)
    await library.power.stop("pc")
