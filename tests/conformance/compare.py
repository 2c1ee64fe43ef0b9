"""Compare what the two processors made of an image."""

from __future__ import annotations

from dataclasses import replace

from images import SEGMENTS, Image, Outcome, Registers

#: The oracle keeps the arithmetic flags elsewhere until something asks for all flags: what pushes
#: them shows them in memory, and an exception does.
LAZY_FLAGS = 0x8D5
TASK_FAULTS = frozenset({10, 11, 12, 13})
SYSTEM_SEGMENTS = ("ldtr", "tr")


def differences(image: Image, ours: Outcome, theirs: Outcome) -> list[str]:
    """Return what differs, in the order in which it came up; empty when all is the same."""
    out: list[str] = []
    ours = _merged(ours, theirs)
    for number, (a, b) in enumerate(zip(ours.trace, theirs.trace, strict=False)):
        out += [f"step {number + 1}: {text}" for text in registers(a, b)]
        if out:
            break
    if not out and len(ours.trace) != len(theirs.trace):
        steps = f"steps: {len(ours.trace)}, theirs {len(theirs.trace)}"
        out.append(f"{steps}; end: {ours.end}, theirs {theirs.end}")
    if not out and ours.end != theirs.end:
        out.append(f"end: {ours.end}, theirs {theirs.end}")
    if not out and ours.memory != theirs.memory:
        a, b = dict(ours.memory), dict(theirs.memory)
        before = _image_word(image)
        for at in sorted({*a, *b}):
            x, y = a.get(at, before(at)), b.get(at, before(at))
            if x != y:
                out.append(f"memory {at:#x}: {x:016x}, theirs {y:016x} (was {before(at):016x})")
    return out


def _merged(ours: Outcome, theirs: Outcome) -> Outcome:
    """Drop our state at a handler's entry where the oracle merged it with the next.

    A task switch that faults in the new task's context has retired here, and not there.
    """
    trace = list(ours.trace)
    for step, vector, _ in theirs.exceptions:
        if vector not in TASK_FAULTS or step + 1 >= len(trace) or step >= len(theirs.trace):
            continue
        entry = trace[step].rip & 0xFFFF
        if trace[step + 1].rip == trace[step].rip + 1 == theirs.trace[step].rip and not entry & 0xF:
            del trace[step]
    # The last of ours has no partner then.
    return replace(ours, trace=tuple(trace))


def registers(a: Registers, b: Registers) -> list[str]:
    """Return the registers that differ."""
    out = []
    theirs = b.named()
    for name, value in a.named().items():
        other = theirs[name]
        if value == other or (name == "rflags" and not (a.rflags ^ b.rflags) & ~LAZY_FLAGS):
            continue
        if isinstance(value, tuple):
            if name in (*SEGMENTS, *SYSTEM_SEGMENTS) and _both_unusable(value, other):
                continue
            if name == "cs" and not a.cr[0] & 1 and _same_but_type(value, other):
                continue
            text = " ".join(f"{x:x}" for x in value)
            there = " ".join(f"{x:x}" for x in other)
            out.append(f"{name} [{text}], theirs [{there}]")
        else:
            out.append(f"{name} {value:x}, theirs {other:x}")
    return out


def _both_unusable(a: tuple[int, ...], b: object) -> bool:
    """Tell whether both hold the same selector and no segment: the rest is nobody's business."""
    return isinstance(b, tuple) and a[0] == b[0] and not a[3] & 0x80 and not b[3] & 0x80


def _same_but_type(a: tuple[int, ...], b: object) -> bool:
    """Tell whether two segments differ in type and DPL alone.

    Real mode does not look at them in CS. The oracle makes writable data of CS there, which is what
    a reset leaves (SDM volume 3, table 10-1); here it keeps what was loaded.
    """
    return isinstance(b, tuple) and a[:3] == b[:3] and not (a[3] ^ b[3]) & ~0x6F


def _image_word(image: Image):
    def word(at: int) -> int:
        data = bytearray(8)
        for start, content in image.memory:
            for n in range(8):
                if start <= at + n < start + len(content):
                    data[n] = content[at + n - start]
        return int.from_bytes(data, "little")

    return word
