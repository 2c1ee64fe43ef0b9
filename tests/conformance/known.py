"""Differences that are not ours: where the oracle is wrong or made differently, or both are right.

Each reason names its source. A rule sees the image and both outcomes and is as narrow as it can be:
what it lets through is counted by reason in the report.
"""

from __future__ import annotations

from collections.abc import Callable

from images import HIGH_RAM, Image, Outcome

Rule = Callable[[Image, Outcome, Outcome, list[str]], bool]
ACCESSED = 0x20
PREFIXES = b"\x26\x2e\x36\x3e\x64\x65\x66\x67"
ARITHMETIC = 0x8D5
LONG_MODE = 1 << 10
TRAP_FLAG = 1 << 8
PAGING = 1 << 31
#: MSRs that every model has; the oracle lets a program read and write any other as zero.
KNOWN_MSRS = frozenset(
    {
        *(0x10, 0x1B, 0x174, 0x175, 0x176, 0x277, 0x2FF, 0xFE, 0x179, 0x17A, 0x17B),
        *range(0x200, 0x210),
        *(0x250, 0x258, 0x259, *range(0x268, 0x270)),
        *(0xC0000080, 0xC0000081, 0xC0000082, 0xC0000083, 0xC0000084),
        *(0xC0000100, 0xC0000101, 0xC0000102, 0xC0000103),
    }
)


def _code(image: Image) -> bytes:
    at = image.registers.seg[1][1] + image.registers.rip
    for start, data in reversed(image.memory):
        if start <= at < start + len(data):
            return data[at - start :]
    return b""


def _dword(image: Image, at: int) -> int:
    for start, data in reversed(image.memory):
        if start <= at and at + 4 <= start + len(data):
            return int.from_bytes(data[at - start : at - start + 4], "little")
    return 0


def _words(texts: list[str]) -> list[tuple[int, int, int]] | None:
    """Return address, ours and theirs of each memory difference; None if another is among them."""
    out = []
    for text in texts:
        parts = text.replace(",", "").replace(":", "").split()
        if parts[0] != "memory":
            return None
        out.append((int(parts[1], 16), int(parts[2], 16), int(parts[4], 16)))
    return out


def _accessed_only(_i: Image, _o: Outcome, _t: Outcome, texts: list[str]) -> bool:
    words = _words(texts)
    low = ACCESSED | ACCESSED << 32
    return words is not None and all((a ^ b) & ~low == 0 for _, a, b in words)


def _below_stack(image: Image, _o: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    words = _words(texts)
    if words is None or not theirs.exceptions:
        return False
    stack = image.registers.gpr[4] + image.registers.seg[2][1]
    return all(stack - 0x100 <= at < stack + 8 for at, _, _ in words)


def _several_stores(image: Image, _o: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    code = _code(image).lstrip(b"\x26\x2e\x36\x3e\x64\x65\x66\x67")
    stores = code[:1] in {b"\xd9", b"\xdd", b"\x60", b"\xc8"} or code[:2] in {
        b"\x0f\xae",
        b"\x0f\x01",
    }
    return stores and _words(texts) is not None and bool(theirs.exceptions)


def _alignment_or_limit(image: Image, _o: Outcome, _t: Outcome, texts: list[str]) -> bool:
    code = _code(image).lstrip(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3")
    faults = ("rip 60c1, theirs 60d1", "rip 631, theirs 635")
    return code[:1] == b"\x0f" and any(fault in texts[0] for fault in faults)


def _unknown_msr(image: Image, _o: Outcome, _t: Outcome, texts: list[str]) -> bool:
    code = _code(image)
    access = b"\x0f\x30" in code[:6] or b"\x0f\x32" in code[:6]
    rcx = image.registers.gpr[1] & 0xFFFFFFFF
    faults = ("rip 60d1, theirs 80", "rip 635, theirs 7c0")
    return access and rcx not in KNOWN_MSRS and any(fault in texts[0] for fault in faults)


def _clock(image: Image, _o: Outcome, _t: Outcome, _x: list[str]) -> bool:
    code = _code(image)
    counters = (b"\x0f\x31", b"\x0f\x33", b"\x0f\x01\xf9", b"\x0f\xa2")
    return any(counter in code[:8] for counter in counters)


def _resume_flag(_i: Image, _o: Outcome, _t: Outcome, texts: list[str]) -> bool:
    if len(texts) != 1 or "rflags" not in texts[0]:
        return False
    ours, theirs = (int(w.rstrip(","), 16) for w in (texts[0].split()[3], texts[0].split()[5]))
    return (ours ^ theirs) & ~0x8D5 == 1 << 16 and bool(ours & 1 << 16)


def _vendor_calls(image: Image, _o: Outcome, _t: Outcome, _x: list[str]) -> bool:
    code = _code(image).lstrip(b"\x48")[:2]
    long_mode = bool(image.registers.efer & LONG_MODE)
    bits64 = long_mode and bool(image.registers.seg[1][3] & 0x2000)
    if code in {b"\x0f\x34", b"\x0f\x35"}:
        return long_mode
    return code in {b"\x0f\x05", b"\x0f\x07"} and not bits64


def _sysret_stack(image: Image, _o: Outcome, _t: Outcome, texts: list[str]) -> bool:
    code = _code(image).lstrip(b"\x48")[:2]
    return code == b"\x0f\x07" and all(" ss [" in text for text in texts)


def _sysret_traps(image: Image, _o: Outcome, _t: Outcome, texts: list[str]) -> bool:
    code = _code(image).lstrip(b"\x48")[:2]
    steps_on = code == b"\x0f\x07" and bool(image.registers.gpr[11] & TRAP_FLAG)
    return steps_on and any(" dr6 ffff4ff0, theirs ffff0ff0" in text for text in texts)


def _sysret_outside(image: Image, _o: Outcome, _t: Outcome, _x: list[str]) -> bool:
    upper = image.registers.gpr[1] >> 47
    return _code(image)[:3] == b"\x48\x0f\x07" and upper not in {0, 0x1FFFF}


def _wraps(image: Image, _o: Outcome, _t: Outcome, _x: list[str]) -> bool:
    stack = image.registers.seg[2]
    return image.registers.gpr[4] < 0x40 and stack[2] == 0xFFFFFFFF


def _iret_in_64_bit(image: Image, _o: Outcome, _t: Outcome, _x: list[str]) -> bool:
    bits64 = image.registers.efer & LONG_MODE and image.registers.seg[1][3] & 0x2000
    return bool(bits64) and _code(image)[:1] in {b"\xcf", b"\x66"} and b"\xcf" in _code(image)[:2]


def _into_virtual_8086(image: Image, ours: Outcome, theirs: Outcome, _x: list[str]) -> bool:
    entered = bool(theirs.trace) and bool(theirs.trace[0].rflags & 1 << 17)
    refused = bool(ours.trace) and ours.trace[0].rip == 0x60D1
    return _code(image).lstrip(PREFIXES)[:1] == b"\xcf" and entered and refused


def _frame_that_wraps(image: Image, _o: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    """IRET and RETF from a 16-bit stack whose frame lies around its end."""
    stack = image.registers.seg[2]
    returns = _code(image).lstrip(PREFIXES)[:1] in {b"\xca", b"\xcb", b"\xcf"}
    near_end = not stack[3] & 0x4000 and image.registers.gpr[4] & 0xFFFF > 0xFFF0
    return returns and near_end and "theirs 60c1" in texts[0] and bool(theirs.exceptions)


def _frame_of_bad_target(image: Image, _o: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    if _code(image)[:1] != b"\xcd" or not image.registers.efer & LONG_MODE:
        return False
    # Ours has written nothing where the oracle has.
    kept = [text.partition(": ")[2].split()[0].rstrip(",") for text in texts]
    was = [text.rpartition("(was ")[2].rstrip(")") for text in texts]
    return _words(texts) is not None and kept == was and bool(theirs.exceptions)


def _far_call_order(image: Image, _o: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    code = _code(image).lstrip(PREFIXES)
    calls = code[:1] == b"\x9a" or (code[:1] == b"\xff" and code[1] >> 3 & 7 == 3)
    real = not image.registers.cr[0] & 1 or bool(image.registers.rflags & 1 << 17)
    faults = ("rip 60c1, theirs 60d1", "rip 631, theirs 635")
    return calls and real and bool(theirs.exceptions) and any(f in texts[0] for f in faults)


def _fault_address(_i: Image, _o: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    """CR2 names another byte of the missing page."""
    if len(texts) != 1 or ": cr2 " not in texts[0] or not theirs.exceptions:
        return False
    ours, other = (int(w.rstrip(","), 16) for w in (texts[0].split()[3], texts[0].split()[5]))
    return ours >> 12 == other >> 12


def _undefined_flags(_i: Image, _o: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    """Flags that the instruction before a fault leaves undefined, in the frame of the fault."""
    words = _words(texts)
    if words is None or len(words) != 1 or not theirs.exceptions:
        return False
    different = words[0][1] ^ words[0][2]
    return any(different & ~(ARITHMETIC << shift) == 0 for shift in range(0, 64, 8))


def _image_around_the_end(image: Image, _o: Outcome, _t: Outcome, texts: list[str]) -> bool:
    code = _code(image).lstrip(PREFIXES)
    state = code[:1] in {b"\xd9", b"\xdd"} and code[1] < 0xC0 and code[1] >> 3 & 7 in {4, 6}
    return state and any(handler in texts[0] for handler in ("rip 60d1", "rip 635", "rip 60c1"))


def _code_of_real_mode(image: Image, _o: Outcome, _t: Outcome, texts: list[str]) -> bool:
    """The type that a code segment had in real mode stays when CR0.PE is set."""
    real = not image.registers.cr[0] & 1
    return real and len(texts) == 1 and " cs [" in texts[0] and " 9b], theirs" in texts[0]


def _trap_ends_guest(_i: Image, ours: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    """A trap that cannot be delivered: the instruction before it is a step there, and none here."""
    traps = any(vector == 1 for _, vector, _ in theirs.exceptions)
    steps = len(theirs.trace) - len(ours.trace) == 1
    return traps and steps and ours.end == theirs.end == "triple" and texts[0].startswith("steps")


def _failed_delivery(_i: Image, ours: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    words = _words(texts)
    written = dict(ours.memory)
    several = len({step for step, _, _ in theirs.exceptions}) < len(theirs.exceptions)
    return words is not None and several and not any(at in written for at, _, _ in words)


def _push_of_selector(image: Image, _o: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    code = _code(image).lstrip(PREFIXES)
    if code[:1] in {b"\x07", b"\x17", b"\x1f"} or code[:2] in {b"\x0f\xa1", b"\x0f\xa9"}:
        handlers = ("rip 60c1", "rip 631")
        return not theirs.exceptions and any(handler in texts[0] for handler in handlers)
    pushes = code[:1] in {b"\x06", b"\x0e", b"\x16", b"\x1e"}
    pushes = pushes or code[:2] in {b"\x0f\xa0", b"\x0f\xa8"}
    words = _words(texts)
    refused = texts[0].startswith(("step 1: rip 60c1, theirs 80", "steps: 0"))
    return pushes and (words is not None or refused)


def _features_of_the_oracle(image: Image, _o: Outcome, theirs: Outcome, _x: list[str]) -> bool:
    """It has VMX, SMX and AVX, which no model here announces: their bits are reserved."""
    code = _code(image)
    mov_cr4 = b"\x0f\x22\xe0" in code[:5] and bool(theirs.trace)
    foreign = mov_cr4 and bool(theirs.trace[0].cr[3] & (3 << 13))
    return foreign or (code[:3] == b"\x0f\x01\xd1" and bool(image.registers.gpr[0] & 4))


def _prefetch_of_register(image: Image, _o: Outcome, _t: Outcome, _x: list[str]) -> bool:
    prefixes = bytes(range(0x40, 0x50)) + b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3"
    code = _code(image).lstrip(prefixes)
    return code[:2] == b"\x0f\x0d" and code[2] >= 0xC0


def _fetch_position(_i: Image, _o: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    if len(texts) != 1 or " rip " not in texts[0]:
        return False
    ours_at, at = (int(w.rstrip(","), 16) for w in (texts[0].split()[3], texts[0].split()[5]))
    # The page's end, or the segment's.
    ends = not at & 0xFFF or any(at == r.rip == r.seg[1][2] + 1 for r in theirs.trace)
    return ends and 0 < at - ours_at < 15


def _table_outside(image: Image, _o: Outcome, _t: Outcome, texts: list[str]) -> bool:
    paging, directory = image.registers.cr[0] & PAGING, image.registers.cr[2]
    entries = [_dword(image, directory + 4 * n) for n in range(4)]
    outside = any(e & 1 and e & 0xFFFFF000 >= sum(HIGH_RAM) for e in entries)
    return bool(paging) and outside and " rip " in texts[0]


def _null_stack_of_ring_3(image: Image, _o: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    faulted = texts[0].startswith("step 1: rip 60d1, theirs ")
    return faulted and _code(image)[:2] == b"\x48\xcf" and theirs.trace[0].seg[2][0] == 3


def _gate_order(image: Image, _o: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    far = _code(image)[:1] == b"\xff" and image.registers.efer & LONG_MODE
    absent = any(vector == 11 for _, vector, _ in theirs.exceptions)
    return bool(far) and absent and "rip 60d1, theirs 60b1" in texts[0]


def _fetch_or_decode(_i: Image, _o: Outcome, _t: Outcome, texts: list[str]) -> bool:
    return any("rip 60e1, theirs 6061" in text for text in texts)


def _enter_16_in_64(image: Image, _o: Outcome, _t: Outcome, _x: list[str]) -> bool:
    bits64 = image.registers.efer & LONG_MODE and image.registers.seg[1][3] & 0x2000
    prefixes = b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3"
    code = _code(image)
    return bool(bits64) and b"\x66" in code[:4] and code.lstrip(prefixes)[:1] == b"\xc8"


def _own_code(image: Image, ours: Outcome, theirs: Outcome, _x: list[str]) -> bool:
    """Tell whether a string instruction wrote over itself."""
    at = (image.registers.seg[1][1] + image.registers.rip) & ~7
    code = _code(image).lstrip(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\x48")
    stores = code[:1] in {b"\xf2", b"\xf3"} and code[1:].lstrip(
        b"\x66\x67\x48\x2e\x36\x64\x65\x26"
    )[:1] in {
        *(b"\xa4", b"\xa5", b"\xaa", b"\xab"),
    }
    return stores and any(at <= word < at + 16 for word, _ in (*ours.memory, *theirs.memory))


def _sysenter_cs(_i: Image, _o: Outcome, _t: Outcome, texts: list[str]) -> bool:
    return all("sysenter_cs" in text for text in texts)


def _task_fault(_i: Image, _o: Outcome, theirs: Outcome, texts: list[str]) -> bool:
    """The handler runs in the new task; which of its segments were loaded before one failed?"""
    if not theirs.exceptions or theirs.exceptions[0][1] not in {10, 11, 12}:
        return False
    handlers = ("60a1", "60b1", "60c1")
    parts = texts[0].replace(",", "").split()
    if len(parts) == 6 and parts[2] == "rip" and parts[3] in handlers and parts[5] in handlers:
        return True  # two of its segments are bad, in different ways
    segments = ("es", "ss", "ds", "fs", "gs")
    if all(text.split(": ")[1].split()[0] in segments for text in texts if text.startswith("step")):
        return texts[0].startswith("step")
    words = _words(texts)
    return words is not None and len(words) == 1 and (words[0][1] ^ words[0][2]) >> 16 == 0


RULES: tuple[tuple[str, Rule], ...] = (
    (
        "accessed bits may be set early, for what an instruction might touch (SDM vol. 3, 4.8)",
        _accessed_only,
    ),
    (
        "what a faulting instruction had pushed stays below the stack pointer (SDM vol. 3, 6.5: "
        "restartable, not without traces)",
        _below_stack,
    ),
    ("a store of many bytes that faults may have written some of them", _several_stores),
    (
        "INT to a target that is not canonical may have written its frame before the fault",
        _frame_of_bad_target,
    ),
    (
        "misaligned and beyond the limit at once: either fault (SDM vol. 2, FXSAVE, and SSE)",
        _alignment_or_limit,
    ),
    ("the oracle is built to read and write unknown MSRs as zero", _unknown_msr),
    ("clocks and identity differ", _clock),
    ("the oracle shows RF cleared before the instruction that IRET set it for", _resume_flag),
    (
        "SYSENTER in long mode and SYSCALL outside it: AMD's rules here, Intel's there "
        "(APM vol. 3, SYSENTER; SDM vol. 2, SYSCALL)",
        _vendor_calls,
    ),
    ("SYSRET leaves the attributes of SS (APM vol. 3, SYSRET); Intel sets them", _sysret_stack),
    (
        "SYSRET to an address that is not canonical faults there on AMD's processors (APM vol. 3, "
        "SYSRET), and before it leaves on the oracle's",
        _sysret_outside,
    ),
    (
        "SYSRET that sets TF traps before the first instruction behind it (SDM vol. 2, SYSRET; "
        "Linux, arch/x86/entry/entry_64.S); the oracle only behind it",
        _sysret_traps,
    ),
    (
        "IRET with a 16- or 32-bit operand in 64-bit code pops SS and the stack pointer too (SDM "
        "vol. 2, IRET, IA-32e-MODE); the oracle does only with 64 bits",
        _iret_in_64_bit,
    ),
    (
        "IRET to virtual-8086 mode with EIP above FFFFh is #GP (SDM vol. 2, IRET, "
        "RETURN-TO-VIRTUAL-8086-MODE); the oracle cuts it",
        _into_virtual_8086,
    ),
    (
        "IRET and RETF from a 16-bit stack: SP wraps inside the frame; the oracle lets it go on",
        _frame_that_wraps,
    ),
    (
        "CALL far of 8086 code: room on the stack is checked before the offset (SDM vol. 2, CALL)",
        _far_call_order,
    ),
    (
        "an operand of many bytes or parts: which byte of a missing page is met first is by model",
        _fault_address,
    ),
    ("flags that an instruction leaves undefined, pushed by a fault", _undefined_flags),
    (
        "an x87 image across the end of 16-bit offsets is #GP or #SS as a whole; the oracle wraps",
        _image_around_the_end,
    ),
    (
        "the oracle makes data of real mode's code segment (SDM vol. 3, table 10-1)",
        _code_of_real_mode,
    ),
    (
        "PUSH and POP of a selector with 32 bits access 32 bits or 16, by model (SDM vol. 2, PUSH)",
        _push_of_selector,
    ),
    (
        "a page table where no RAM is: here it reads as all ones, in the oracle as it was written",
        _table_outside,
    ),
    (
        "IRETQ to a null stack selector of RPL 3 in ring 0 is #GP (SDM vol. 2, RET and IRET); the "
        "oracle lets it pass",
        _null_stack_of_ring_3,
    ),
    (
        "a call gate that is absent and whose upper half is no gate's: either fault (SDM vol. 3, "
        "section 5.8.3.1)",
        _gate_order,
    ),
    (
        "RIP of a fetch that crosses into a missing page or the limit, as the harness sees it",
        _fetch_position,
    ),
    (
        "invalid by its first bytes, and in a missing page with the next: fetching comes before "
        "decoding (SDM vol. 3, table 6-2)",
        _fetch_or_decode,
    ),
    (
        "a repetition that writes over itself: when that is seen is by model (SDM vol. 3, 8.1.3)",
        _own_code,
    ),
    ("66 before ENTER in 64-bit code means 16 bits; the oracle ignores it", _enter_16_in_64),
    (
        "bits of VMX, SMX and AVX, which the oracle has and no model here announces",
        _features_of_the_oracle,
    ),
    (
        "PREFETCHW of a register is #UD (APM vol. 3, PREFETCHW); a NOP in the oracle",
        _prefetch_of_register,
    ),
    ("a trap that ends the guest: its instruction is a step of its own or not", _trap_ends_guest),
    (
        "the frame of a delivery that then fails may have been pushed (SDM vol. 3, 6.14.2: order "
        "of checks and pushes)",
        _failed_delivery,
    ),
    ("IA32_SYSENTER_CS: 16 bits are kept (APM vol. 2, A.2); the oracle keeps 32", _sysenter_cs),
    (
        "a fault in a new task: the order of its segments' checks, and which of them are loaded "
        "then, is not architectural (SDM vol. 3, 6.15, #TS)",
        _task_fault,
    ),
    (
        "a stack that wraps at 4 GiB with a limit of 4 GiB: with or without a fault, by model "
        "(SDM vol. 3, 5.3)",
        _wraps,
    ),
)


def reason(topic: str, image: Image, ours: Outcome, theirs: Outcome, texts: list[str]) -> str:
    """Return why a difference is none of our faults; empty when there is no such reason."""
    del topic
    for why, rule in RULES:
        if rule(image, ours, theirs, texts):
            return why
    return ""
