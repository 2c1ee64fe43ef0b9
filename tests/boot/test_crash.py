"""Guests that cannot run on, from boot sectors of our own: told with a sentence and its facts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import Vmwb

pytestmark = [pytest.mark.guest, pytest.mark.timeout(120)]

# Intel SDM volume 2. Real mode; the BIOS comes with CS = DS = 0 to 7C00h.
# jmp 07c0h:0005h, cli, hlt
HALT = bytes.fromhex("ea0500c007 fa f4")
# jmp 07c0h:0005h, cs: lidt [000fh], xor cx, cx, div cx; zeros are a table without an entry
TRIPLE_FAULT = bytes.fromhex("ea0500c007 2e0f011e0f00 31c9 f7f1 000000000000")
# lidt [7c0ah], an opcode that no processor has
INVALID = bytes.fromhex("0f011e0a7c 0fffc0 0000 000000000000")


def floppy(path: Path, code: bytes) -> Path:
    path.write_bytes((code.ljust(510, b"\0") + b"\x55\xaa").ljust(1_474_560, b"\0"))
    return path


@pytest.mark.parametrize(
    ("code", "words", "facts"),
    [
        (
            HALT,
            "with interrupts disabled (at 0x7)",
            {"reason": "halted_for_good", "address": 0x7C07},
        ),
        (
            TRIPLE_FAULT,
            "a division error (exception 0) at 0xd, nor",
            {"reason": "triple_fault", "vector": 0, "rip": 0xD, "address": 0x7C0D},
        ),
        (
            INVALID,
            "The bytes there, 0f ff c0 00, are no valid instruction",
            {"reason": "triple_fault", "vector": 6, "bytes": "0f ff c0 00", "address": 0x7C05},
        ),
    ],
    ids=["halt", "triple-fault", "invalid"],
)
def test_guest_that_cannot_run_on_is_told_with_its_facts(
    vmwb: Vmwb, tmp_path: Path, code: bytes, words: str, facts: dict[str, object]
) -> None:
    image = floppy(tmp_path / "boot.img", code)
    vmwb.ok("create", "pc", "--memory", "16M", "--floppy", image)
    vmwb.ok("start", "pc", "--headless")
    vmwb.wait("pc", "--state", "crashed", seconds=60)

    shown = json.loads(vmwb.ok("show", "pc", "--json"))
    listed = vmwb.run("run", "--headless", "--memory", "16M", "--floppy", image)

    assert shown["problem_code"] == "guest_crashed"
    assert words in shown["problem"]
    assert shown["problem"].endswith(" Start the machine again.")
    assert {name: shown["problem_facts"].get(name) for name in facts} == facts
    assert (listed.returncode, listed.stderr.strip()) == (1, shown["problem"])
