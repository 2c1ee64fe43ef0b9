"""Run a program on our processor and on the oracle, and print both sides step by step.

    .venv/bin/python tests/conformance/show.py --mode real  --code "b8 34 12 cd 10 f4"
    .venv/bin/python tests/conformance/show.py --mode protected --code "0f 0b" --steps 3
    .venv/bin/python tests/conformance/show.py --file image.json

Modes: `real` (16-bit, CS = DS = SS = 0, code at 7C00h), `protected` (32-bit, ring 0, flat, with the
GDT, IDT and TSS of machine.py), `v86` (virtual-8086 mode with IOPL 3), `long` (64-bit, identity
map). `--set rax=5` changes a register, `--memory 500=40cf` bytes, `--at 7c00` where the code goes.
`--file` takes an image as the tests print it when they fail. Each line shows what a step changed;
lines that begin with ! differ. Exceptions come from the oracle: vector and error code.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import machine
from bochs import Oracle
from compare import differences
from engine import Engine, build
from images import Image, Outcome, Registers


def main(arguments: Sequence[str]) -> int:
    """Run and print; 1 when the two differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mode", choices=sorted(machine.MODES), default="real")
    parser.add_argument("--code", default="f4", help="bytes in hexadecimal")
    parser.add_argument("--at", type=lambda t: int(t, 16), help="address of the code")
    parser.add_argument("--set", action="append", default=[], help="register=value (hexadecimal)")
    parser.add_argument("--memory", action="append", default=[], help="address=bytes (hexadecimal)")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--model", default="max", help="our processor model")
    parser.add_argument("--file", type=Path, help="an image as JSON")
    options = parser.parse_args(arguments)
    image = _from_file(options.file) if options.file else _from_options(options)
    build()
    with Engine() as engine:
        ours = engine.run(image)
    theirs = Oracle().run(image)
    _print(image, ours, theirs)
    wrong = differences(image, ours, theirs)
    print("\n".join(wrong) if wrong else "no difference")
    return int(bool(wrong))


def _from_file(path: Path) -> Image:
    values = json.loads(path.read_text(encoding="utf-8"))
    memory = tuple((at, bytes.fromhex(text)) for at, text in values["memory"])
    return Image(
        Registers.of(values["registers"]), memory, values["steps"], model=values.get("model", "max")
    )


def _from_options(options: argparse.Namespace) -> Image:
    base = machine.MODES[options.mode]()
    registers = base.registers
    at = options.at if options.at is not None else registers.rip + registers.seg[1][1]
    memory = [*base.memory, (at, bytes.fromhex(options.code))]
    for text in options.memory:
        address, _, data = text.partition("=")
        memory.append((int(address, 16), bytes.fromhex(data)))
    for text in options.set:
        name, _, value = text.partition("=")
        registers = registers.but(**{name: int(value, 16)})
    return Image(registers, tuple(memory), options.steps, model=options.model)


def _print(image: Image, ours: Outcome, theirs: Outcome) -> None:
    start = image.registers
    at = start.seg[1][1] + start.rip
    code = next((d for a, d in reversed(image.memory) if a <= at < a + len(d)), b"")
    print(f"mode: cr0={start.cr[0]:x} cr4={start.cr[3]:x} efer={start.efer:x} cs={start.seg[1]}")
    print(f"code: {code[:24].hex(' ')}  {_changes(Registers(), start)}")
    for step, vector, error in theirs.exceptions:
        print(f"  exception in step {step + 1}: vector {vector}, error code {error:#x}")
    before_ours = before_theirs = image.registers
    for number in range(max(len(ours.trace), len(theirs.trace))):
        a = ours.trace[number] if number < len(ours.trace) else None
        b = theirs.trace[number] if number < len(theirs.trace) else None
        mark = " " if a == b else "!"
        if a is not None:
            print(f"{mark} {number + 1:3} ours   {_changes(before_ours, a)}")
            before_ours = a
        if b is not None and a != b:
            print(f"{mark} {number + 1:3} theirs {_changes(before_theirs, b)}")
        before_theirs = b or before_theirs
    print(f"end: {ours.end}, theirs {theirs.end}")


def _changes(before: Registers, after: Registers) -> str:
    old = before.named()
    out = []
    for name, value in after.named().items():
        if value != old[name]:
            text = f"{value:x}" if isinstance(value, int) else ":".join(f"{v:x}" for v in value)
            out.append(f"{name}={text}")
    return " ".join(out) or "(nothing)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
