"""What the command says to files and sizes that cannot work: a sentence and a documented status."""

from __future__ import annotations

import os
from pathlib import Path

import guests
import pytest
from command import Vmwb

pytestmark = [pytest.mark.guest, pytest.mark.timeout(120)]


def refusal(vmwb: Vmwb, *options: str | Path) -> tuple[int, str]:
    """Run a machine that cannot be, and return the status and the one sentence."""
    done = vmwb.run("run", "--headless", "--timeout", "30", *options)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.returncode, done.stderr.lower()


def test_run_missing_kernel_says_which_file(vmwb: Vmwb, tmp_path: Path) -> None:
    status, sentence = refusal(vmwb, "--kernel", tmp_path / "no-such-kernel")

    assert status == 3
    assert "no-such-kernel" in sentence


def test_run_missing_initrd_says_which_file(vmwb: Vmwb, tmp_path: Path) -> None:
    status, sentence = refusal(
        vmwb, "--kernel", guests.hello(), "--initrd", tmp_path / "no-such-initrd"
    )

    assert status == 3
    assert "no-such-initrd" in sentence


@pytest.mark.parametrize("length", [0, 1, 0x1F0, 0x202, 0x300, 0x401])
def test_run_truncated_kernel_says_so(vmwb: Vmwb, tmp_path: Path, length: int) -> None:
    short = tmp_path / "short"
    short.write_bytes(guests.hello().read_bytes()[:length])

    status, sentence = refusal(vmwb, "--kernel", short)

    assert status == 1
    assert "kernel" in sentence


def test_run_file_that_is_no_kernel_says_so(vmwb: Vmwb, tmp_path: Path) -> None:
    other = tmp_path / "text"
    other.write_text("This is not a kernel.\n" * 1000)

    status, sentence = refusal(vmwb, "--kernel", other)

    assert status == 1
    assert "kernel" in sentence


def test_run_initrd_larger_than_memory_says_so(vmwb: Vmwb, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        os.truncate(file.fileno(), 64 << 20)

    status, sentence = refusal(
        vmwb, "--memory", "16M", "--kernel", guests.hello(), "--initrd", large
    )

    assert status == 1
    assert "memory" in sentence


@pytest.mark.parametrize("size", ["0", "1M", "10T", "-5", "lots", ""])
def test_run_impossible_memory_is_a_usage_error(vmwb: Vmwb, size: str) -> None:
    done = vmwb.run("run", "--headless", f"--memory={size}", "--kernel", guests.hello())

    assert done.returncode == 2
    assert "memory" in done.stderr.lower()


def test_run_nine_processors_is_refused(vmwb: Vmwb) -> None:
    status, sentence = refusal(vmwb, "--cpus", "9", "--kernel", guests.hello())

    assert status == 2
    assert "processor" in sentence


@pytest.mark.parametrize("option", ["--disk", "--cdrom", "--floppy"])
def test_run_image_that_does_not_exist_is_refused(vmwb: Vmwb, option: str) -> None:
    status, sentence = refusal(vmwb, "--kernel", guests.hello(), option, "/nonexistent")

    assert status == 3
    assert "/nonexistent" in sentence


@pytest.mark.parametrize("option", ["--nic", "--share"])
def test_run_device_that_does_not_exist_yet_is_refused(vmwb: Vmwb, option: str) -> None:
    status, sentence = refusal(vmwb, "--kernel", guests.hello(), option, "nat")

    assert status == 2
    assert option in sentence


def test_create_name_taken_is_busy(vmwb: Vmwb) -> None:
    vmwb.ok("create", "twice")

    again = vmwb.run("create", "twice")

    assert again.returncode == 5
    assert "twice" in again.stderr


def test_create_in_a_library_that_cannot_be_written_says_where(vmwb: Vmwb, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")

    done = vmwb.run("--library", in_the_way / "library", "create", "deb")

    assert done.returncode == 1
    assert str(in_the_way) in done.stderr


def test_show_unknown_machine_is_not_found(vmwb: Vmwb) -> None:
    done = vmwb.run("show", "nobody")

    assert done.returncode == 3
    assert "nobody" in done.stderr
