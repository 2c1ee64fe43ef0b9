"""Name the Debian packages that a task needs, and install what is missing.

As root they are installed at once; otherwise by sudo after a question; without either, the line to
type is printed and the caller stops. Nothing is asked when nothing is missing. On systems without
dpkg the names are only told.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence

#: What each task needs. The Qt list was found by starting PySide6 in a minimal Debian 12, first the
#: offscreen, then the xcb platform plugin; each name stands for a library that was reported
#: missing.
GROUPS: dict[str, tuple[str, ...]] = {
    "build": ("ca-certificates", "gcc", "libc6-dev", "make"),
    "venv": ("python3-venv",),
    "qt": (
        *("libgl1", "libegl1", "libdbus-1-3", "libfontconfig1", "libxkbcommon0", "libglib2.0-0"),
        *(
            "libxcb-cursor0",
            "libxcb-icccm4",
            "libxcb-keysyms1",
            "libxcb-shape0",
            "libxkbcommon-x11-0",
        ),
    ),
    "guests": ("ca-certificates", "seabios", "xz-utils"),
    "tests": ("gdb", "qemu-utils"),
    "bench": ("gcc-multilib", "qemu-system-x86", "qemu-utils"),
    "fresh": ("debootstrap", "rsync"),
    "disks": ("debootstrap", "e2fsprogs"),
    "desktop": ("debootstrap", "e2fsprogs", "qemu-system-x86"),
}


class MissingPackagesError(Exception):
    """System packages are missing and cannot be installed from here; the text says what to type."""


def missing(names: Iterable[str]) -> list[str]:
    """Return those of the packages that dpkg does not report as installed, in order, each once."""
    wanted = list(dict.fromkeys(names))
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *wanted],
        capture_output=True,
        text=True,
        check=False,  # it exits 1 when it does not know a name, which is an answer
    )
    installed = {
        line.split()[0] for line in done.stdout.splitlines() if line.endswith(" installed")
    }
    return [name for name in wanted if name not in installed]


def apt_command(names: Sequence[str]) -> list[str]:
    """Return the command that installs the packages."""
    return ["apt-get", "install", "--yes", "--no-install-recommends", *names]


def ensure(groups: Iterable[str]) -> None:
    """Install the packages of the groups, as far as they are missing.

    Raises MissingPackagesError with the apt line when that needs rights that are not there, when
    the user says no, or when apt fails.
    """
    names = [name for group in groups for name in GROUPS[group]]
    if shutil.which("dpkg-query") is None:
        print(f"This is not a Debian system: please see to the equivalents of {' '.join(names)}.")
        return
    absent = missing(names)
    if not absent:
        return
    line = " ".join(apt_command(absent))
    prefix = _rights(line)
    print(f"Installing system packages: {' '.join(absent)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _apt([*prefix, "apt-get", "update", "--quiet=2"], environment, may_fail=True)
    _apt([*prefix, *apt_command(absent)], environment, may_fail=False)


def _rights(line: str) -> list[str]:
    """Return the prefix that gives apt its rights: nothing for root, sudo if the user agrees."""
    if os.geteuid() == 0:
        return []
    refusal = MissingPackagesError(
        f"System packages are missing. Install them, then run this again:\n\n    sudo {line}\n"
    )
    if shutil.which("sudo") is None or not sys.stdin.isatty():
        raise refusal
    print(f"These system packages are missing and will be installed by:\n\n    sudo {line}\n")
    if input("Run it now? [Y/n] ").strip().lower() not in {"", "y", "yes", "j", "ja"}:
        raise refusal
    return ["sudo"]


def _apt(command: Sequence[str], environment: dict[str, str], *, may_fail: bool) -> None:
    """Run apt and show its output only when it fails.

    A failed update (one mirror of several out of step) may still leave lists that are good enough,
    so it is not final.
    """
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 and not may_fail:
        raise MissingPackagesError(
            f"apt could not install the system packages:\n{done.stdout}{done.stderr}\n"
            f"Please repair that and run:\n\n    {' '.join(command)}\n"
        )


def main(arguments: Sequence[str]) -> int:
    """Install the groups named on the command line."""
    unknown = [name for name in arguments if name not in GROUPS]
    if unknown or not arguments:
        print(f"usage: system_packages.py GROUP...   groups: {' '.join(GROUPS)}", file=sys.stderr)
        return 2
    try:
        ensure(arguments)
    except MissingPackagesError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
