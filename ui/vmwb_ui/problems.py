"""Why a machine is in trouble, in the user's language, made of the facts that the core tells.

The core's own sentence is English, for the command line and for logs. Facts come from a worker that
a guest may have taken over: they only ever become plain text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

# By reason: the whole sentence, for facts that have all its holes.
SENTENCES: Final[dict[str, str]] = {
    "triple_fault": QT_TRANSLATE_NOOP(
        "Problems",
        "The guest's processor shut down after a triple fault: its system could not handle {error} "
        "(exception {vector}) at {rip}, nor the errors that followed.",
    ),
    "halted_for_good": QT_TRANSLATE_NOOP(
        "Problems",
        "The guest halted its processor with interrupts disabled (at {rip}): nothing can wake it.",
    ),
    "boot_failed": QT_TRANSLATE_NOOP(
        "Problems", "The kernel or its RAM disk could not be loaded again ({detail})."
    ),
    "emulator_failed": QT_TRANSLATE_NOOP(
        "Problems",
        "The emulator failed inside itself ({detail}). This is a defect of the program; please "
        "report it.",
    ),
    "no_boot_device": QT_TRANSLATE_NOOP(
        "Problems",
        "No device that can boot was found. Give the machine a disk, a CD or a floppy with a "
        "system on it, or another boot order, then reset it.",
    ),
    "asleep": QT_TRANSLATE_NOOP(
        "Problems", "The guest sleeps. A key or its power button wakes it."
    ),
    "is_folder": QT_TRANSLATE_NOOP("Problems", "{path} is a folder: only a CD can be made of one."),
    "not_regular": QT_TRANSLATE_NOOP("Problems", "{path} is no ordinary file: choose a file."),
    "not_readable": QT_TRANSLATE_NOOP(
        "Problems", "{path} cannot be read: give yourself the right to read it."
    ),
    "not_writable": QT_TRANSLATE_NOOP(
        "Problems",
        "{path} cannot be written: give yourself the right to write it, or write-protect it.",
    ),
    "in_use": QT_TRANSLATE_NOOP(
        "Problems",
        "Another machine or program uses the image: power it off or end it, then try again.",
    ),
    "tray_held": QT_TRANSLATE_NOOP(
        "Problems", "The guest has locked the drive: eject the disc in the guest, or force it."
    ),
    "worker_died": QT_TRANSLATE_NOOP(
        "Problems",
        "The machine's process died without last words: look at its log, then start it again.",
    ),
    "sandbox": QT_TRANSLATE_NOOP(
        "Problems",
        "The machine's process was stopped by its own sandbox: its thread {role} made the system "
        "call {call}, which it may not make. The guest may have tried to break out: look at the "
        "log, and report it before you start the machine again.",
    ),
}
# What may be said besides, for facts that have its holes.
ADDITIONS: Final = (
    QT_TRANSLATE_NOOP("Problems", "The linear address is {address}."),
    QT_TRANSLATE_NOOP(
        "Problems",
        "The bytes there, {bytes}, are no valid instruction of the processor model {cpu_model}.",
    ),
    QT_TRANSLATE_NOOP("Problems", "It was processor {processor}."),
)
# By reason: what to do, at the end.
ADVICE: Final[dict[str, str]] = {
    reason: QT_TRANSLATE_NOOP("Problems", "Start the machine again.")
    for reason in ("triple_fault", "halted_for_good")
}
# By vector: SDM volume 3, table 6-1.
EXCEPTIONS: Final[dict[int, str]] = {
    0: QT_TRANSLATE_NOOP("Problems", "a division error"),
    1: QT_TRANSLATE_NOOP("Problems", "a debug exception"),
    2: QT_TRANSLATE_NOOP("Problems", "a non-maskable interrupt"),
    3: QT_TRANSLATE_NOOP("Problems", "a breakpoint"),
    4: QT_TRANSLATE_NOOP("Problems", "an overflow"),
    5: QT_TRANSLATE_NOOP("Problems", "an index out of bounds"),
    6: QT_TRANSLATE_NOOP("Problems", "an invalid instruction"),
    7: QT_TRANSLATE_NOOP("Problems", "the lack of a coprocessor"),
    8: QT_TRANSLATE_NOOP("Problems", "a double fault"),
    10: QT_TRANSLATE_NOOP("Problems", "an invalid task-state segment"),
    11: QT_TRANSLATE_NOOP("Problems", "a segment that is not present"),
    12: QT_TRANSLATE_NOOP("Problems", "a stack fault"),
    13: QT_TRANSLATE_NOOP("Problems", "a general protection fault"),
    14: QT_TRANSLATE_NOOP("Problems", "a page fault"),
    16: QT_TRANSLATE_NOOP("Problems", "a floating-point error"),
    17: QT_TRANSLATE_NOOP("Problems", "an unaligned access"),
    19: QT_TRANSLATE_NOOP("Problems", "an SSE floating-point error"),
}
INTERRUPT: Final = QT_TRANSLATE_NOOP("Problems", "an interrupt")
_ADDRESSES: Final = frozenset({"rip", "address"})


def known_problem(facts: Mapping[str, object]) -> str | None:
    """Give the whole sentence for facts; ``None``: of another version, or not all there."""
    reason = str(facts.get("reason"))
    pattern = SENTENCES.get(reason)
    sentence = None if pattern is None else _filled(pattern, facts)
    if sentence is None:
        return None
    others = [*ADDITIONS, *([ADVICE[reason]] if reason in ADVICE else [])]
    besides = (_filled(pattern, facts) for pattern in others)
    return " ".join([sentence, *(addition for addition in besides if addition)])


def _filled(pattern: str, facts: Mapping[str, object]) -> str | None:
    words = {name: _word(name, fact) for name, fact in facts.items()}
    vector = facts.get("vector")
    if isinstance(vector, int):
        words["error"] = _translated(EXCEPTIONS.get(vector, INTERRUPT))
    if facts.get("address") == facts.get("rip"):
        words.pop("address", None)
    try:
        return _translated(pattern).format(**words)
    except KeyError:
        return None


def _word(name: str, fact: object) -> str:
    return f"{fact:#x}" if name in _ADDRESSES and isinstance(fact, int) else str(fact)


def _translated(source: str) -> str:
    return QCoreApplication.translate("Problems", source)
