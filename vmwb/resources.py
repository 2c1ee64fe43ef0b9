"""The only reader of ``resources/``: icons, presets, keymaps.

An installed wheel carries the folder as ``vmwb/_resources``; a checkout has it beside the package.
"""

from __future__ import annotations

from pathlib import Path

from vmwb.model.errors import NotFoundError

_PACKAGE = Path(__file__).resolve().parent


def resource_path(name: str) -> Path:
    """Give the path of a resource, such as ``icons/vmwb.svg``.

    Raises:
        NotFoundError: this installation has none of that name.
    """
    parts = Path(name)
    if not parts.is_absolute() and ".." not in parts.parts:
        for root in (_PACKAGE / "_resources", _PACKAGE.parent / "resources"):
            path = root / parts
            if path.is_file():
                return path
    raise NotFoundError(f"This installation has no resource {name!r}: install vmwb again.")
