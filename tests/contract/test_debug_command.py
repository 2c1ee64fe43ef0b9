"""The verb `debug` over a worker around the fake core: its lines, errors, JSON and prompt."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from contract.test_command import Command, environment, vmwb

from vmwb.model.errors import ExitCode

__all__ = ["environment", "vmwb"]


@pytest.fixture
def paused(vmwb: Command) -> Command:
    """Give the command, and a machine `deb` that is paused."""
    assert vmwb("create", "deb", "--kernel", str(vmwb.kernel)) == ExitCode.OK
    assert vmwb("start", "deb", "--headless") == ExitCode.OK
    assert vmwb("pause", "deb") == ExitCode.OK
    return vmwb


def test_debug_lines_print_text_in_order(paused: Command) -> None:
    code = paused("debug", "deb", "-c", "break 0x40", "-c", "mem 0x41 3", "-c", "delete 0x40")

    assert code == ExitCode.OK
    lines = paused.out.splitlines()
    assert lines[0] == "breakpoint at 0x40"
    assert lines[1].startswith("0000000000000041  41 42 43")
    assert lines[2] == "no breakpoints"


def test_debug_lines_print_one_object_each(paused: Command) -> None:
    code = paused(
        "debug", "deb", "--json", "-c", "write 16 aabb", "-c", "mem 16 2", "-c", "watch 16 4 read"
    )

    assert code == ExitCode.OK
    answers = [json.loads(line) for line in paused.out.splitlines()]
    assert [answer["command"] for answer in answers] == ["write", "mem", "watch"]
    assert answers[1]["data"] == "aabb"
    assert answers[2]["watchpoints"] == [{"address": 16, "length": 4, "kind": "read"}]


def test_debug_trace_shows_the_last_events(paused: Command) -> None:
    assert paused("debug", "deb", "-c", "trace start halt 10", "-c", "trace 3") == ExitCode.OK

    assert [line.split()[0] for line in paused.out.splitlines()] == ["3", "4", "5"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("dance", ExitCode.USAGE),
        ("", ExitCode.USAGE),
        ("mem", ExitCode.USAGE),
        ("mem 12 x", ExitCode.USAGE),
        ("mem 1+", ExitCode.USAGE),
        ("mem 5000", ExitCode.NOT_FOUND),
        ("delete 5", ExitCode.USAGE),
        ("unwatch 5", ExitCode.USAGE),
        ("break 1 2", ExitCode.USAGE),
        ("watch 1 2 3", ExitCode.USAGE),
        ("write 1", ExitCode.USAGE),
        ("write 1 xy", ExitCode.USAGE),
        ("set rax", ExitCode.USAGE),
        ("regs everything", ExitCode.USAGE),
        ("trace start moods", ExitCode.USAGE),
        ("trace a b", ExitCode.USAGE),
        ("step -1", ExitCode.USAGE),
        ("'", ExitCode.USAGE),
    ],
)
def test_debug_wrong_line_is_one_sentence(paused: Command, line: str, code: ExitCode) -> None:
    assert paused("debug", "deb", "-c", line) == code

    assert paused.out == ""
    assert paused.err.strip().endswith(".")
    assert "\n" not in paused.err.strip()


def test_debug_of_a_machine_that_is_off_is_wrong_state(vmwb: Command) -> None:
    vmwb("create", "deb", "--kernel", str(vmwb.kernel))

    assert vmwb("debug", "deb", "-c", "status") == ExitCode.WRONG_STATE
    assert vmwb("gdb", "deb") == ExitCode.WRONG_STATE
    assert vmwb("debug", "nobody") == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    "options", [["--port", "1", "--socket", "s"], ["--arch", "z80"], ["--port", "70000"]]
)
def test_gdb_wrong_options_are_usage(vmwb: Command, options: list[str]) -> None:
    assert vmwb("gdb", "deb", *options) == ExitCode.USAGE


def test_gdb_does_not_remove_a_file_that_is_no_socket(paused: Command) -> None:
    precious = paused.home / "precious"
    precious.write_text("x")

    assert paused("gdb", "deb", "--once", "--socket", str(precious)) == ExitCode.FAILURE
    assert precious.read_text() == "x"


def test_debug_prompt_reads_lines_and_goes_on_after_an_error(
    paused: Command, environment: dict[str, str]
) -> None:
    script = Path(__file__).with_name("fake_vmwb.py")
    done = subprocess.run(
        [sys.executable, str(script), "debug", "deb"],
        env=environment,
        input="break 0x40\ndance\n\nstep 2\nquit\nbreak 1\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "breakpoint at 0x40"
    assert "at 0x1" not in done.stdout
    assert done.stderr.count("\n") == 1
    assert "dance" in done.stderr
