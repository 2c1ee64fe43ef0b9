"""What the doctor says of firmware."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmwb.client.supervisor import HostSupport
from vmwb.library.firmware import FIRMWARE_FOLDER_VARIABLE
from vmwb.services.doctor import Doctor
from vmwb.services.types import Finding, FindingLevel


async def firmware(home: Path, folder: Path) -> Finding:
    asked = Doctor(
        home, home, lambda: HostSupport(7, seccomp=True), {FIRMWARE_FOLDER_VARIABLE: str(folder)}
    )
    return next(one for one in await asked.findings() if one.subject == "firmware")


async def test_doctor_finds_seabios(tmp_path: Path) -> None:
    for name in ("bios-256k.bin", "vgabios-stdvga.bin"):
        (tmp_path / name).touch()

    found = await firmware(tmp_path, tmp_path)

    assert found.level is FindingLevel.OK
    assert str(tmp_path / "bios-256k.bin") in found.sentence


@pytest.mark.parametrize(
    ("names", "words"),
    [(("bios.bin",), "screen stays black"), ((), "install the package seabios")],
)
async def test_doctor_warns_of_missing_firmware(
    tmp_path: Path, names: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in names:
        (tmp_path / name).touch()
    # As on a host that has none of its own.
    manifest = tmp_path / "manifest.json"
    manifest.write_text(
        '{"seabios": {"package": "seabios", "bios": ["bios.bin"], "vga": ["vga.bin"], '
        '"folders": []}}'
    )
    monkeypatch.setattr("vmwb.library.firmware.resource_path", lambda _: manifest)

    found = await firmware(tmp_path, tmp_path)

    assert found.level is FindingLevel.WARNING
    assert words in " ".join(found.sentence.split())
