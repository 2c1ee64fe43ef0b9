"""Build hook: compiles `translations/*.ts` into the package, for wheels and editable installs.

`pyside6-lrelease` comes with PySide6-Essentials, which is a build requirement for that.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TranslationsHook(BuildHookInterface):
    """Runs lrelease on every source of translations."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile before the files of the distribution are collected."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        compile_translations(root / "translations", root / "vmwb_ui" / "translations")


def compile_translations(sources: Path, target: Path) -> list[Path]:
    """Compile all sources of a folder into another one and give the files made.

    Raises subprocess.CalledProcessError when lrelease refuses a file.
    """
    target.mkdir(exist_ok=True)
    made = []
    for source in sorted(sources.glob("*.ts")):
        compiled = target / f"{source.stem}.qm"
        # The script's own module, because the environment of a build has no PATH of its own.
        command = [sys.executable, "-c", _LRELEASE, "-silent", str(source), "-qm", str(compiled)]
        subprocess.run(command, check=True)
        made.append(compiled)
    return made


_LRELEASE = "from PySide6.scripts.pyside_tool import lrelease; lrelease()"
