"""Where the host keeps firmware: the BIOS of the machine and that of its display adapter.

Firmware is another project's and never part of this one's files. The manifest in ``resources/``
names what is looked for; a folder named by ``VMWB_FIRMWARE_DIR`` comes first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmwb.model.config import SEABIOS
from vmwb.model.errors import NotFoundError
from vmwb.resources import resource_path

FIRMWARE_FOLDER_VARIABLE: Final = "VMWB_FIRMWARE_DIR"


@dataclass(frozen=True, slots=True)
class FirmwareFiles:
    """Image files: the BIOS, and the display adapter's, which may be missing."""

    bios: Path
    vga: Path | None


def find_firmware(name: str, environment: Mapping[str, str]) -> FirmwareFiles:
    """Find ``seabios``, or take a BIOS image by its path.

    Raises:
        NotFoundError: it is not there; the sentence says what to install.
    """
    manifest = json.loads(resource_path("firmware/manifest.json").read_text(encoding="utf-8"))
    known = manifest[SEABIOS]
    named = environment.get(FIRMWARE_FOLDER_VARIABLE)
    folders = [Path(folder) for folder in ([named] if named else []) + known["folders"]]
    vga = _first(folders, known["vga"])
    if name != SEABIOS:
        return FirmwareFiles(Path(name), vga)
    bios = _first(folders, known["bios"])
    if bios is None:
        raise NotFoundError(
            f"The firmware SeaBIOS is not installed: install the package {known['package']}, or "
            f"name its folder in {FIRMWARE_FOLDER_VARIABLE}.",
            {"role": "firmware", "folders": [str(folder) for folder in folders]},
        )
    return FirmwareFiles(bios, vga)


def _first(folders: Iterable[Path], names: list[str]) -> Path | None:
    candidates = (folder / name for folder in folders for name in names)
    return next((path for path in candidates if path.is_file()), None)
