"""The whole command over real workers around the fake core: output, JSON, exit codes, terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.bench import FAKE_WORKER, worker_environment

from vmwb.cli.execute import Settings
from vmwb.cli.main import run
from vmwb.model.errors import ExitCode

SECONDS = "20"


class Command:
    """Runs the command in this process, and keeps what it printed."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self.kernel = home / "kernel"
        self.kernel.write_bytes(b"FAKE kernel")
        self.out = ""
        self.err = ""
        self._capsys = capsys

    def __call__(self, *arguments: str) -> int:
        code = run(arguments, Settings(worker_command=FAKE_WORKER))
        captured = self._capsys.readouterr()
        self.out, self.err = captured.out, captured.err
        return code

    def json(self, *arguments: str) -> object:
        assert self(*arguments, "--json") == ExitCode.OK, self.err
        return json.loads(self.out)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, short_tmp_path: Path) -> dict[str, str]:
    runtime = short_tmp_path / "run"
    runtime.mkdir(mode=0o700)
    changes = {
        "VMWB_LIBRARY": str(short_tmp_path / "library"),
        "XDG_RUNTIME_DIR": str(runtime),
        "PYTHONPATH": worker_environment()["PYTHONPATH"],
    }
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    return {**os.environ, **changes}


@pytest.fixture
def vmwb(
    environment: dict[str, str], short_tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    command = Command(short_tmp_path, capsys)
    yield command
    command("list", "--json")
    for machine in json.loads(command.out):
        if machine["pid"] is not None:
            command("stop", machine["name"])
    reap()


def reap() -> None:
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


@pytest.fixture
def deb(vmwb: Command) -> Command:
    assert vmwb("create", "deb", "--kernel", str(vmwb.kernel), "--memory", "64M") == 0
    assert vmwb("start", "deb", "--headless") == 0
    return vmwb


def test_media_of_a_running_machine(vmwb: Command) -> None:
    image = vmwb.home / "image.img"
    image.write_bytes(b"contents")
    kernel = ("--kernel", str(vmwb.kernel), "--memory", "16M")
    vmwb("create", "deb", *kernel, "--cdrom", "empty", "--floppy", "empty")
    vmwb("start", "deb", "--headless")

    inserted = vmwb.json("media", "deb", "floppy", "insert", str(image), "--readonly")
    assert vmwb("wait", "deb", "--screen", "floppy0 contents", "--timeout", SECONDS) == 0
    assert vmwb("media", "deb", "cdrom", "insert", str(image)) == ExitCode.OK
    assert vmwb.out == f"Inserted {image} into deb.\n"
    assert vmwb("media", "deb", "ide2", "eject", "--force") == ExitCode.OK
    assert vmwb.out == "Ejected the medium of deb.\n"
    assert vmwb("media", "deb", "tape", "eject") == ExitCode.NOT_FOUND
    shown = vmwb.json("show", "deb")

    assert isinstance(inserted, dict)
    assert isinstance(shown, dict)
    assert inserted["config"]["drives"][1]["path"] == str(image)
    assert [drive["path"] for drive in shown["config"]["drives"]] == [None, str(image)]
    assert shown["config"]["drives"][1]["read_only"]


def test_start_wait_send_type_text_stop(deb: Command) -> None:
    assert deb("wait", "deb", "--serial", "can't access tty", "--timeout", SECONDS) == 0
    assert deb("send", "deb", "screen hello\n") == 0
    assert deb.json("wait", "deb", "--screen", "hello", "--timeout", SECONDS)
    assert deb("keys", "deb", "ctrl-alt-del") == 0
    assert deb("type", "deb", "a") == 0
    assert deb("text", "deb") == 0
    assert deb.out.splitlines() == ["hello", "key 1d", "key 38", "key e053", "key 1e"]
    assert deb("screenshot", "deb", str(deb.home / "shot.png")) == 0
    assert (deb.home / "shot.png").read_bytes().startswith(b"\x89PNG")
    assert deb("stop", "deb") == 0
    assert deb.out == "deb is off.\n"


def test_power_verbs_tell_the_state(deb: Command) -> None:
    states = [
        deb.json(verb, "deb")["state"]  # type: ignore[index]
        for verb in ("pause", "unpause", "reset", "suspend", "resume")
    ]

    assert states == ["paused", "running", "running", "suspended", "running"]
    assert deb("stop", "deb", "--soft", "--timeout", SECONDS) == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("start", "deb", "--headless"), 4),
        (("edit", "deb", "--memory", "1G"), 4),
        (("delete", "deb", "--yes"), 4),
        (("unpause", "deb"), 4),
        (("wait", "deb", "--serial", "nothing", "--timeout", "0.1"), 124),
        (("wait", "deb", "--state", "off", "--timeout", "0.1"), 124),
        (("wait", "deb", "--port", "22"), 2),
        (("send", "deb", "x", "--port", "7"), 3),
        (("wait", "deb", "--serial", "x", "--serial-port", "1"), 3),
        (("discard", "deb", "--yes"), 4),
    ],
)
def test_refusals_have_their_codes(deb: Command, arguments: tuple[str, ...], code: int) -> None:
    assert deb(*arguments) == code
    assert deb.out == ""
    assert len(deb.err.splitlines()) == 1


def test_suspended_state_is_discarded_only_when_that_is_said(deb: Command) -> None:
    assert deb("suspend", "deb") == 0
    assert deb("stop", "deb") == 4
    assert "vmwb discard" in deb.err
    assert deb("discard", "deb") == 2
    assert deb.err.endswith("add --yes.\n")
    assert deb.json("discard", "deb", "--dry-run")["state"] == "suspended"  # type: ignore[index]
    assert deb.json("discard", "deb", "--yes")["state"] == "off"  # type: ignore[index]
    assert deb("discard", "deb", "--yes") == 4
    assert "it has no suspended state" in deb.err


def test_stats_events_logs(deb: Command) -> None:
    stats = deb.json("stats", "deb")
    assert deb("stats", "deb") == 0
    assert "instructions" in deb.out
    assert deb("events", "deb", "--json") == 0
    kinds = [json.loads(line)["kind"] for line in deb.out.splitlines()]
    assert deb("events") == 0
    assert "deb [" in deb.out
    logs = deb.json("logs", "deb", "--lines", "5")

    assert stats["engine"] == "fake"  # type: ignore[index]
    assert kinds == ["power", "power"]
    assert logs["lines"]  # type: ignore[index]


def test_killed_worker_shows_its_log_and_starts_again(deb: Command) -> None:
    pid = deb.json("show", "deb")["pid"]  # type: ignore[index]
    os.kill(pid, signal.SIGKILL)
    assert deb("wait", "deb", "--state", "crashed", "--timeout", SECONDS) == 0
    shown = deb.json("show", "deb")
    assert deb("show", "deb") == 0

    assert "runs, process" in deb.out
    assert any("runs, process" in line for line in shown["log"])  # type: ignore[index]
    assert deb("start", "deb", "--headless") == 0


def test_full_device_for_the_screenshot_is_a_sentence(deb: Command) -> None:
    assert deb("screenshot", "deb", "/dev/full") == 1
    assert "cannot be written" in deb.err


def test_run_writes_statistics_and_ends_with_the_guests_code(vmwb: Command) -> None:
    stats = vmwb.home / "stats.json"
    code = vmwb(
        *("run", "--headless", "--kernel", str(vmwb.kernel), "--debug-exit", "--timeout", SECONDS),
        *("--on-serial", "tty=exit 3\\n", "--stats", str(stats), "--json"),
    )

    assert code == 7
    assert json.loads(stats.read_text())["ended_by"] == "debug_exit"
    assert json.loads(vmwb.out)["exit_code"] == 7


def test_run_crash_is_a_sentence(vmwb: Command) -> None:
    code = vmwb(
        *("run", "--headless", "--kernel", str(vmwb.kernel), "--timeout", SECONDS),
        *("--on-serial", "tty=crash\\n"),
    )

    assert code == 1
    assert vmwb.err == "Triple fault.\n"


class OnTerminal:
    """The command on a pseudo-terminal."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self._master, slave = pty.openpty()
        program = str(Path(__file__).with_name("fake_vmwb.py"))
        self._process = subprocess.Popen(
            [sys.executable, program, *arguments],
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = b""

    def expect(self, text: bytes) -> None:
        while text not in self.seen:
            assert select.select([self._master], [], [], 20)[0], self.seen
            self.seen += os.read(self._master, 4096)

    def send(self, data: bytes) -> None:
        os.write(self._master, data)

    def end(self) -> int:
        code = self._process.wait(20)
        os.close(self._master)
        return code


def test_console_passes_keys_and_ctrl_bracket_leaves(
    deb: Command, environment: dict[str, str]
) -> None:
    terminal = OnTerminal(environment, "console", "deb")
    terminal.expect(b"can't access tty")
    terminal.send(b"hi\n")
    terminal.expect(b"you said: hi")
    terminal.send(b"\x1d")

    assert terminal.end() == 0
    assert deb.json("show", "deb")["state"] == "running"  # type: ignore[index]


def test_run_on_a_terminal_ends_with_ctrl_bracket(
    vmwb: Command, environment: dict[str, str]
) -> None:
    terminal = OnTerminal(environment, "run", "--headless", "--kernel", str(vmwb.kernel))
    terminal.expect(b"can't access tty")
    terminal.send(b"\x03hello\n")
    terminal.expect(b"you said: \x03hello")
    terminal.send(b"\x1d")

    assert terminal.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_that_is_interrupted_ends_in_good_order(
    vmwb: Command, environment: dict[str, str], number: signal.Signals
) -> None:
    program = str(Path(__file__).with_name("fake_vmwb.py"))
    stats = vmwb.home / "stats.json"
    arguments = ["run", "--headless", "--kernel", str(vmwb.kernel), "--stats", str(stats)]
    process = subprocess.Popen(
        [sys.executable, program, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert b"fake guest" in process.stdout.readline()
    process.send_signal(number)

    assert process.wait(20) == 130
    process.stdout.close()
    report = json.loads(stats.read_text())
    assert report["ended_by"] == "interrupted"
    assert report["message"] == f"The run was interrupted by {number.name}."
    assert list((vmwb.home / "run" / "vmwb").iterdir()) == []


def test_run_that_is_killed_takes_its_worker_along(
    vmwb: Command, environment: dict[str, str]
) -> None:
    program = str(Path(__file__).with_name("fake_vmwb.py"))
    process = subprocess.Popen(
        [sys.executable, program, "run", "--headless", "--kernel", str(vmwb.kernel)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert b"fake guest" in process.stdout.readline()
    (bundle,) = (vmwb.home / "run" / "vmwb").glob("run-*/run.vmwb")
    worker = os.pidfd_open(json.loads((bundle / "run.json").read_text())["pid"])
    process.kill()
    process.wait(20)
    process.stdout.close()

    assert select.select([worker], [], [], 20)[0]
    os.close(worker)
    # The next run clears away what the killed one left.
    vmwb("run", "--headless", "--kernel", str(vmwb.kernel), "--until-serial", "tty")
    assert list((vmwb.home / "run" / "vmwb").iterdir()) == []
