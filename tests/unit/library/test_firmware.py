"""Where firmware is found: the folder of the user first, then the host's."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmwb.library import firmware
from vmwb.library.firmware import FIRMWARE_FOLDER_VARIABLE, find_firmware
from vmwb.model.errors import NotFoundError


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that stands for the host's; its manifest names it alone."""
    folder = tmp_path / "host"
    folder.mkdir()
    manifest = tmp_path / "manifest.json"
    manifest.write_text(
        '{"seabios": {"package": "seabios", "bios": ["big.bin", "small.bin"], "vga": ["vga.bin"], '
        f'"folders": ["{tmp_path}/nowhere", "{folder}"]}}}}'
    )
    monkeypatch.setattr(firmware, "resource_path", lambda _: manifest)
    return folder


def test_firmware_of_the_host_is_found_the_better_first(hosts: Path) -> None:
    (hosts / "small.bin").touch()
    assert find_firmware("seabios", {}).bios == hosts / "small.bin"
    (hosts / "big.bin").touch()
    (hosts / "vga.bin").touch()

    found = find_firmware("seabios", {})

    assert (found.bios, found.vga) == (hosts / "big.bin", hosts / "vga.bin")


def test_folder_of_the_user_comes_first_and_may_have_one_of_the_two(
    hosts: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for path in (own / "small.bin", hosts / "big.bin", hosts / "vga.bin"):
        path.touch()

    found = find_firmware("seabios", {FIRMWARE_FOLDER_VARIABLE: str(own)})

    assert (found.bios, found.vga) == (own / "small.bin", hosts / "vga.bin")


def test_missing_firmware_says_what_to_install(hosts: Path) -> None:
    with pytest.raises(NotFoundError, match="install the package seabios") as caught:
        find_firmware("seabios", {})

    assert caught.value.context["role"] == "firmware"


def test_firmware_by_its_path_is_taken_as_it_is(hosts: Path) -> None:
    found = find_firmware("/some/bios.bin", {})

    assert (found.bios, found.vga) == (Path("/some/bios.bin"), None)
