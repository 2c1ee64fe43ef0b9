from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from vmwb.library import files, library
from vmwb.library.files import (
    open_error,
    open_image,
    read_bounded,
    remove_tree,
    storage_errors,
    write_atomically,
)
from vmwb.library.lastwords import stopped_by_sandbox
from vmwb.library.layout import LOG_KEEP, Bundle, BundleLock, is_locked, rotate_logs
from vmwb.library.library import Library, bundle_status
from vmwb.library.runfile import RUN_BYTES, RunRecord, read_run_record
from vmwb.library.schema import decode_definition, encode_definition
from vmwb.library.states import StateWriter, load_state, remove_states, suspended_state
from vmwb.model.config import (
    BootConfig,
    BootSource,
    ModuleConfig,
    SerialConfig,
    SerialKind,
    VmConfig,
)
from vmwb.model.drives import DriveConfig, DriveKind, ImageFile, ImageFormat
from vmwb.model.errors import (
    BusyError,
    ConfigError,
    CorruptError,
    NameTakenError,
    NotFoundError,
    StorageError,
)
from vmwb.model.power import PowerState

CONFIG = VmConfig(
    name="deb",
    boot=BootConfig("/k", "/i", "quiet", modules=(ModuleConfig("/m", "a b"),)),
    serial=(SerialConfig(SerialKind.FILE, "/log"), SerialConfig()),
    console=SerialConfig(),
    debug_exit_port=0x501,
    seed=7,
)


@pytest.fixture
def shelf(tmp_path: Path) -> Library:
    return Library(tmp_path / "library")


@pytest.fixture
def bundle(shelf: Library) -> Bundle:
    shelf.create(CONFIG)
    return shelf.find("deb")


def record(state: PowerState, sentence: str = "") -> RunRecord:
    return RunRecord(pid=1, socket="/s", started=1.5, state=state, sentence=sentence)


MARK = (
    "error The worker was stopped by its own sandbox: its driver thread made the system call 59, "
    "which it may not make.\n"
)


@pytest.mark.parametrize("log", ["", MARK[:-2], MARK[6:], MARK.replace("driver", "x\nfalse")])
def test_end_that_no_sandbox_made_is_not_told_as_one(bundle: Bundle, log: str) -> None:
    bundle.logs.mkdir(parents=True, exist_ok=True)
    bundle.log.write_text(log)

    assert stopped_by_sandbox(bundle) is None


def test_record_is_written_in_place_on_a_full_disk(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.path.mkdir(parents=True, exist_ok=True)
    first = RunRecord(pid=7, socket="/s", started=1.0, state=PowerState.RUNNING)
    last = replace(first, state=PowerState.CRASHED, ended_by="crashed", sentence="Why. " * 50)
    first.write(bundle, durable=False)
    size = bundle.run.stat().st_size

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(files, "write_atomically", full)
    last.write(bundle, durable=True)

    assert read_run_record(bundle) == last
    assert bundle.run.stat().st_size == size


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_record_that_never_was_is_not_made_up(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    bundle.path.mkdir(parents=True, exist_ok=True)

    def failing(*_: object, **__: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(files, "write_atomically", failing)
    with pytest.raises(OSError, match="no"):
        RunRecord(7, "/s", 1.0, PowerState.RUNNING).write(bundle, durable=False)


WRITE = "give yourself the right to write it, or attach it read-only"


@pytest.mark.parametrize(
    ("number", "writable", "sentence", "reason"),
    [
        (errno.EACCES, True, f"written: {WRITE}", "not_writable"),
        (errno.EROFS, True, f"written: {WRITE}", "not_writable"),
        (errno.EACCES, False, "read: give yourself the right to read it", "not_readable"),
        (errno.EIO, False, "read: Input/output error", None),
    ],
)
def test_file_that_cannot_be_opened_says_what_to_do(
    number: int, sentence: str, reason: str | None, *, writable: bool
) -> None:
    error = OSError(number, os.strerror(number))

    said = open_error("image", Path("/i.img"), error, writable=writable)

    assert said.sentence == f"The image /i.img cannot be {sentence}."
    assert said.context.get("reason") == reason


def test_image_that_is_a_folder_cannot_be_opened_for_writing(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written: Is a directory") as refused:
        open_image(tmp_path, writable=True)
    assert refused.value.context == {"path": str(tmp_path), "role": "image"}


def test_end_that_the_sandbox_made_is_told_from_the_log(bundle: Bundle) -> None:
    bundle.logs.mkdir(parents=True, exist_ok=True)
    bundle.log.write_text("x" * 9000 + "\n" + MARK + "Fatal\n")

    sentence = stopped_by_sandbox(bundle)

    assert sentence is not None
    assert (sentence.role, sentence.call) == ("driver", 59)
    assert "its driver thread made the system call 59, which" in sentence.sentence


def test_machine_that_runs_and_found_nothing_to_boot_has_a_problem(bundle: Bundle) -> None:
    bundle.path.mkdir(parents=True, exist_ok=True)
    running = RunRecord(7, "/s", 1.0, PowerState.RUNNING, notice="Nothing boots.")
    running = replace(running, notice_code="no_boot_device")
    running.write(bundle, durable=False)

    with BundleLock(bundle):
        told = bundle_status(bundle)
        replace(running, notice="", notice_code="").write(bundle, durable=False)
        quiet = bundle_status(bundle)

    assert (told.state, told.problem, told.problem_code) == (
        PowerState.RUNNING,
        "Nothing boots.",
        "no_boot_device",
    )
    assert told.problem_facts == {"reason": "no_boot_device"}
    assert (quiet.problem, quiet.problem_code, quiet.problem_facts) == (None, None, {})


def test_tree_that_is_removed_takes_no_link_s_target_along(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "link").symlink_to(kept)
    (tree / "file").touch()

    remove_tree(tree)
    remove_tree(tree)

    assert not tree.exists()
    assert (kept / "file").exists()


class TestLibrary:
    """Bundles as a whole."""

    def test_create_then_find_by_name_and_id(self, shelf: Library) -> None:
        made = shelf.create(CONFIG)

        assert shelf.read(shelf.find("deb")) == made
        assert shelf.find(made.id) == shelf.find("deb")
        assert replace(made, id="") == CONFIG

    def test_create_taken_name_is_refused(self, shelf: Library, bundle: Bundle) -> None:
        with pytest.raises(NameTakenError):
            shelf.create(CONFIG)

    def test_create_lost_race_for_a_name_is_refused(
        self, shelf: Library, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Path, "exists", lambda _: False)
        monkeypatch.setattr(library, "write_atomically", lambda *_: monkeypatch.undo())
        with pytest.raises(NameTakenError):
            shelf.create(CONFIG)

        assert [path.name for path in shelf.root.iterdir()] == ["deb.vmwb"]

    def test_create_unsound_is_refused_and_leaves_nothing(self, shelf: Library) -> None:
        with pytest.raises(ConfigError):
            shelf.create(replace(CONFIG, memory_mib=0))

        assert not shelf.root.exists()

    def test_create_on_a_full_disk_says_so_and_leaves_nothing(
        self, shelf: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="disk is full"):
            shelf.create(CONFIG)

        assert list(shelf.root.iterdir()) == []

    def test_find_unknown_is_not_found(self, shelf: Library, bundle: Bundle) -> None:
        for name in ("nobody", "../deb", "", "0" * 8 + "-0000-0000-0000-" + "0" * 12):
            with pytest.raises(NotFoundError):
                shelf.find(name)

    def test_bundles_of_a_missing_library_are_none(self, shelf: Library) -> None:
        assert list(shelf.bundles()) == []

    def test_bundles_leave_out_what_is_hidden_or_something_else(
        self, shelf: Library, bundle: Bundle
    ) -> None:
        (shelf.root / ".deleted-x.vmwb").mkdir()
        (shelf.root / "notes.txt").touch()

        assert [found.name for found in shelf.bundles()] == ["deb"]

    def test_rename_keeps_the_id(self, shelf: Library, bundle: Bundle) -> None:
        before = shelf.read(bundle)
        renamed = shelf.rename(bundle, "other")

        assert shelf.read(renamed) == replace(before, name="other")

    def test_rename_to_a_taken_name_is_refused(self, shelf: Library, bundle: Bundle) -> None:
        shelf.create(replace(CONFIG, name="other"))
        with pytest.raises(NameTakenError):
            shelf.rename(bundle, "other")

    def test_changes_of_a_bundle_in_use_are_refused(self, shelf: Library, bundle: Bundle) -> None:
        with BundleLock(bundle):
            for change in (
                lambda: shelf.rename(bundle, "other"),
                lambda: shelf.delete(bundle),
                lambda: shelf.replace(bundle, shelf.read(bundle)),
                lambda: shelf.discard_states(bundle),
            ):
                with pytest.raises(BusyError):
                    change()

    def test_delete_removes_everything(self, shelf: Library, bundle: Bundle) -> None:
        shelf.delete(bundle)

        assert list(shelf.root.iterdir()) == []
        with pytest.raises(NotFoundError):
            shelf.lock(bundle)

    def test_lock_of_a_linked_bundle_is_refused(self, shelf: Library, bundle: Bundle) -> None:
        link = Bundle(shelf.root / "link.vmwb")
        link.path.symlink_to(bundle.path)
        with pytest.raises(CorruptError):
            shelf.lock(link)

    def test_usage_counts_files(self, shelf: Library, bundle: Bundle) -> None:
        files_before, _ = shelf.usage(bundle)
        (bundle.disks / "d").write_bytes(b"x" * 10_000)
        files_after, size = shelf.usage(bundle)

        assert files_after == files_before + 1
        assert size >= 8192


class TestDefinition:
    """``machine.json``."""

    def test_definition_survives(self, bundle: Bundle, shelf: Library) -> None:
        config = shelf.read(bundle)

        assert decode_definition(encode_definition(config), "deb", bundle.definition) == config

    def test_definition_with_drives_survives(self, bundle: Bundle, shelf: Library) -> None:
        qcow2 = ImageFile("/d.qcow2", ImageFormat.QCOW2)
        drives = (
            DriveConfig("ide0", DriveKind.DISK, qcow2, (ImageFile("/b"),), read_only=True),
            DriveConfig("ide2", DriveKind.CDROM),
            DriveConfig("floppy0", DriveKind.FLOPPY, ImageFile("/f")),
        )
        boot = BootConfig(firmware="/bios", order=(BootSource.DISK,), menu=False)
        config = replace(shelf.read(bundle), boot=boot, drives=drives)

        assert decode_definition(encode_definition(config), "deb", bundle.definition) == config

    def test_definition_from_before_there_were_drives_is_read(
        self, bundle: Bundle, shelf: Library
    ) -> None:
        data = json.loads(bundle.definition.read_text())
        del data["drives"], data["boot"]["firmware"], data["boot"]["order"], data["boot"]["menu"]

        assert decode_definition(json.dumps(data).encode(), "deb", bundle.definition) == shelf.read(
            bundle
        )

    @pytest.mark.parametrize(
        "drives",
        [
            [{"slot": "ide0", "kind": "tape"}],
            [{"slot": "ide0", "kind": "disk", "image": {"path": "/d", "format": "vmdk"}}],
            [{"slot": "ide0", "kind": "disk", "image": {"path": "", "format": "raw"}}],
            [{"slot": "ide9", "kind": "cdrom"}],
            [{"slot": "ide2", "kind": "cdrom"}] * 15,
        ],
    )
    def test_definition_with_drives_that_make_no_sense_is_corrupt(
        self, bundle: Bundle, drives: list[object]
    ) -> None:
        data = json.loads(bundle.definition.read_text()) | {"drives": drives}
        with pytest.raises(CorruptError):
            decode_definition(json.dumps(data).encode(), "deb", bundle.definition)

    def test_definition_with_faults_names_all_of_them(self, bundle: Bundle) -> None:
        data = json.loads(bundle.definition.read_text())
        data |= {"memory_mib": "much", "engine": "steam", "surprise": 1}
        with pytest.raises(CorruptError) as caught:
            decode_definition(json.dumps(data).encode(), "deb", bundle.definition)

        assert len(caught.value.context["problems"]) == 3
        assert "surprise" in caught.value.sentence

    @pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"{" * 5000])
    def test_definition_that_is_no_json_is_corrupt(self, data: bytes) -> None:
        with pytest.raises(CorruptError):
            decode_definition(data, "deb", Path("machine.json"))

    @pytest.mark.parametrize(("field", "value"), [("memory_mib", 1), ("id", "x"), ("cpus", 9)])
    def test_definition_against_the_rules_is_corrupt(
        self, bundle: Bundle, field: str, value: object
    ) -> None:
        data = json.loads(bundle.definition.read_text()) | {field: value}
        with pytest.raises(CorruptError, match="not sound"):
            decode_definition(json.dumps(data).encode(), "deb", bundle.definition)


class TestStatus:
    """The power state as the disk tells it."""

    def test_new_machine_is_off(self, bundle: Bundle) -> None:
        assert bundle_status(bundle).state is PowerState.OFF

    def test_live_record_and_held_lock_is_the_records_state(self, bundle: Bundle) -> None:
        record(PowerState.PAUSED).write(bundle, durable=False)
        with BundleLock(bundle):
            status = bundle_status(bundle)

        assert (status.state, status.live) == (PowerState.PAUSED, True)

    def test_live_record_and_free_lock_is_crashed(self, bundle: Bundle) -> None:
        record(PowerState.RUNNING).write(bundle, durable=True)
        with BundleLock(bundle):
            pass
        status = bundle_status(bundle)

        assert (status.state, status.live) == (PowerState.CRASHED, False)
        assert status.problem is not None

    def test_last_words_are_looked_at_again(
        self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record(PowerState.RUNNING).write(bundle, durable=False)
        looks = iter([False])

        def probe(_: Bundle) -> bool:
            first = next(looks, None) is False
            if not first:
                record(PowerState.OFF).write(bundle, durable=False)
            return False

        monkeypatch.setattr(library, "is_locked", probe)
        assert bundle_status(bundle).state is PowerState.OFF

    def test_crash_is_told_with_its_sentence(self, bundle: Bundle) -> None:
        record(PowerState.CRASHED, "Triple fault.").write(bundle, durable=False)

        assert bundle_status(bundle).problem == "Triple fault."
        assert bundle_status(bundle).problem_facts == {}

    def test_crash_is_told_with_its_facts(self, bundle: Bundle) -> None:
        facts = {"reason": "triple_fault", "rip": 2**63, "vector": 13}
        crashed = replace(record(PowerState.CRASHED, "Triple fault."), facts=facts)
        crashed.write(bundle, durable=False)

        assert bundle_status(bundle).problem_facts == facts

    def test_machine_that_never_ran_says_why_by_the_error_s_code(self, bundle: Bundle) -> None:
        facts = {"code": "not_found", "path": "/k"}
        failed = replace(record(PowerState.OFF, "There is no /k."), facts=facts)
        failed.write(bundle, durable=False)

        told = bundle_status(bundle)
        assert (told.problem_code, told.problem_facts) == ("not_found", {"path": "/k"})

    def test_facts_that_do_not_fit_the_record_are_left_out(self, bundle: Bundle) -> None:
        facts = {"reason": "boot_failed", "detail": "x" * RUN_BYTES}
        crashed = replace(record(PowerState.CRASHED, "Not loaded."), facts=facts)
        crashed.write(bundle, durable=False)

        assert bundle.run.stat().st_size == RUN_BYTES
        assert bundle_status(bundle).problem == "Not loaded."
        assert bundle_status(bundle).problem_facts == {}

    @pytest.mark.parametrize(
        ("facts", "kept"),
        [
            (None, {}),
            (["rip"], {}),
            ({str(n): n for n in range(17)}, {}),
            ({"rip": 1, "detail": "x", "deep": {"a": 1}, "none": None}, {"rip": 1, "detail": "x"}),
        ],
    )
    def test_facts_that_make_no_sense_are_left_out(
        self, bundle: Bundle, facts: object, kept: dict[str, object]
    ) -> None:
        crashed = replace(record(PowerState.CRASHED, "Triple fault."), facts=facts)
        crashed.write(bundle, durable=False)

        assert bundle_status(bundle).problem_facts == kept

    @pytest.mark.parametrize(
        ("state", "sentence", "log", "code", "reason"),
        [
            (PowerState.RUNNING, "", "", "worker", "worker_died"),
            (PowerState.RUNNING, "", MARK, "sandbox", "sandbox"),
            (PowerState.CRASHED, "Triple fault.", "", "guest_crashed", None),
            (PowerState.CRASHED, "", "", "worker", "worker_died"),
            (PowerState.OFF, "No kernel.", "", "failed", None),
            (PowerState.OFF, "", "", None, None),
        ],
    )
    def test_problem_has_a_code_and_perhaps_a_reason(
        self,
        bundle: Bundle,
        state: PowerState,
        sentence: str,
        log: str,
        code: str | None,
        reason: str | None,
    ) -> None:
        record(state, sentence).write(bundle, durable=False)
        bundle.logs.mkdir(exist_ok=True)
        bundle.log.write_text(log)

        told = bundle_status(bundle)
        assert (told.problem_code, told.problem_facts.get("reason")) == (code, reason)

    def test_lock_held_by_an_editor_does_not_look_like_a_run(self, bundle: Bundle) -> None:
        record(PowerState.OFF).write(bundle, durable=False)
        with BundleLock(bundle):
            assert bundle_status(bundle).state is PowerState.OFF

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b"{}", b'{"version": 1, "pid": 1, "socket": "", "started": 0}'],
    )
    def test_record_that_makes_no_sense_is_none(self, bundle: Bundle, content: bytes) -> None:
        bundle.run.write_bytes(content)

        assert read_run_record(bundle) is None
        assert bundle_status(bundle).state is PowerState.OFF

    def test_record_survives(self, bundle: Bundle) -> None:
        record(PowerState.RUNNING, "x").write(bundle, durable=True)

        assert read_run_record(bundle) == record(PowerState.RUNNING, "x")

    def test_is_locked_without_a_lock_file_is_false(self, bundle: Bundle) -> None:
        assert not is_locked(bundle)


class TestStates:
    """Suspended states."""

    def write(self, bundle: Bundle) -> StateWriter:
        writer = StateWriter(bundle, '{"spec": 1}')
        os.write(writer.handles["devices"], b"devices")
        return writer

    def test_published_state_is_found(self, bundle: Bundle) -> None:
        saved = self.write(bundle).publish()

        assert suspended_state(bundle) == saved
        assert saved.devices.read_bytes() == b"devices"
        assert bundle_status(bundle).state is PowerState.SUSPENDED

    def test_discarded_state_leaves_nothing(self, bundle: Bundle) -> None:
        writer = self.write(bundle)
        writer.discard()
        writer.discard()

        assert list(bundle.states.iterdir()) == []

    def test_unfinished_state_is_not_found_and_removed_later(self, bundle: Bundle) -> None:
        writer = self.write(bundle)

        assert suspended_state(bundle) is None
        remove_states(bundle)
        assert list(bundle.states.iterdir()) == []
        writer.discard()

    def test_removed_state_is_gone(self, bundle: Bundle) -> None:
        self.write(bundle).publish()
        remove_states(bundle)

        assert bundle_status(bundle).state is PowerState.OFF

    def test_writer_that_cannot_open_its_files_leaves_nothing(
        self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.open

        def refuse(path: Path, flags: int, *rest: int, **named: int) -> int:
            if flags & os.O_EXCL:
                raise OSError(errno.ENOSPC, "full")
            return real(path, flags, *rest, **named)

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(OSError, match="full"):
            StateWriter(bundle, "{}")
        monkeypatch.undo()

        assert list(bundle.states.iterdir()) == []

    @pytest.mark.parametrize(
        "index",
        ["", "[]", "{}", '{"version": 2}', '{"version": 1}', '{"version": 1, "spec": "{}"}'],
    )
    def test_damaged_index_is_corrupt(self, bundle: Bundle, index: str) -> None:
        saved = self.write(bundle).publish()
        (saved.path / "index.json").write_text(index)
        with pytest.raises(CorruptError):
            load_state(bundle, saved.id)

        assert suspended_state(bundle) is None

    @pytest.mark.parametrize("name", ["../deb.vmwb", ".new-x", "nothing"])
    def test_load_state_of_no_state_is_not_found(self, bundle: Bundle, name: str) -> None:
        with pytest.raises(NotFoundError):
            load_state(bundle, name)

    def test_states_of_a_bundle_without_the_directory_are_none(self, bundle: Bundle) -> None:
        bundle.states.rmdir()
        remove_states(bundle)

        assert suspended_state(bundle) is None


class TestFiles:
    """Whole files and clear errors."""

    def test_write_atomically_replaces_and_leaves_no_temporary(self, tmp_path: Path) -> None:
        write_atomically(tmp_path / "f", b"one")
        write_atomically(tmp_path / "f", b"two", durable=False)

        assert (tmp_path / "f").read_bytes() == b"two"
        assert [path.name for path in tmp_path.iterdir()] == ["f"]

    def test_write_atomically_failed_keeps_the_old(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_atomically(tmp_path / "f", b"one")

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(files.os, "write", full)
        with pytest.raises(OSError, match="full"):
            write_atomically(tmp_path / "f", b"two")

        assert (tmp_path / "f").read_bytes() == b"one"
        assert [path.name for path in tmp_path.iterdir()] == ["f"]

    @pytest.mark.parametrize(
        ("number", "words"),
        [
            (errno.EROFS, "read-only"),
            (errno.EACCES, "may not write"),
            (errno.EDQUOT, "full"),
            (errno.ENAMETOOLONG, "shorter name"),
            (errno.EIO, os.strerror(errno.EIO)),
        ],
    )
    def test_storage_errors_say_what_to_do(self, number: int, words: str) -> None:
        with pytest.raises(StorageError, match=words), storage_errors("It failed", Path("/x")):
            raise OSError(number, os.strerror(number))

    def test_read_bounded_refuses_what_is_too_large(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"x" * 11)
        with pytest.raises(CorruptError):
            read_bounded(tmp_path / "f", 10)

    def test_read_bounded_missing_is_not_found(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError):
            read_bounded(tmp_path / "f")

    def test_read_bounded_directory_is_a_storage_error(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError):
            read_bounded(tmp_path)

    def test_rotate_logs_keeps_a_few(self, bundle: Bundle) -> None:
        for number in range(LOG_KEEP + 3):
            rotate_logs(bundle)
            bundle.log.write_text(str(number))

        assert len(list(bundle.logs.iterdir())) == LOG_KEEP + 1
        assert (bundle.logs / "worker.1.log").read_text() == str(LOG_KEEP + 1)


@pytest.mark.parametrize(
    ("died_in", "state"),
    [
        (PowerState.SUSPENDING, PowerState.SUSPENDED),
        (PowerState.RESUMING, PowerState.SUSPENDED),
        (PowerState.RUNNING, PowerState.CRASHED),
    ],
)
def test_worker_that_died_beside_a_whole_state(
    bundle: Bundle, died_in: PowerState, state: PowerState
) -> None:
    StateWriter(bundle, "{}").publish()
    record(died_in).write(bundle, durable=False)

    assert bundle_status(bundle).state is state
