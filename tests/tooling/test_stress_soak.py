"""How the soak of several processors reads what its guest says."""

from __future__ import annotations

import pytest
from disk_soak import SoakError
from stress_soak import check_messages, check_processors, operations

#: As the serial port gives it: the echo of the line comes first, and lines end with both codes.
ECHO = "~# echo processors=$(nproc) listed=$(grep -c ^processor /proc/cpuinfo) clock=$(cat /x)\r\n"
METRICS = (
    "~# stress-ng --verify --metrics-brief --timeout 3 --tlb-shootdown 2 2>&1\r\n"
    "stress-ng: info:  [312] setting to a 3 second run per stressor\r\n"
    "stress-ng: info:  [312] dispatching hogs: 2 tlb-shootdown\r\n"
    "stress-ng: metrc: [312] stressor       bogo ops real time  usr time  sys time\r\n"
    "stress-ng: metrc: [312]                           (secs)    (secs)    (secs)\r\n"
    "stress-ng: metrc: [312] tlb-shootdown      4711      3.01      0.12      5.60\r\n"
    "stress-ng: info:  [312] successful run completed in 3.02s\r\n"
)


def test_processors_as_asked_for_with_the_right_clock_pass() -> None:
    check_processors(f"{ECHO}processors=4 listed=4 clock=tsc\r\n", 4)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("processors=1 listed=4 clock=tsc", "nproc sees 1 and /proc/cpuinfo 4"),
        ("processors=4 listed=3 clock=tsc", "nproc sees 4 and /proc/cpuinfo 3"),
        ("processors=4 listed=4 clock=acpi_pm", "clock is acpi_pm"),
        ("bash: nproc: command not found", "does not tell its processors"),
    ],
)
def test_other_processors_or_another_clock_are_told(said: str, told: str) -> None:
    with pytest.raises(SoakError, match=told):
        check_processors(f"{ECHO}{said}\r\n", 4)


def test_operations_are_those_of_the_stressor() -> None:
    assert operations(METRICS, "tlb-shootdown") == 4711


@pytest.mark.parametrize(
    "answer",
    [
        METRICS.replace("4711", "   0"),
        "stress-ng: info:  [312] stressor tlb-shootdown skipped, no rights\r\n",
    ],
    ids=["none counted", "skipped"],
)
def test_stressor_that_did_nothing_is_told(answer: str) -> None:
    with pytest.raises(SoakError, match="tlb-shootdown did nothing"):
        operations(answer, "tlb-shootdown")


#: What every kernel says first.
FIRST = "~# dmesg\r\n[    0.00] Linux version 6.1.0 (of nobody)\r\n"


def test_ordinary_messages_pass() -> None:
    check_messages(
        f"{FIRST}[    0.00] sched_clock: Marking stable (1, 2)->(3, 4)\r\n"
        "[    0.41] systemd[1]: Installed new session.\r\n"
        "[   60.12] smpboot: CPU 3 is now offline\r\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "watchdog: BUG: soft lockup - CPU#3 stuck for 22s!",
        "tsc: Marking TSC unstable due to clocksource watchdog",
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "WARNING: CPU: 1 PID: 17 at kernel/smp.c:300 multi_cpu_stop+0x1/0x2",
    ],
)
def test_messages_of_a_fault_are_told(line: str) -> None:
    with pytest.raises(SoakError, match=r"kernel says: \[   61\.00\]"):
        check_messages(f"{FIRST}[   60.12] smpboot: CPU 3 is now offline\r\n[   61.00] {line}\r\n")


def test_messages_without_their_beginning_are_told() -> None:
    with pytest.raises(SoakError, match="are lost"):
        check_messages("~# dmesg\r\n[   60.12] smpboot: CPU 3 is now offline\r\n")
