"""The files that a worker opens for its machine: roles, rights, and what is refused."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from vmwb.ipc.launch import DriveTarget, Launch
from vmwb.ipc.platform_linux import close_all
from vmwb.model.errors import NotFoundError, StorageError
from vmwb.worker.broker import open_machine_files


def launch(kernel: Path | None = None, bios: Path | None = None, *drives: DriveTarget) -> Launch:
    return Launch(
        machine_id="id",
        name="pc",
        bundle="/b",
        socket="/s",
        spec="{}",
        kernel=None if kernel is None else str(kernel),
        initrd=None,
        serial=(),
        firmware=None if bios is None else str(bios),
        drives=drives,
    )


@pytest.fixture
def image(tmp_path: Path) -> Path:
    made = tmp_path / "image"
    made.write_bytes(b"image")
    return made


def writable(handle: int) -> bool:
    return fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR


def test_files_are_open_by_role_and_only_a_disk_s_own_image_for_writing(
    image: Path, tmp_path: Path
) -> None:
    behind = tmp_path / "behind"
    behind.touch()
    handles = open_machine_files(
        launch(
            None,
            image,
            DriveTarget("ide0", (str(image), str(behind)), writable=True),
            DriveTarget("ide2", (str(image),)),
            DriveTarget("floppy0"),
        )
    )
    rights = {role: writable(handle) for role, handle in handles.items()}
    close_all(list(handles.values()))

    assert rights == {
        "firmware": False,
        "drive.ide0.0": True,
        "drive.ide0.1": False,
        "drive.ide2.0": False,
    }


def test_missing_image_leaves_nothing_open(image: Path, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - descriptors, not files

    with pytest.raises(NotFoundError, match=r"image .* does not exist"):
        open_machine_files(
            launch(image, None, DriveTarget("ide0", (str(image), str(tmp_path / "nothing"))))
        )
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_image_that_is_no_file_is_refused_and_hangs_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[kind]()

    with pytest.raises(StorageError, match="regular file"):
        open_machine_files(launch(None, None, DriveTarget("ide2", (str(path),))))


def test_image_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        open_machine_files(launch(None, None, DriveTarget("ide0", (str(tmp_path),), writable=True)))
