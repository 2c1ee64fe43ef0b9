"""Modules of a Linux kernel as its package carries them, in an order in which they can be loaded.

The package has no modules.dep, which is made where it is installed; what a module needs stands in
its section .modinfo.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def with_dependencies(kernel: Path, names: Iterable[str]) -> list[Path]:
    """Return the named modules of a kernel's package, each behind those that it needs.

    `kernel` is its image in the unpacked package; `names` have no suffix. Raises KeyError for a
    module that the package does not carry.
    """
    root = kernel.parents[1] / "lib" / "modules" / kernel.name.removeprefix("vmlinuz-")
    files = {_name(path.stem): path for path in root.rglob("*.ko")}
    order: dict[Path, None] = {}
    for name in names:
        order.update(dict.fromkeys(_chain(files, _name(name))))
    return list(order)


def _name(text: str) -> str:
    # Files have hyphens where the names of modules have underscores.
    return text.replace("-", "_")


def _chain(files: dict[str, Path], name: str) -> Iterator[Path]:
    found = _DEPENDS.search(files[name].read_bytes())
    if found and found[1]:
        for needed in found[1].decode().split(","):
            yield from _chain(files, _name(needed))
    yield files[name]
