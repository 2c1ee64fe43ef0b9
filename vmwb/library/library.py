"""The library: a directory of bundles. Finds, creates, renames and deletes machines.

Definitions are read through ``schema``, which is imported when first needed: asking for a
machine's state does not need it.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from vmwb.library.files import disk_usage, storage_errors, sync_directory, write_atomically
from vmwb.library.lastwords import stopped_by_sandbox
from vmwb.library.layout import SUFFIX, Bundle, BundleLock, is_locked
from vmwb.library.runfile import RunRecord, read_run_record
from vmwb.library.states import remove_states, suspended_state
from vmwb.model.config import VmConfig
from vmwb.model.errors import (
    CorruptError,
    GuestCrashedError,
    NameTakenError,
    NotFoundError,
    VmwbError,
    WorkerError,
)
from vmwb.model.names import check_machine_name, is_machine_id
from vmwb.model.power import AT_REST, PowerState

DEFAULT_LIBRARY: Final = "Virtual Machines"
BUNDLES_MAX: Final = 10_000
# Who dies in one of these has lost nothing, if the state is there.
_WITH_STATE: Final = frozenset({PowerState.SUSPENDING, PowerState.RESUMING})
_DIED: Final = "Its process died without last words: look at `vmwb logs`, then start it again."


@dataclass(frozen=True, slots=True)
class BundleStatus:
    """The power state of a bundle as the disk tells it, and the record it was told by.

    ``record`` belongs to a live worker when ``live``; else it holds the last words. ``problem`` is
    a sentence, and ``problem_code`` its kind for programs: ``worker`` (the process died),
    ``sandbox`` (stopped by its own), ``guest_crashed``, the error's that kept it from running,
    ``no_boot_device`` (it runs, and found nothing to boot), ``asleep`` (it runs, its guest sleeps).
    ``problem_facts`` are what the sentence is made of, if that is known: ``reason``, and what
    belongs to it.
    """

    state: PowerState
    live: bool
    record: RunRecord | None
    problem: str | None = None
    problem_code: str | None = None
    problem_facts: Mapping[str, object] = field(default_factory=dict)


def bundle_status(bundle: Bundle) -> BundleStatus:
    """Find out the state of a machine without talking to its worker."""
    record = read_run_record(bundle)
    if record is not None and record.state not in AT_REST:
        if is_locked(bundle):
            if not record.notice:
                return BundleStatus(record.state, True, record)
            facts: Mapping[str, object] = {"reason": record.notice_code}
            return BundleStatus(
                record.state, True, record, record.notice, record.notice_code, facts
            )
        # Look again: between the two looks the worker may have begun, or left its last words.
        if is_locked(bundle) or read_run_record(bundle) != record:
            return bundle_status(bundle)
        if record.state in _WITH_STATE and suspended_state(bundle) is not None:
            return BundleStatus(PowerState.SUSPENDED, False, record)
        stopped = stopped_by_sandbox(bundle)
        if stopped is not None:
            facts = {"reason": "sandbox", "role": stopped.role, "call": stopped.call}
            sentence = stopped.sentence
            return BundleStatus(PowerState.CRASHED, False, record, sentence, "sandbox", facts)
        return _died(record)
    if suspended_state(bundle) is not None:
        return BundleStatus(PowerState.SUSPENDED, False, record)
    if record is None:
        return BundleStatus(PowerState.OFF, False, None)
    if record.state is PowerState.CRASHED:
        if not record.sentence:
            return _died(record)
        code, facts = GuestCrashedError.code, record.facts
        return BundleStatus(PowerState.CRASHED, False, record, record.sentence, code, facts)
    if not record.sentence:
        return BundleStatus(PowerState.OFF, False, record)
    facts = dict(record.facts)
    code = str(facts.pop("code", VmwbError.code))
    return BundleStatus(PowerState.OFF, False, record, record.sentence, code, facts)


def _died(record: RunRecord) -> BundleStatus:
    facts = {"reason": "worker_died"}
    return BundleStatus(PowerState.CRASHED, False, record, _DIED, WorkerError.code, facts)


class Library:
    """One library. The directory is made by the first machine that is created in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def bundles(self) -> Iterator[Bundle]:
        """All bundles, by name.

        Raises:
            StorageError: the library is there but cannot be read.
        """
        with storage_errors("The library cannot be read", self.root):
            try:
                names = sorted((entry.name for entry in self.root.iterdir()), key=str.casefold)
            except FileNotFoundError:
                return
        for name in names[:BUNDLES_MAX]:
            if name.endswith(SUFFIX) and not name.startswith("."):
                yield Bundle(self.root / name)

    def find(self, machine: str) -> Bundle:
        """Give the bundle of a name or id.

        Raises:
            NotFoundError: there is none.
        """
        if is_machine_id(machine):
            for bundle in self.bundles():
                with contextlib.suppress(VmwbError):
                    if self.read(bundle).id == machine:
                        return bundle
        else:
            with contextlib.suppress(VmwbError):
                bundle = self._bundle(check_machine_name(machine))
                if bundle.path.is_dir():
                    return bundle
        raise NotFoundError(
            f"There is no machine {machine[:100]!r} in the library {self.root}: `vmwb list` shows "
            "those that are.",
            {"machine": machine[:100], "library": str(self.root)},
        )

    def read(self, bundle: Bundle) -> VmConfig:
        """Read a definition; errors as ``schema.read_definition``."""
        from vmwb.library.schema import read_definition

        return read_definition(bundle)

    def create(self, config: VmConfig) -> VmConfig:
        """Put a new machine into the library, whole or not at all; give it with its id.

        Raises:
            ConfigError, UsageError: the definition is not sound.
            NameTakenError: there is a machine of that name.
            StorageError: the library cannot be written.
        """
        from vmwb.library.schema import encode_definition

        name = check_machine_name(config.name)
        made = replace(config, name=name, id=str(uuid.uuid4())).validated()
        bundle = self._bundle(name)
        with storage_errors("The machine cannot be created", bundle.path):
            self.root.mkdir(parents=True, exist_ok=True)
            if bundle.path.exists():
                raise _taken(name)
            hidden = self.root / f".new-{made.id}"
            try:
                for directory in (hidden, hidden / "disks", hidden / "states", hidden / "logs"):
                    directory.mkdir(mode=0o700)
                write_atomically(hidden / "machine.json", encode_definition(made))
                _rename_new(hidden, bundle.path, name)
                sync_directory(self.root)
            except BaseException:
                shutil.rmtree(hidden, ignore_errors=True)
                raise
        return made

    def replace(self, bundle: Bundle, config: VmConfig) -> None:
        """Write a new definition under the bundle's lock.

        Raises:
            BusyError, ConfigError, StorageError.
        """
        from vmwb.library.schema import encode_definition

        config.validated()
        with storage_errors("The machine cannot be changed", bundle.path), self.lock(bundle):
            write_atomically(bundle.definition, encode_definition(config))

    def replace_media(self, bundle: Bundle, config: VmConfig) -> None:
        """Write a definition with other media, of a machine that may run.

        Its worker holds the lock and reads the definition only when it starts, so none is taken.

        Raises:
            ConfigError, StorageError.
        """
        from vmwb.library.schema import encode_definition

        config.validated()
        with storage_errors("The machine's media cannot be noted", bundle.path):
            write_atomically(bundle.definition, encode_definition(config))

    def rename(self, bundle: Bundle, new_name: str) -> Bundle:
        """Give a machine another name, under its lock.

        Raises:
            BusyError, NameTakenError, StorageError, UsageError.
        """
        name = check_machine_name(new_name)
        target = self._bundle(name)
        with storage_errors("The machine cannot be renamed", bundle.path), self.lock(bundle):
            if target.path.exists():
                raise _taken(name)
            _rename_new(bundle.path, target.path, name)
            sync_directory(self.root)
        return target

    def delete(self, bundle: Bundle) -> None:
        """Remove a machine: it disappears by one rename, then its files go.

        Raises:
            BusyError, StorageError.
        """
        doomed = self.root / f".deleted-{uuid.uuid4()}"
        with storage_errors("The machine cannot be deleted", bundle.path), self.lock(bundle):
            bundle.path.rename(doomed)
            sync_directory(self.root)
            shutil.rmtree(doomed)

    def discard_states(self, bundle: Bundle) -> None:
        """Throw suspended states away, under the lock.

        Raises:
            BusyError, StorageError.
        """
        with storage_errors("The state cannot be discarded", bundle.path), self.lock(bundle):
            remove_states(bundle)

    def usage(self, bundle: Bundle) -> tuple[int, int]:
        """Count a bundle's files and the bytes they take."""
        return disk_usage(bundle.path)

    def lock(self, bundle: Bundle) -> BundleLock:
        """Take the lock of a bundle.

        Raises:
            BusyError: somebody else holds it.
            NotFoundError: the bundle is gone.
        """
        if not bundle.path.is_dir():
            raise NotFoundError(f"There is no machine {bundle.name!r} any more.")
        if bundle.path.is_symlink():
            raise CorruptError(f"The bundle {bundle.path} is a link: open its target's library.")
        return BundleLock(bundle)

    def _bundle(self, name: str) -> Bundle:
        return Bundle(self.root / f"{name}{SUFFIX}")


def _taken(name: str) -> NameTakenError:
    return NameTakenError(
        f"There is a machine named {name!r} already: choose another name.", {"machine": name}
    )


def _rename_new(source: Path, target: Path, name: str) -> None:
    """Rename a directory; lose against one that appeared meanwhile instead of replacing it."""
    try:
        source.rename(target)
    except OSError as error:
        # A bundle is never empty, so the kernel refuses to replace it (rename(2)).
        if target.exists():
            raise _taken(name) from error
        raise


__all__ = ["DEFAULT_LIBRARY", "BundleStatus", "Library", "bundle_status"]
