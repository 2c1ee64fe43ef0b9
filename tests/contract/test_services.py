"""All services, over real worker processes whose core is the fake."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from contract.bench import FAKE_WORKER, Bench, worker_environment

from vmwb.app import Paths, build_services
from vmwb.model.config import BootConfig, DisplayKind, SerialConfig, SerialKind
from vmwb.model.errors import (
    BootFileError,
    BusyError,
    CorruptError,
    NameTakenError,
    NotFoundError,
    NotSupportedError,
    StorageError,
    TimedOutError,
    UsageError,
    VmwbError,
    WrongStateError,
)
from vmwb.model.events import (
    CrashedEvent,
    EndedEvent,
    GuestResetEvent,
    NoBootDeviceEvent,
    PointerEvent,
    PowerEvent,
    SleepEvent,
)
from vmwb.model.keyboard import text_presses
from vmwb.model.power import PowerState
from vmwb.services.types import (
    FindingLevel,
    Reply,
    RunEnd,
    RunRequest,
    StopKind,
    WaitFor,
    WaitKind,
)

SHELL = WaitFor(WaitKind.SERIAL, "can't access tty")
DEADLINE = 20.0


async def started(bench: Bench, append: str = "") -> None:
    await bench.services.machines.create(bench.config(append=append))
    await bench.services.power.start("deb")


async def reach(bench: Bench, state: PowerState) -> None:
    await bench.services.watch.wait("deb", WaitFor(WaitKind.STATE, state.value), timeout_s=DEADLINE)


async def test_create_list_show_rename_delete(bench: Bench) -> None:
    machines = bench.services.machines
    made = await machines.create(bench.config())

    assert await machines.list() == (made,)
    assert await machines.show(made.id) == made
    renamed = await machines.rename("deb", "Debian 12")
    assert (renamed.id, renamed.name) == (made.id, "Debian 12")
    plan = await machines.delete("Debian 12", dry_run=True)
    assert (plan.done, plan.files) == (False, 2)
    assert (await machines.delete(made.id)).done
    assert await machines.list() == ()


async def test_create_name_taken_is_refused(bench: Bench) -> None:
    await bench.services.machines.create(bench.config())

    with pytest.raises(NameTakenError):
        await bench.services.machines.create(bench.config())


async def test_show_unknown_machine_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFoundError, match="vmwb list"):
        await bench.services.machines.show("nobody")


async def test_edit_keeps_id_and_name(bench: Bench) -> None:
    machines = bench.services.machines
    made = await machines.create(bench.config())
    wanted = replace(bench.config("other"), memory_mib=64)

    tried = await machines.edit("deb", wanted, dry_run=True)
    before = await machines.show("deb")
    edited = await machines.edit("deb", wanted)

    assert tried.config == edited.config
    assert before.config == made.config
    assert edited.config == replace(wanted, id=made.id, name="deb")


async def test_list_shows_a_damaged_machine_with_its_problem(bench: Bench) -> None:
    made = await bench.services.machines.create(bench.config())
    (made.path / "machine.json").write_text('{"version": 1, "memory_mib": "much"}')

    (listed,) = await bench.services.machines.list()

    assert listed.config is None
    assert listed.problem is not None
    assert "memory_mib" in listed.problem
    assert "cpus" in listed.problem


async def test_watch_tells_every_change(bench: Bench) -> None:
    snapshots = bench.services.machines.watch()
    states = [(await anext(snapshots))]
    await bench.services.machines.create(bench.config())
    states.append(await anext(snapshots))
    await bench.services.power.start("deb")
    states.append(await anext(snapshots))
    await snapshots.aclose()  # type: ignore[attr-defined]

    assert [len(snapshot) for snapshot in states] == [0, 1, 1]
    assert states[2][0].state is PowerState.RUNNING
    assert states[2][0].pid is not None


async def test_start_send_wait_stop(bench: Bench) -> None:
    await started(bench)
    await bench.services.watch.wait("deb", SHELL, timeout_s=DEADLINE)
    await bench.services.console.send("deb", b"hello\n")
    result = await bench.services.watch.wait(
        "deb", WaitFor(WaitKind.SERIAL, "you said: hello"), timeout_s=DEADLINE
    )
    stopped = await bench.services.power.stop("deb")

    assert result.seconds < DEADLINE
    assert (stopped.state, stopped.pid, stopped.problem) == (PowerState.OFF, None, None)


async def test_start_twice_is_refused(bench: Bench) -> None:
    await started(bench)

    with pytest.raises(WrongStateError, match="it runs already"):
        await bench.services.power.start("deb")


async def test_two_starts_at_once_give_one_machine(bench: Bench) -> None:
    await bench.services.machines.create(bench.config())

    results = await asyncio.gather(
        bench.services.power.start("deb"),
        bench.services.power.start("deb"),
        return_exceptions=True,
    )

    failures = [result for result in results if isinstance(result, VmwbError)]
    assert len(failures) == 1
    assert isinstance(failures[0], BusyError | WrongStateError)
    assert (await bench.services.machines.show("deb")).state is PowerState.RUNNING


@pytest.mark.parametrize("content", [None, b"This is no kernel"])
async def test_start_with_a_bad_kernel_says_so_and_stays_off(
    bench: Bench, content: bytes | None
) -> None:
    await bench.services.machines.create(bench.config())
    bench.kernel.unlink()
    if content is not None:
        bench.kernel.write_bytes(content)

    with pytest.raises((NotFoundError, BootFileError), match="kernel"):
        await bench.services.power.start("deb")

    after = await bench.services.machines.show("deb")
    assert after.state is PowerState.OFF
    assert after.problem is not None
    assert "kernel" in after.problem


async def test_start_with_a_directory_as_kernel_says_so(bench: Bench) -> None:
    await bench.services.machines.create(bench.config())
    bench.kernel.unlink()
    bench.kernel.mkdir()

    with pytest.raises(StorageError, match="regular file"):
        await bench.services.power.start("deb")


async def test_start_by_firmware_that_is_not_there_says_so(bench: Bench, tmp_path: Path) -> None:
    boot = BootConfig(firmware=str(tmp_path / "bios.bin"))
    await bench.services.machines.create(replace(bench.config(), boot=boot))

    with pytest.raises(NotFoundError, match=r"firmware .* does not exist"):
        await bench.services.power.start("deb")


async def test_stop_soft_lets_the_guest_switch_itself_off(bench: Bench) -> None:
    await started(bench)

    stopped = await bench.services.power.stop("deb", StopKind.SOFT, timeout_s=DEADLINE)

    assert stopped.state is PowerState.OFF


async def test_stop_soft_of_a_deaf_guest_times_out_and_it_runs_on(bench: Bench) -> None:
    await started(bench, append="deaf")

    with pytest.raises(TimedOutError, match="runs on"):
        await bench.services.power.stop("deb", StopKind.SOFT, timeout_s=0.1)

    assert (await bench.services.machines.show("deb")).state is PowerState.RUNNING


async def test_pause_refuses_input_until_unpaused(bench: Bench) -> None:
    await started(bench)
    paused = await bench.services.power.pause("deb")

    with pytest.raises(WrongStateError, match="unpause it first"):
        await bench.services.console.send("deb", b"x")
    with pytest.raises(WrongStateError):
        await bench.services.power.pause("deb")
    running = await bench.services.power.unpause("deb")

    assert (paused.state, running.state) == (PowerState.PAUSED, PowerState.RUNNING)


async def test_reset_tells_an_event(bench: Bench) -> None:
    await started(bench)
    await bench.services.power.reset("deb")

    found = [item.event async for item in bench.services.watch.events("deb", follow=False)]

    assert any(isinstance(event, GuestResetEvent) for event in found)
    assert [event.seq for event in found] == sorted(event.seq for event in found)


async def test_machine_that_finds_nothing_to_boot_has_a_problem_until_its_reset(
    bench: Bench,
) -> None:
    await started(bench)
    await bench.services.console.send("deb", b"boot\n")
    async for item in bench.services.watch.events("deb", follow=True):
        if isinstance(item.event, NoBootDeviceEvent):
            break
    told = await bench.services.machines.show("deb")
    await bench.services.power.reset("deb")
    after = await bench.services.machines.show("deb")

    assert (told.state, told.problem) == (PowerState.RUNNING, "Nothing boots.")
    assert told.problem_code == "no_boot_device"
    assert told.problem_facts == {"reason": "no_boot_device"}
    assert (after.state, after.problem) == (PowerState.RUNNING, None)


async def test_machine_whose_guest_sleeps_says_so_until_it_wakes(bench: Bench) -> None:
    await started(bench)
    told = []
    for words, asleep in ((b"sleep\n", True), (b"wake\n", False)):
        await bench.services.console.send("deb", words)
        async for item in bench.services.watch.events("deb", follow=True):
            if isinstance(item.event, SleepEvent) and item.event.asleep is asleep:
                break
        told.append(await bench.services.machines.show("deb"))

    sleeping, awake = told
    assert (sleeping.state, sleeping.problem_code) == (PowerState.RUNNING, "asleep")
    assert "A key" in (sleeping.problem or "")
    assert (awake.state, awake.problem) == (PowerState.RUNNING, None)


async def test_events_that_nobody_waits_for_any_more_leave_no_task(bench: Bench) -> None:
    await started(bench)
    heard = asyncio.Event()

    past = [item async for item in bench.services.watch.events("deb", follow=False)]

    async def listen() -> None:
        async for item in bench.services.watch.events("deb", follow=True):
            if item == past[-1]:
                heard.set()

    listening = asyncio.create_task(listen())
    await heard.wait()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)

    assert not [task for task in asyncio.all_tasks() if "Queue.get" in repr(task)]


async def test_run_tells_that_nothing_boots(bench: Bench) -> None:
    told: list[str] = []
    config = bench.config()
    replies = (Reply("access tty", "boot\n"),)
    request = RunRequest(config, on_serial=replies, timeout_s=30)
    interrupt = asyncio.Event()

    def noticed(sentence: str) -> None:
        told.append(sentence)
        interrupt.set()

    await bench.services.runs.run(request, noticed=noticed, interrupt=interrupt)

    assert told == ["Nothing boots."]


async def test_late_client_hears_how_the_pointer_is_taken(bench: Bench) -> None:
    await started(bench)
    await bench.services.console.send("deb", b"tablet\n")
    await bench.services.console.send("deb", b"chatter 1100\n")
    said = WaitFor(WaitKind.SERIAL, "all said")
    await bench.services.watch.wait("deb", said, timeout_s=DEADLINE)
    late = build_services(bench.paths, environment=worker_environment(), worker_command=FAKE_WORKER)
    try:
        found = [item.event async for item in late.watch.events("deb", follow=False)]
    finally:
        await late.close()

    assert [event.absolute for event in found if isinstance(event, PointerEvent)] == [True]
    assert [event.seq for event in found] == sorted(event.seq for event in found)


async def test_suspend_and_resume_bring_the_machine_back_in_a_new_process(bench: Bench) -> None:
    await started(bench)
    await bench.services.console.send("deb", b"screen remember me\n")
    screen = WaitFor(WaitKind.SCREEN, "remember me")
    await bench.services.watch.wait("deb", screen, timeout_s=DEADLINE)
    before = (await bench.services.machines.show("deb")).pid

    suspended = await bench.services.power.suspend("deb")
    with pytest.raises(WrongStateError, match="resume it instead"):
        await bench.services.power.start("deb")
    with pytest.raises(WrongStateError):
        await bench.services.machines.edit("deb", bench.config())
    resumed = await bench.services.power.resume("deb")

    assert (suspended.state, suspended.pid) == (PowerState.SUSPENDED, None)
    assert resumed.state in {PowerState.RUNNING, PowerState.RESUMING}
    assert resumed.pid != before
    await bench.services.watch.wait("deb", screen, timeout_s=DEADLINE)
    await bench.services.power.stop("deb")
    assert (await bench.services.machines.show("deb")).state is PowerState.OFF
    assert list((suspended.path / "states").iterdir()) == []


async def test_resume_of_a_damaged_state_keeps_it(bench: Bench) -> None:
    await started(bench)
    suspended = await bench.services.power.suspend("deb")
    (state,) = (suspended.path / "states").iterdir()
    (state / "devices.cbor").write_bytes(b"garbage")

    with pytest.raises(CorruptError, match="damaged"):
        await bench.services.power.resume("deb")

    assert (await bench.services.machines.show("deb")).state is PowerState.SUSPENDED
    assert (await bench.services.power.discard("deb")).state is PowerState.OFF


async def test_suspend_that_cannot_be_written_leaves_the_machine_running(bench: Bench) -> None:
    await started(bench)
    machine = await bench.services.machines.show("deb")
    states = machine.path / "states"
    states.rmdir()
    states.write_text("in the way")

    with pytest.raises(StorageError, match="cannot be suspended"):
        await bench.services.power.suspend("deb")

    assert (await bench.services.machines.show("deb")).state is PowerState.RUNNING
    await bench.services.console.send("deb", b"alive\n")
    await bench.services.watch.wait(
        "deb", WaitFor(WaitKind.SERIAL, "you said: alive"), timeout_s=DEADLINE
    )


async def test_type_text_and_screenshot(bench: Bench) -> None:
    await started(bench)
    await bench.services.console.press("deb", text_presses("a"))

    text = await bench.services.console.screen_text("deb")
    picture = await bench.services.console.screenshot("deb")
    reader = await bench.services.console.open_frame("deb")

    assert text == "key 1e"
    assert picture.startswith(b"\x89PNG")
    idat = picture.index(b"IDAT") + 4
    size = int.from_bytes(picture[idat - 8 : idat - 4], "big")
    rows = zlib.decompress(picture[idat : idat + size])
    assert rows[:7] == bytes([0, 0x10, 0x20, 0x30, 0x10, 0x20, 0x31])
    assert reader is not None
    assert reader.text() == "key 1e"
    reader.close()


async def test_screenshot_without_a_display_is_not_found(bench: Bench) -> None:
    await bench.services.machines.create(replace(bench.config(), display=DisplayKind.NONE))
    await bench.services.power.start("deb")

    with pytest.raises(NotFoundError, match="no display"):
        await bench.services.console.screenshot("deb")
    assert await bench.services.console.screen_text("deb") is None


async def test_console_replays_and_takes_input(bench: Bench) -> None:
    await started(bench)
    stream = await bench.services.console.open_serial("deb")
    seen = b""
    while b"tty" not in seen:
        seen += await stream.read()
    await stream.write(b"one\n")
    while b"you said: one" not in seen:
        seen += await stream.read()
    stream.close()
    fresh = await bench.services.console.open_serial("deb", replay=False)
    await fresh.write(b"two\n")
    only_new = await fresh.read()
    fresh.close()
    fresh.close()

    assert only_new.startswith(b"you said: two")
    assert await fresh.read() == b""


async def test_console_of_a_slow_reader_does_not_hold_the_guest(bench: Bench) -> None:
    await started(bench)
    lazy = await bench.services.console.open_serial("deb")
    for number in range(4):
        await bench.services.console.send("deb", b"flood 700000\n")
        await bench.services.console.send("deb", f"done {number}\n".encode())
        await bench.services.watch.wait(
            "deb", WaitFor(WaitKind.SERIAL, f"said: done {number}"), timeout_s=DEADLINE
        )
    lazy.close()


async def test_serial_to_a_file_is_appended(bench: Bench, tmp_path: Path) -> None:
    log = tmp_path / "serial.log"
    log.write_text("before\n")
    await bench.services.machines.create(
        replace(bench.config(), serial=(SerialConfig(SerialKind.FILE, str(log)),))
    )
    await bench.services.power.start("deb")
    await bench.services.watch.wait("deb", SHELL, timeout_s=DEADLINE)
    await bench.services.power.stop("deb")

    assert log.read_text().startswith("before\nfake guest")


async def test_wait_times_out_with_a_sentence(bench: Bench) -> None:
    await started(bench)

    with pytest.raises(TimedOutError, match="'nothing' did not appear"):
        await bench.services.watch.wait("deb", WaitFor(WaitKind.SERIAL, "nothing"), timeout_s=0.1)
    with pytest.raises(TimedOutError, match="did not appear"):
        await bench.services.watch.wait("deb", WaitFor(WaitKind.SCREEN, "nothing"), timeout_s=0.1)
    with pytest.raises(TimedOutError, match="it is running"):
        await bench.services.watch.wait("deb", WaitFor(WaitKind.STATE, "off"), timeout_s=0.1)


@pytest.mark.parametrize("kind", [WaitKind.SERIAL, WaitKind.SCREEN])
async def test_wait_for_a_guest_that_ends_is_told(bench: Bench, kind: WaitKind) -> None:
    await started(bench)
    waiting = asyncio.create_task(
        bench.services.watch.wait("deb", WaitFor(kind, "nothing"), timeout_s=DEADLINE)
    )
    await bench.services.watch.wait("deb", SHELL, timeout_s=DEADLINE)
    await bench.services.console.send("deb", b"poweroff\n")

    with pytest.raises(WrongStateError, match="ended before"):
        await waiting


async def test_wait_that_makes_no_sense_is_refused(bench: Bench) -> None:
    await started(bench)

    with pytest.raises(UsageError, match="no state"):
        await bench.services.watch.wait("deb", WaitFor(WaitKind.STATE, "melted"))
    with pytest.raises(NotSupportedError):
        await bench.services.watch.wait("deb", WaitFor(WaitKind.PORT, "22"))
    with pytest.raises(NotFoundError, match="serial port 7"):
        await bench.services.watch.wait("deb", WaitFor(WaitKind.SERIAL, "x", port=7))


async def test_stats_and_logs(bench: Bench) -> None:
    await started(bench)
    stats = await bench.services.watch.stats("deb")
    await bench.services.power.stop("deb")

    assert (stats.engine, stats.state) == ("fake", PowerState.RUNNING)
    assert stats.spawn_seconds > 0
    assert "runs, process" in await bench.services.watch.logs("deb")
    with pytest.raises(WrongStateError):
        await bench.services.watch.stats("deb")


async def test_guest_crash_is_told_and_the_machine_starts_again(bench: Bench) -> None:
    await started(bench)
    events = bench.services.watch.events("deb")
    # Only who watches already is sure to see a run that is over at once.
    seen = [(await anext(events)).event]
    await bench.services.console.send("deb", b"crash\n")
    async for item in events:
        seen.append(item.event)
        if isinstance(item.event, EndedEvent):
            break
    await events.aclose()  # type: ignore[attr-defined]
    await reach(bench, PowerState.CRASHED)

    assert any(isinstance(event, CrashedEvent) for event in seen)
    assert isinstance(seen[0], PowerEvent)
    machine = await bench.services.machines.show("deb")
    assert (machine.state, machine.problem) == (PowerState.CRASHED, "Triple fault.")
    assert machine.problem_facts == {"reason": "triple_fault", "rip": 16, "vector": 13}
    assert (await bench.services.power.start("deb")).state is PowerState.RUNNING


async def test_killed_worker_counts_as_crashed_and_starts_again(bench: Bench) -> None:
    await started(bench)
    pid = (await bench.services.machines.show("deb")).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await reach(bench, PowerState.CRASHED)

    machine = await bench.services.machines.show("deb")
    assert machine.problem is not None
    assert "vmwb logs" in machine.problem
    assert (await bench.services.power.start("deb")).state is PowerState.RUNNING


async def test_worker_told_to_end_switches_its_machine_off(bench: Bench) -> None:
    await started(bench)
    pid = (await bench.services.machines.show("deb")).pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)

    await reach(bench, PowerState.OFF)


async def test_worker_that_does_not_answer_is_killed_by_stop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmwb.client.worker_client.POWER_SECONDS", 0.2)
    await started(bench)
    pid = (await bench.services.machines.show("deb")).pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    stopped = await bench.services.power.stop("deb")

    assert stopped.state is PowerState.CRASHED


async def test_read_only_library_says_so(bench: Bench, tmp_path: Path) -> None:
    in_the_way = bench.paths.library
    in_the_way.write_text("a file")

    with pytest.raises(StorageError, match="cannot be"):
        await bench.services.machines.create(bench.config())
    in_the_way.unlink()


async def test_doctor_finds_something_about_everything(bench: Bench) -> None:
    findings = await bench.services.doctor.findings()

    assert {"program", "core", "library", "window"} <= {item.subject for item in findings}
    assert all(item.sentence.endswith(".") for item in findings)


async def test_doctor_warns_of_a_host_that_locks_nothing_in(bench: Bench) -> None:
    findings = {item.subject: item for item in await bench.services.doctor.findings()}

    assert findings["sandbox"].level is FindingLevel.WARNING
    assert "no Landlock" in findings["sandbox"].sentence
    assert "no filters of system calls" in findings["sandbox"].sentence


@pytest.mark.parametrize("command", [("/nowhere/python",), (sys.executable, "-c", "x")])
async def test_doctor_without_a_worker_says_so(command: tuple[str, ...], tmp_path: Path) -> None:
    services = build_services(Paths(tmp_path, tmp_path), worker_command=command)

    findings = {item.subject: item for item in await services.doctor.findings()}

    assert findings["sandbox"].level is FindingLevel.MISSING
    assert findings["sandbox"].sentence.startswith("No worker can be started here: ")
    await services.close()


async def test_worker_that_cannot_be_locked_in_says_so_in_its_log(bench: Bench) -> None:
    await bench.services.machines.create(bench.config())
    await bench.services.power.start("deb")

    log = await bench.services.watch.logs("deb")

    assert "This kernel offers no Landlock" in log
    assert "This kernel does not filter system calls" in log


async def test_full_disk_under_the_log_does_not_stop_the_machine(bench: Bench) -> None:
    on_full_disk = ("/bin/sh", "-c", f"exec {shlex.join(FAKE_WORKER)} 2>/dev/full")
    services = build_services(
        bench.paths, environment=worker_environment(), worker_command=on_full_disk
    )
    await services.machines.create(bench.config())
    await services.power.start("deb")
    await services.console.send("deb", b"hello\n")
    await services.watch.wait(
        "deb", WaitFor(WaitKind.SERIAL, "you said: hello"), timeout_s=DEADLINE
    )

    assert (await services.power.stop("deb")).state is PowerState.OFF
    await services.close()


async def test_log_that_cannot_be_written_names_its_place(bench: Bench) -> None:
    machine = await bench.services.machines.create(bench.config())
    (machine.path / "logs").rmdir()
    (machine.path / "logs").write_text("in the way")

    with pytest.raises(StorageError, match=r"The log cannot be written \(.*logs\): "):
        await bench.services.power.start("deb")
    assert (await bench.services.machines.show("deb")).state is PowerState.OFF


async def test_ended_worker_leaves_no_socket(bench: Bench) -> None:
    await bench.services.machines.create(bench.config())
    await bench.services.power.start("deb")
    assert list(bench.paths.runtime.iterdir()) != []
    await bench.services.power.stop("deb")

    assert list(bench.paths.runtime.iterdir()) == []


class TestRun:
    """Machines in the foreground."""

    async def test_until_serial_ends_with_success_and_leaves_nothing(self, bench: Bench) -> None:
        output = bytearray()
        result = await bench.services.runs.run(
            RunRequest(bench.config(), until_serial=("tty",), timeout_s=DEADLINE),
            output=output.extend,
        )

        assert (result.ended_by, result.exit_code) == (RunEnd.SERIAL_TEXT, 0)
        assert b"can't access tty" in output
        assert result.stats is not None
        assert list(bench.paths.runtime.iterdir()) == []

    async def test_answers_on_serial_and_screen(self, bench: Bench, tmp_path: Path) -> None:
        result = await bench.services.runs.run(
            RunRequest(
                bench.config(),
                on_serial=(Reply("tty", "screen login:\n"),),
                on_screen=(Reply("login:", "root enter"),),
                until_screen=("key 1c",),
                timeout_s=DEADLINE,
                screenshot=tmp_path / "end.png",
            )
        )

        assert result.ended_by is RunEnd.SCREEN_TEXT
        assert (tmp_path / "end.png").read_bytes().startswith(b"\x89PNG")

    @pytest.mark.parametrize(
        ("command", "end", "code"),
        [
            ("poweroff", RunEnd.GUEST_POWER_OFF, 0),
            ("crash", RunEnd.CRASHED, 1),
            ("exit 3", RunEnd.DEBUG_EXIT, 7),
        ],
    )
    async def test_end_of_the_guest_decides(
        self, bench: Bench, command: str, end: RunEnd, code: int
    ) -> None:
        output = bytearray()
        result = await bench.services.runs.run(
            RunRequest(
                bench.config(), on_serial=(Reply("tty", f"{command}\n"),), timeout_s=DEADLINE
            ),
            output=output.extend,
        )

        assert (result.ended_by, result.exit_code) == (end, code)
        assert result.stats is not None

    async def test_timeout_and_interrupt(self, bench: Bench) -> None:
        late = await bench.services.runs.run(RunRequest(bench.config(), timeout_s=0.1))
        interrupt = asyncio.Event()
        interrupt.set()
        cut = await bench.services.runs.run(RunRequest(bench.config()), interrupt=interrupt)

        assert (late.ended_by, late.exit_code) == (RunEnd.TIMED_OUT, 124)
        assert (cut.ended_by, cut.exit_code) == (RunEnd.INTERRUPTED, 130)

    async def test_cancelled_run_leaves_nothing(self, bench: Bench) -> None:
        attached = asyncio.Event()
        running = asyncio.create_task(
            bench.services.runs.run(RunRequest(bench.config()), attached=lambda _: attached.set())
        )
        await attached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        assert list(bench.paths.runtime.iterdir()) == []

    async def test_bad_kernel_is_an_error_and_leaves_nothing(self, bench: Bench) -> None:
        bench.kernel.write_bytes(b"nonsense")

        with pytest.raises(BootFileError, match="kernel"):
            await bench.services.runs.run(RunRequest(bench.config()))
        assert list(bench.paths.runtime.iterdir()) == []

    async def test_wait_on_a_port_that_is_not_there_is_an_error(self, bench: Bench) -> None:
        config = replace(bench.config(), serial=(SerialConfig(SerialKind.NONE),))

        with pytest.raises(NotFoundError, match="serial port"):
            await bench.services.runs.run(RunRequest(config, until_serial=("x",)))
