from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vmwb import __version__
from vmwb.app import FrontendRequest
from vmwb.cli.main import run, with_debug_exit_port, with_json_behind_the_verb
from vmwb.cli.options import MachineOptions, reply
from vmwb.model.config import DisplayKind, EngineKind, SerialConfig, SerialKind, VmConfig
from vmwb.model.errors import ConfigError, NotFoundError, NotSupportedError, UsageError

VERBS = (
    *("run", "create", "start", "stop", "reset", "pause", "unpause", "suspend", "resume"),
    *("delete", "list", "show", "edit", "rename", "send", "type", "keys", "wait", "console"),
    *("text", "screenshot", "media", "events", "stats", "logs", "doctor", "discard"),
)
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def private(monkeypatch: pytest.MonkeyPatch, short_tmp_path: Path) -> Path:
    monkeypatch.setenv("VMWB_LIBRARY", str(short_tmp_path / "library"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_tmp_path))
    return short_tmp_path


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: Captured) -> None:
    assert run([verb, "--help"]) == 0
    assert "--" in capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_knows_json_and_library(verb: str, capsys: Captured) -> None:
    run([verb, "--help"])
    out = capsys.readouterr().out

    assert "--json" in out
    assert "--library" in out


def test_version(capsys: Captured) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"vmwb {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["frobnicate"], 2),
        (["create"], 2),
        (["create", "a/b"], 2),
        (["create", "deb", "--memory", "10T"], 2),
        (["create", "deb", "--kernel", "/nonexistent"], 3),
        (["create", "deb", "--disk-size", "8G"], 2),
        (["edit", "deb"], 2),
        (["media", "nobody", "cdrom", "eject"], 3),
        (["media", "nobody", "cdrom", "insert"], 2),
        (["media", "nobody", "cdrom", "eject", "x.iso"], 2),
        (["media", "nobody", "cdrom", "paint", "x.iso"], 2),
        (["show", "nobody"], 3),
        (["start", "nobody", "--headless"], 3),
        (["stop", "nobody", "--hard", "--soft"], 2),
        (["wait", "nobody"], 2),
        (["wait", "nobody", "--serial", "a", "--state", "off"], 2),
        (["wait", "nobody", "--serial", ""], 2),
        (["console", "nobody", "--port", "ttyS0"], 2),
        (["wait", "nobody", "--serial", "a", "--serial-port", "hvc0"], 3),
        (["wait", "nobody", "--state", "off", "--serial-port", "1"], 2),
        (["discard", "nobody"], 3),
        (["run", "--kernel", "/dev/null", "--stats", "/nowhere/file"], 2),
        (["run", "--headless", "--firmware", "none"], 2),
        (["run", "--headless", "--trace", "f", "--trace-events", "moods"], 2),
        (["run", "--headless", "--trace", "f", "--trace-limit", "0"], 2),
        (["run", "--headless", "--on-serial", "no equals sign", "--kernel", "/dev/null"], 2),
        (["run", "--debug-exit", "x"], 2),
        (["keys", "nobody", "hyper-x"], 2),
        (["type", "nobody", "ä"], 2),
    ],
)
def test_errors_are_one_sentence_and_the_documented_code(
    arguments: list[str], code: int, capsys: Captured
) -> None:
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.err.strip().endswith(".")


def test_errors_with_json_are_an_object(capsys: Captured) -> None:
    assert run(["show", "nobody", "--json"]) == 3
    error = json.loads(capsys.readouterr().err)

    assert set(error) == {"code", "message", "context"}
    assert error["code"] == "not_found"


@pytest.mark.parametrize(
    ("arguments", "moved"),
    [
        ([], []),
        (["--json"], ["--json"]),
        (["--json", "list"], ["list", "--json"]),
        (["--json", "list", "--json"], ["list", "--json"]),
        (["--library", "--json", "list"], ["--library", "--json", "list"]),
        (["--json", "--library", "d", "send", "a"], ["--library", "d", "send", "--json", "a"]),
        (["send", "deb", "--json"], ["send", "deb", "--json"]),
    ],
)
def test_json_means_the_same_before_the_verb(arguments: list[str], moved: list[str]) -> None:
    assert with_json_behind_the_verb(arguments) == moved


def test_json_before_the_verb_gives_an_object(capsys: Captured) -> None:
    assert run(["--json", "show", "nobody"]) == 3

    assert json.loads(capsys.readouterr().err)["code"] == "not_found"


@pytest.mark.parametrize("option", ["--stats=/nowhere/file", "--json"])
def test_report_of_a_run_in_a_window_is_refused_by_name(option: str, capsys: Captured) -> None:
    assert run(["run", "--kernel", "/dev/null", option]) == 2

    assert f"The option {option.split('=', maxsplit=1)[0]} is not possible with a window" in (
        capsys.readouterr().err
    )


def test_console_has_no_json_and_says_so(capsys: Captured) -> None:
    assert run(["console", "nobody", "--json"]) == 2

    assert json.loads(capsys.readouterr().err)["code"] == "not_supported"


def test_create_show_list_edit_rename_delete(private: Path, capsys: Captured) -> None:
    kernel = private / "kernel"
    kernel.touch()

    assert run(["create", "deb", "--kernel", str(kernel), "--memory", "64M", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert run(["edit", "deb", "--append", "quiet", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["append"] == "quiet"
    assert run(["edit", "deb", "--memory", "1G", "--json"]) == 0
    edited = json.loads(capsys.readouterr().out)
    assert run(["rename", "deb", "new"]) == 0
    capsys.readouterr()
    assert run(["list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert run(["show", "new"]) == 0
    assert "1 GiB" in capsys.readouterr().out
    assert run(["list"]) == 0
    assert "new" in capsys.readouterr().out
    assert run(["delete", "new", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["deleted"] is False
    assert run(["delete", "new", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["deleted"] is True

    assert made["config"]["memory_mib"] == 64
    assert edited["config"] | {"memory_mib": 64} == made["config"]
    assert (listed["id"], listed["name"], listed["state"]) == (made["id"], "new", "off")


def test_library_can_be_said_before_and_after_the_verb(private: Path, capsys: Captured) -> None:
    assert run(["--library", str(private / "one"), "create", "a"]) == 0
    assert run(["create", "b", "--library", str(private / "two")]) == 0

    assert (private / "one" / "a.vmwb").is_dir()
    assert (private / "two" / "b.vmwb").is_dir()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["run", "--debug-exit"], ["run", "--debug-exit=0x501"]),
        (["run", "--debug-exit", "--headless"], ["run", "--debug-exit=0x501", "--headless"]),
        (["run", "--debug-exit", "0xf4"], ["run", "--debug-exit", "0xf4"]),
    ],
)
def test_debug_exit_without_a_port_means_the_default(given: list[str], expected: list[str]) -> None:
    assert with_debug_exit_port(given) == expected


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("login:=root\\n", ("login:", "root\n")),
        ("a\\=b=c=d", ("a=b", "c=d")),
        ("x=\\t\\\\\\q", ("x", "\t\\\\q")),
        ("x=", ("x", "")),
    ],
)
def test_reply_splits_text_and_answer(text: str, pair: tuple[str, str]) -> None:
    assert reply("--on-serial", text) == pair


def test_options_change_only_what_is_given(private: Path) -> None:
    (private / "k").touch()
    base = VmConfig(name="deb", memory_mib=64)
    changed = MachineOptions(
        engine="interpreter",
        deterministic=True,
        display="none",
        serial=("file:log", "stdio"),
        virtio_console="stdio",
        module=(f"{private / 'k'},a,b", f"{private / 'k'}"),
        debug_exit="0xf4",
        kernel=private / "k",
        firmware="none",
        nic=("none",),
    ).apply(base)

    assert changed.memory_mib == 64
    assert changed.engine is EngineKind.INTERPRETER
    assert changed.display is DisplayKind.NONE
    log = SerialConfig(SerialKind.FILE, str(Path("log").absolute()))
    assert changed.serial == (log, SerialConfig())
    assert changed.console == SerialConfig()
    assert [module.line for module in changed.boot.modules] == ["k a,b", "k"]
    without = MachineOptions(virtio_console="none", module=("none",)).apply(changed)
    assert (without.console, without.boot.modules) == (None, ())
    assert changed.debug_exit_port == 0xF4
    assert changed.boot.kernel == str(private / "k")
    assert MachineOptions().apply(base) == base
    assert not MachineOptions().given


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (MachineOptions(floppy=("/nonexistent",)), NotFoundError),
        (MachineOptions(nic=("nat",)), NotSupportedError),
        (MachineOptions(sound="yes"), NotSupportedError),
        (MachineOptions(firmware="/nonexistent"), NotFoundError),
        (MachineOptions(boot="disk,tape"), UsageError),
        (MachineOptions(cdrom=("none", "empty")), UsageError),
        (MachineOptions(disk=("empty",)), UsageError),
        (MachineOptions(floppy=("/",)), UsageError),
        (MachineOptions(disk=("/",)), UsageError),
        (MachineOptions(cdrom=("/dev/null,bus=virtio",)), UsageError),
        (MachineOptions(disk=("/dev/null,bus=sata",)), NotSupportedError),
        (MachineOptions(disk=("/dev/null,bus=floppy",)), UsageError),
        (MachineOptions(disk=("/dev/null,format=vmdk",)), UsageError),
        (MachineOptions(disk=("/dev/null,mode=independent-persistent",)), NotSupportedError),
        (MachineOptions(disk=("/dev/null,mode=loud",)), UsageError),
        (MachineOptions(disk=("/dev/null,backing=/nonexistent",)), NotFoundError),
        (MachineOptions(disk=("/dev/null",) * 5), ConfigError),
        (MachineOptions(serial=("unix:/s",)), NotSupportedError),
        (MachineOptions(serial=("radio",)), UsageError),
        (MachineOptions(virtio_console="radio"), UsageError),
        (MachineOptions(module=("/nonexistent",)), NotFoundError),
        (MachineOptions(module=("none", "/dev/null")), UsageError),
        (MachineOptions(engine="steam"), UsageError),
        (MachineOptions(display="paper"), UsageError),
        (MachineOptions(debug_exit="x"), UsageError),
        (MachineOptions(initrd=Path("/nonexistent")), NotFoundError),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: MachineOptions, error: type[Exception]
) -> None:
    with pytest.raises(error):
        options.apply(VmConfig(name="deb"))


@pytest.mark.parametrize("arguments", [[], ["run", "--kernel", "/dev/null"]])
@pytest.mark.parametrize("installed", [True, False])
def test_window_without_a_front_end_or_display_is_a_sentence(
    arguments: list[str], installed: bool, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    entry = EntryPoint("fake", "builtins:print", "vmwb.frontends")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [entry] if installed else [])

    assert run(arguments) == 3
    sentence = capsys.readouterr().err
    assert ("no display" in sentence) == installed
    assert ("vmwb-ui" in sentence) == (not installed)


def test_window_is_opened_with_paths_and_its_code_is_the_commands(
    monkeypatch: pytest.MonkeyPatch, private: Path
) -> None:
    requests: list[FrontendRequest] = []

    def frontend(request: FrontendRequest) -> int:
        requests.append(request)
        return 7

    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setattr("vmwb.cli.execute.load_frontend", lambda: frontend)

    assert run([]) == 7
    assert run(["run", "--kernel", "/dev/null", "--timeout", "5"]) == 7
    assert requests[0].paths.library == private / "library"
    assert requests[0].run is None
    assert requests[1].run is not None
    assert requests[1].run.timeout_s == 5
