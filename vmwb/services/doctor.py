"""What this host offers, and what is missing, in words. Looks, and changes nothing."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

from vmwb import __version__
from vmwb.client.supervisor import HostSupport
from vmwb.library.firmware import find_firmware
from vmwb.model.config import SEABIOS
from vmwb.model.errors import NotFoundError, WorkerError
from vmwb.model.sizes import MIB
from vmwb.services.types import Finding, FindingLevel

FRONTENDS: Final = "vmwb.frontends"
LOW_SPACE_BYTES: Final = 1024 * MIB


class Doctor:
    """Implements ``api.DoctorService``."""

    def __init__(
        self,
        library: Path,
        runtime: Path,
        ask_host: Callable[[], HostSupport],
        environment: Mapping[str, str],
    ) -> None:
        """``ask_host`` asks a worker what the kernel offers it."""
        self._environment = environment
        self._library = library
        self._runtime = runtime
        self._ask_host = ask_host

    async def findings(self) -> tuple[Finding, ...]:
        """Look at everything."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> tuple[Finding, ...]:
        return (
            _program(),
            _core(),
            _frontend(),
            self._library_finding(),
            Finding("runtime directory", FindingLevel.OK, f"Sockets are in {self._runtime}."),
            _memory(),
            self._sandbox_finding(),
            _kvm(),
            self._firmware_finding(),
            _tool("qemu-img", "Foreign disk images can be compared with it.", "qemu-utils"),
        )

    def _sandbox_finding(self) -> Finding:
        subject = "sandbox"
        try:
            host = self._ask_host()
        except WorkerError as error:
            return Finding(subject, FindingLevel.MISSING, error.sentence)
        missing = [
            *([] if host.landlock_abi else ["Landlock (a worker can reach your files)"]),
            *([] if host.seccomp else ["filters of system calls (a worker can make all of them)"]),
        ]
        if missing:
            return Finding(
                subject,
                FindingLevel.WARNING,
                f"This kernel offers no {', and no '.join(missing)}: run no guest here that you do "
                "not trust.",
            )
        return Finding(
            subject,
            FindingLevel.OK,
            f"Workers are locked in: Landlock {host.landlock_abi}, and a list of system calls for "
            "each thread.",
        )

    def _firmware_finding(self) -> Finding:
        subject = "firmware"
        try:
            found = find_firmware(SEABIOS, self._environment)
        except NotFoundError as error:
            return Finding(
                subject,
                FindingLevel.WARNING,
                f"{error.sentence} Without it only kernels can be booted, directly.",
            )
        if found.vga is None:
            return Finding(
                subject,
                FindingLevel.WARNING,
                f"SeaBIOS is at {found.bios}, without the BIOS of the display adapter: its screen "
                "stays black.",
            )
        return Finding(subject, FindingLevel.OK, f"SeaBIOS is at {found.bios}.")

    def _library_finding(self) -> Finding:
        subject, path = "library", self._library
        existing = path
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        if not os.access(existing, os.W_OK | os.X_OK):
            return Finding(
                subject,
                FindingLevel.MISSING,
                f"{path} cannot be written: choose another with --library or VMWB_LIBRARY.",
            )
        free = shutil.disk_usage(existing).free
        if free < LOW_SPACE_BYTES:
            return Finding(
                subject,
                FindingLevel.WARNING,
                f"{path} has only {free // MIB} MiB left: free some space.",
            )
        return Finding(subject, FindingLevel.OK, f"{path}, {free // (1024 * MIB)} GiB free.")


def _program() -> Finding:
    python = platform.python_version()
    return Finding("program", FindingLevel.OK, f"vmwb {__version__} on Python {python}.")


def _core() -> Finding:
    if importlib.util.find_spec("vmwb_core") is None:
        return Finding(
            "core", FindingLevel.MISSING, "The emulator core is missing: install vmwb-core."
        )
    try:
        version = metadata.version("vmwb-core")
    except metadata.PackageNotFoundError:
        version = "of unknown version"
    return Finding("core", FindingLevel.OK, f"vmwb-core {version}, engine interpreter.")


def _frontend() -> Finding:
    names = sorted(entry.name for entry in metadata.entry_points(group=FRONTENDS))
    if not names:
        return Finding(
            "window",
            FindingLevel.INFO,
            "There is no window: install vmwb-ui for one. The command line does not need it.",
        )
    return Finding("window", FindingLevel.OK, f"Front end: {', '.join(names)}.")


def _memory() -> Finding:
    try:
        pages, size = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return Finding("memory", FindingLevel.INFO, "Free memory cannot be told here.")
    free = pages * size // MIB
    level = FindingLevel.OK if free >= 1024 else FindingLevel.WARNING
    return Finding("memory", level, f"{free} MiB are free for machines.")


def _kvm() -> Finding:
    if sys.platform != "linux":
        return Finding("kvm", FindingLevel.INFO, "This host has no KVM; it is not needed.")
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        sentence = "This host offers KVM; this version does not use it yet."
    else:
        sentence = "This host offers no KVM to you; this version does not need it."
    return Finding("kvm", FindingLevel.INFO, sentence)


def _tool(name: str, use: str, package: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, FindingLevel.INFO, f"Not installed (package {package}). {use}")
    return Finding(name, FindingLevel.OK, f"{path}. {use}")
