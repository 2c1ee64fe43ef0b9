"""Saved states of a bundle: ``states/<uuid>/{index.json, devices.cbor, ram.bin}``.

A state is written into a hidden directory, synced, and appears by one rename: it is whole or it is
not there. A suspend is a state without children; a bundle has at most one of them.

Every worker loads this file, so it imports little, and nothing later: workers are locked in.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmwb.library.files import read_bounded, remove_tree, sync_directory, write_atomically
from vmwb.library.layout import Bundle
from vmwb.model.errors import CorruptError, NotFoundError, VmwbError

INDEX_VERSION: Final = 1
KIND_SUSPEND: Final = "suspend"


@dataclass(frozen=True, slots=True)
class SavedState:
    """One state; ``spec`` is the core's spec of the machine at that moment, as JSON text."""

    id: str
    path: Path
    spec: str
    taken: float

    @property
    def devices(self) -> Path:
        """The devices' payloads."""
        return self.path / "devices.cbor"

    @property
    def ram(self) -> Path:
        """The guest's memory: offset = guest address, zero pages are holes."""
        return self.path / "ram.bin"


class StateWriter:
    """A state that is being written. Leave it without ``publish`` and nothing is left of it."""

    def __init__(self, bundle: Bundle, spec: str) -> None:
        """Make the hidden directory and its two files. Errors are the operating system's."""
        self._bundle = bundle
        self._id = _new_id()
        self._spec = spec
        self._path = bundle.states / f".new-{self._id}"
        bundle.states.mkdir(exist_ok=True)
        self._path.mkdir(mode=0o700)
        self.handles: dict[str, int] = {}
        try:
            for key, name in (("devices", "devices.cbor"), ("ram", "ram.bin")):
                self.handles[key] = os.open(
                    self._path / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
                )
        except OSError:
            self.discard()
            raise

    def publish(self) -> SavedState:
        """Sync everything and let the state appear. Errors are the operating system's."""
        for handle in self.handles.values():
            os.fsync(handle)
        self._close()
        taken = time.time()
        index = {
            "version": INDEX_VERSION,
            "id": self._id,
            "kind": KIND_SUSPEND,
            "taken": taken,
            "spec": self._spec,
        }
        write_atomically(self._path / "index.json", json.dumps(index).encode())
        final = self._bundle.states / self._id
        self._path.rename(final)
        sync_directory(self._bundle.states)
        return SavedState(self._id, final, self._spec, taken)

    def discard(self) -> None:
        """Remove what was written; idempotent, and harmless after ``publish``."""
        self._close()
        remove_tree(self._path)

    def _close(self) -> None:
        for handle in self.handles.values():
            with contextlib.suppress(OSError):
                os.close(handle)
        self.handles = {}


def suspended_state(bundle: Bundle) -> SavedState | None:
    """Give the state that a suspended machine comes back from; the newest, if there are several."""
    try:
        names = sorted(entry.name for entry in bundle.states.iterdir())
    except OSError:
        return None
    found: list[SavedState] = []
    for name in names:
        if not name.startswith("."):
            with contextlib.suppress(VmwbError):
                found.append(load_state(bundle, name))
    return max(found, key=lambda state: state.taken, default=None)


def load_state(bundle: Bundle, state_id: str) -> SavedState:
    """Read the index of a state.

    Raises:
        NotFoundError: there is none of that id.
        CorruptError: its index does not make sense.
    """
    if Path(state_id).name != state_id or state_id.startswith("."):
        raise NotFoundError(f"{bundle.name} has no saved state {state_id!r}.")
    path = bundle.states / state_id
    try:
        index = json.loads(read_bounded(path / "index.json"))
    except (ValueError, RecursionError):
        index = None
    if not isinstance(index, dict):
        raise CorruptError(f"The saved state {path} is damaged: its index cannot be read.")
    if index.get("version") != INDEX_VERSION:
        raise CorruptError(
            f"The saved state {path} has version {index.get('version')!r}, this program reads "
            f"{INDEX_VERSION}: use the version of VM Workbench that wrote it."
        )
    spec, taken = index.get("spec"), index.get("taken")
    if not isinstance(spec, str) or not isinstance(taken, int | float):
        raise CorruptError(f"The saved state {path} is damaged: its index is incomplete.")
    return SavedState(state_id, path, spec, float(taken))


def remove_states(bundle: Bundle) -> None:
    """Remove all suspended states and what was left of unfinished ones.

    A state first loses its place by a rename, so that a half-removed one is never found again.
    """
    try:
        entries = list(bundle.states.iterdir())
    except OSError:
        return
    for entry in entries:
        doomed = entry
        if not entry.name.startswith("."):
            doomed = entry.with_name(f".old-{entry.name}")
            entry.rename(doomed)
        remove_tree(doomed)


def _new_id() -> str:
    """Give a random UUID of version 4 (RFC 9562, section 5.4), without the library's module."""
    number = int.from_bytes(os.urandom(16), "big")
    number = number & ~(0xF << 76) | 4 << 76
    number = number & ~(3 << 62) | 2 << 62
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
