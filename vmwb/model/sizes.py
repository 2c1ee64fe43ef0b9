"""Sizes as people write them: ``512M``, ``2G``, ``1.5 GiB``. Units are always powers of 1024."""

from __future__ import annotations

import re
from typing import Final

from vmwb.model.errors import UsageError

MIB: Final = 1024 * 1024
MEMORY_MIN_MIB: Final = 2
MEMORY_MAX_MIB: Final = 65_536

_UNITS: Final = {
    "": 1,
    "b": 1,
    "k": 1024,
    "m": MIB,
    "g": 1024 * MIB,
    "t": 1024 * 1024 * MIB,
}
_SIZE: Final = re.compile(
    r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([bkmgt]?)(?:i?b)?\s*", re.IGNORECASE
)


def parse_size(text: str, *, what: str = "The size") -> int:
    """Read a size in bytes.

    Args:
        text: digits, an optional fraction, and one of the letters K, M, G, T (powers of 1024).
        what: beginning of the error sentence.

    Raises:
        UsageError: the text is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{what} {text!r} is not a size: write a number and a unit, for example 512M or 2G.",
            {"value": text},
        )
    number, unit = match.groups()
    factor = _UNITS[unit.lower()]
    if "." in number:
        whole, fraction = number.split(".")
        divisor: int = 10 ** len(fraction)
        return int(whole) * factor + int(fraction) * factor // divisor
    return int(number) * factor


def parse_memory_mib(text: str) -> int:
    """Read the memory of a machine, in MiB; a bare number counts MiB.

    Raises:
        UsageError: not a size, not whole MiB, or outside 2 MiB to 64 GiB.
    """
    stripped = text.strip()
    if stripped.isascii() and stripped.isdigit():
        if len(stripped) > 15:
            return check_memory_mib(MEMORY_MAX_MIB + 1, text)
        return check_memory_mib(int(stripped), text)
    size = parse_size(text, what="The memory size")
    if size % MIB != 0 and size > MIB:
        raise UsageError(
            f"The memory size {text!r} is not a whole number of MiB: give one, for example 512M.",
            {"value": text},
        )
    return check_memory_mib(size // MIB, text)


def check_memory_mib(memory_mib: int, shown: str | None = None) -> int:
    """Hold a memory size against the bounds of a machine and give it back.

    Raises:
        UsageError: outside 2 MiB to 64 GiB.
    """
    text = shown if shown is not None else f"{memory_mib}M"
    if memory_mib < MEMORY_MIN_MIB:
        raise UsageError(
            f"Memory of {text} is too little: give a machine at least {MEMORY_MIN_MIB} MiB, "
            "for example 512M.",
            {"value": text, "minimum_mib": MEMORY_MIN_MIB},
        )
    if memory_mib > MEMORY_MAX_MIB:
        raise UsageError(
            f"Memory of {text} is too much: a machine can have at most "
            f"{MEMORY_MAX_MIB // 1024} GiB, for example 4G.",
            {"value": text, "maximum_mib": MEMORY_MAX_MIB},
        )
    return memory_mib


def format_mib(memory_mib: int) -> str:
    """Write a count of MiB as people read it: ``512 MiB``, ``2 GiB``."""
    if memory_mib >= 1024 and memory_mib % 1024 == 0:
        return f"{memory_mib // 1024} GiB"
    return f"{memory_mib} MiB"
