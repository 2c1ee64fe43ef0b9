"""Debugger and real gdb on guests in every width of code: the whole way through the command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import guests
import pytest
from command import Vmwb

pytestmark = [pytest.mark.guest, pytest.mark.timeout(120)]

GDB_SECONDS = 60


def start(vmwb: Vmwb, name: str, guest: guests.DebugGuest, append: str) -> None:
    vmwb.ok(
        *("create", name, "--memory", "16M", "--kernel", guest.image, "--append", append),
        *("--display", "none"),
    )
    vmwb.ok("start", name, "--headless")


def gdb(vmwb: Vmwb, name: str, folder: Path, *commands: str, options: tuple[str, ...] = ()) -> str:
    """Attach gdb to a machine, carry out its commands, and give what it printed."""
    program = shutil.which("gdb")
    assert program is not None, "gdb is missing: `make setup` installs it"
    command = [Path(sys.executable).with_name("vmwb"), "gdb", name, "--once", "--json", *options]
    with subprocess.Popen(
        [*command, "--socket", folder / "gdb.sock"],
        env=vmwb.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        place = json.loads(server.stdout.readline())["listening"]
        lines = [
            "set pagination off",
            "set confirm off",
            f"target remote {place}",
            *commands,
        ]
        asked = [word for line in lines for word in ("-ex", line)]
        done = subprocess.run(
            [program, "-nx", "-batch", *asked],
            capture_output=True,
            text=True,
            timeout=GDB_SECONDS,
            check=False,
        )
        assert server.wait(GDB_SECONDS) == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def value(output: str, number: int) -> int:
    """Give the value of gdb's history."""
    found = re.search(rf"^\${number} = (0x[0-9a-f]+|-?[0-9]+)", output, re.MULTILINE)
    assert found is not None, output
    return int(found[1], 0)


@pytest.mark.parametrize(
    ("wide", "append", "loop", "count"),
    [
        (True, "", "wide_loop", "$rcx"),
        (False, "", "narrow_loop", "$ecx"),
        (False, "real", "real", "$cx"),
    ],
    ids=["64-bit", "32-bit", "16-bit"],
)
def test_gdb_breaks_steps_reads_and_leaves(
    vmwb: Vmwb, short_tmp_path: Path, wide: bool, append: str, loop: str, count: str
) -> None:
    guest = guests.debug(wide=wide)
    at = guest.real_loop if loop == "real" else guest.labels[loop]
    start(vmwb, "debugged", guest, append)

    output = gdb(
        vmwb,
        "debugged",
        short_tmp_path,
        f"break *{at:#x}",
        "continue",
        "p/x $pc",
        f"p {count}",
        "continue",
        f"p {count}",
        "stepi",
        "p/x $pc",
        f"x/1xb {at:#x}",
        "delete",
        "detach",
    )

    assert value(output, 1) == at, output
    # Once round the loop between the two stops; 16 bits may have begun anew.
    assert (value(output, 3) - value(output, 2)) % 0x10000 == 1, output
    assert value(output, 4) > at
    assert vmwb.state("debugged") == "running"
    breakpoints = json.loads(vmwb.ok("debug", "debugged", "-c", "break", "--json"))
    assert breakpoints["breakpoints"] == []


def test_gdb_watches_memory_sets_registers_and_interrupts(vmwb: Vmwb, short_tmp_path: Path) -> None:
    guest = guests.debug(wide=True)
    counter = guest.labels["counter"]
    start(vmwb, "debugged", guest, "")

    output = gdb(
        vmwb,
        "debugged",
        short_tmp_path,
        f"watch *(unsigned long *){counter:#x}",
        "continue",
        "continue",
        "p/x $pc",
        f"p *(unsigned long *){counter:#x} - $rcx",
        "delete",
        f"set var *(unsigned long *){counter:#x} = 0x1234567",
        f"p/x *(unsigned long *){counter:#x}",
        "set var $xmm3.uint128 = 5",
        "p $xmm3.uint128",
        "p $fctrl",
        f"tbreak *{guest.labels['wide_call']:#x}",
        "continue",
        "finish",
        "p/x $rdx",
        "p $cr0 & 1",
        "kill",
    )

    assert "Hardware watchpoint" in output, output
    # Behind the store, at the call.
    assert value(output, 1) == guest.labels["wide_loop"] + 11, output
    assert value(output, 2) == 0
    assert value(output, 3) == 0x1234567
    assert value(output, 4) == 5
    assert value(output, 6) == 0x1122334455667788
    assert value(output, 7) == 1
    assert vmwb.state("debugged") == "running"


def test_gdb_of_a_32_bit_view_is_chosen_by_hand(vmwb: Vmwb, short_tmp_path: Path) -> None:
    start(vmwb, "debugged", guests.debug(wide=True), "")

    output = gdb(
        vmwb,
        "debugged",
        short_tmp_path,
        "p/x (unsigned)$eip >> 16",
        "info registers eflags",
        options=("--arch", "i386"),
    )

    assert value(output, 1) == 0x10, output


def test_debug_commands_show_stop_and_step_a_guest(vmwb: Vmwb) -> None:
    guest = guests.debug(wide=False)
    at = guest.labels["narrow_call"]
    start(vmwb, "debugged", guest, "")

    done = vmwb.ok(
        *("debug", "debugged", "--json"),
        *("-c", f"break {at:#x}"),
        *("-c", "wait 20"),
        *("-c", "dis rip 2"),
        *("-c", "step 2"),
        *("-c", "walk rip"),
        *("-c", "mem rsp 4"),
        *("-c", "regs"),
        *("-c", "trace start instruction 100"),
        *("-c", "step 50"),
        *("-c", "trace 3"),
        *("-c", "delete all"),
        *("-c", "continue"),
    )

    answers = {item["command"]: item for item in map(json.loads, done.splitlines())}
    stopped, code = answers["wait"], answers["dis"]["lines"]
    assert (stopped["state"], stopped["stop"]["reason"]) == ("paused", "breakpoint")
    assert [line["text"] for line in code] == ["mov edx, 0x11223344", "ret"]
    assert answers["walk"]["end"] == "paging_off"
    events = [json.loads(line) for line in answers["trace"]["lines"]]
    assert [event["kind"] for event in events] == ["instruction"] * 3
    assert answers["step"]["retired"] > stopped["retired"]
    assert vmwb.state("debugged") == "running"


def test_debug_of_a_running_guest_refuses_to_change_it(vmwb: Vmwb) -> None:
    start(vmwb, "debugged", guests.debug(wide=True), "")

    done = vmwb.run("debug", "debugged", "-c", "set rax 1")

    assert (done.returncode, done.stdout) == (4, "")
    assert "pause it first" in done.stderr
