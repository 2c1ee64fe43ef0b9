"""The whole way through command, services, worker and core with a guest that lives for a moment."""

from __future__ import annotations

import json
from pathlib import Path

import guests
import pytest
from command import Vmwb

pytestmark = [pytest.mark.guest, pytest.mark.timeout(120)]


def hello(append: str = "") -> list[str]:
    """Return the options for our own guest; the first letter of `append` chooses how it ends."""
    return ["--memory", "16M", "--kernel", str(guests.hello()), "--append", append]


def run_hello(vmwb: Vmwb, append: str, *options: str) -> tuple[int, str, str]:
    """Run our own guest headless and return exit status, output and errors."""
    done = vmwb.run("run", "--headless", *hello(append), *options)
    return done.returncode, done.stdout, done.stderr


def test_run_guest_powers_off_exits_zero(vmwb: Vmwb) -> None:
    status, output, errors = run_hello(vmwb, "")

    assert (status, guests.HELLO_TEXT in output) == (0, True), errors


def test_run_until_serial_appears_exits_zero(vmwb: Vmwb) -> None:
    status, _, errors = run_hello(vmwb, "halt", "--until-serial", guests.HELLO_TEXT)

    assert status == 0, errors


def test_run_debug_exit_gives_the_guests_status(vmwb: Vmwb, tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"

    status, _, errors = run_hello(vmwb, "debug", "--debug-exit", "0x501", "--stats", str(stats))

    assert status == 43, errors
    assert json.loads(stats.read_text())["ended_by"] == "debug_exit"


def test_run_triple_fault_exits_one_and_says_so(vmwb: Vmwb) -> None:
    status, _, errors = run_hello(vmwb, "triple")

    assert status == 1
    assert "triple fault" in errors.lower()


def test_run_invalid_instruction_is_named_with_its_bytes(vmwb: Vmwb) -> None:
    status, _, errors = run_hello(vmwb, "undefined")

    assert status == 1
    assert "an invalid instruction (exception 6)" in errors
    assert "The bytes there, 0f 0b" in errors


def test_run_goes_on_in_the_memory_of_the_display(vmwb: Vmwb) -> None:
    status, _, errors = run_hello(vmwb, "memory of the display", "--debug-exit")

    assert status == (0x15 << 1) | 1, errors


def test_run_halted_for_good_exits_one_and_says_so(vmwb: Vmwb) -> None:
    status, _, errors = run_hello(vmwb, "halt")

    assert status == 1
    assert "halt" in errors.lower()


def test_run_timeout_exits_124(vmwb: Vmwb) -> None:
    status, _, _ = run_hello(vmwb, "echo", "--timeout", "1")

    assert status == 124


def test_run_answers_on_serial(vmwb: Vmwb) -> None:
    answer = f"{guests.HELLO_TEXT}=are you there"

    status, _, errors = run_hello(
        vmwb, "echo", "--on-serial", answer, "--until-serial", "are you there"
    )

    assert status == 0, errors


def test_run_deterministic_twice_retires_the_same_count(vmwb: Vmwb, tmp_path: Path) -> None:
    def once(name: str) -> tuple[str, int]:
        stats = tmp_path / name
        status, output, errors = run_hello(vmwb, "", "--deterministic", "--stats", str(stats))
        assert status == 0, errors
        return output, json.loads(stats.read_text())["retired"]

    assert once("first") == once("second")


def test_machine_lives_through_all_its_states(vmwb: Vmwb) -> None:
    vmwb.ok("create", "small", *hello("echo"))
    assert vmwb.state("small") == "off"

    vmwb.ok("start", "small", "--headless")
    vmwb.wait("small", "--serial", guests.HELLO_TEXT, seconds=20)
    vmwb.ok("pause", "small")
    assert vmwb.state("small") == "paused"

    vmwb.ok("unpause", "small")
    vmwb.ok("send", "small", "marco\n")
    vmwb.wait("small", "--serial", "marco", seconds=20)
    assert vmwb.state("small") == "running"

    vmwb.ok("suspend", "small")
    assert vmwb.state("small") == "suspended"

    vmwb.ok("resume", "small")
    vmwb.ok("send", "small", "polo\n")
    vmwb.wait("small", "--serial", "polo", seconds=20)

    vmwb.ok("reset", "small")
    assert vmwb.state("small") == "running"

    vmwb.ok("stop", "small")
    assert vmwb.state("small") == "off"

    vmwb.ok("delete", "small", "--yes")
    assert json.loads(vmwb.ok("list", "--json")) == []


def test_worker_killed_is_told_as_crashed_and_starts_again(vmwb: Vmwb) -> None:
    vmwb.ok("create", "small", *hello("echo"))
    vmwb.ok("start", "small", "--headless")

    vmwb.kill_worker("small")
    vmwb.wait("small", "--state", "crashed", seconds=20)

    assert vmwb.ok("logs", "small").strip()
    vmwb.ok("start", "small", "--headless")
    assert vmwb.state("small") == "running"


def test_start_a_running_machine_is_a_wrong_state(vmwb: Vmwb) -> None:
    vmwb.ok("create", "small", *hello("echo"))
    vmwb.ok("start", "small", "--headless")

    again = vmwb.run("start", "small", "--headless")

    assert again.returncode == 4
    assert "running" in again.stderr


def test_multiboot_kernel_is_told_its_modules_in_order(vmwb: Vmwb, tmp_path: Path) -> None:
    for name, content in (("first", "1st."), ("second.img", "2nd."), ("disk", "ram.")):
        (tmp_path / name).write_text(content)
    options = [
        *("--memory", "16M", "--kernel", guests.modules(), "--append", "to be shown"),
        *("--initrd", tmp_path / "disk"),
        *(
            "--module",
            f"{tmp_path / 'first'},root=/dev/sda1 a,b",
            "--module",
            tmp_path / "second.img",
        ),
    ]

    done = vmwb.run("run", "--headless", *options)

    told = ["kernel to be shown", "=ram.", "first root=/dev/sda1 a,b=1st.", "second.img=2nd."]
    assert (done.returncode, done.stdout.split("\n")[:4]) == (0, told), done.stderr


def test_kernel_in_real_mode_gets_an_answer_from_every_call_of_the_bios(vmwb: Vmwb) -> None:
    machine = ("--memory", "16M", "--kernel", guests.services(), "--debug-exit")

    done = vmwb.run("run", "--headless", *machine)

    # The debug exit gives (number of failed checks << 1) | 1.
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BAD" not in done.stdout
    assert "ok INT 19h starts the machine anew" in done.stdout


def test_modules_of_a_machine_are_kept_and_changed(vmwb: Vmwb, tmp_path: Path) -> None:
    module = tmp_path / "m"
    module.write_text("mod.")
    vmwb.ok("create", "multi", "--kernel", guests.modules(), "--module", f"{module},x")

    kept = json.loads(vmwb.ok("show", "multi", "--json"))["config"]["modules"]
    vmwb.ok("edit", "multi", "--module", "none")

    assert kept == [{"path": str(module), "arguments": "x"}]
    assert json.loads(vmwb.ok("show", "multi", "--json"))["config"]["modules"] == []


def test_linux_refuses_modules_with_a_sentence(vmwb: Vmwb, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    modules = ["--module", tmp_path / "one", "--module", tmp_path / "two"]

    done = vmwb.run("run", "--headless", *hello(), *modules)

    assert done.returncode == 1
    assert "one initial RAM disk" in done.stderr
