"""What `make run` does after the set-up: a Debian machine, then the workbench or the terminal.

Everything is asked of the `vmwb` command, as a user would. The machine is an ordinary one: no part
of the product knows which kernel it boots.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import debian_guests
import debian_packages

VMWB = Path(sys.executable).parent / "vmwb"
NAME = "debian"
MEMORY = "512M"
#: A shell on the screen and another one on the serial port, whichever the user is looking at. The
#: initial RAM file system has no device files of its own. What follows "--" goes to /bin/sh; the
#: kernel keeps quoted words together.
COMMAND_LINE = (
    "console=ttyS0 console=tty0 rdinit=/bin/sh -- -c "
    '"mount -t devtmpfs dev /dev; mount -t proc proc /proc; '
    'sh </dev/ttyS0 >/dev/ttyS0 2>&1 & exec sh </dev/tty1 >/dev/tty1 2>&1"'
)
NOT_FOUND = 3


def main() -> int:
    """Create the machine unless it is there, show it, and return the status of what showed it."""
    try:
        status = _ensure_machine()
    except debian_packages.FetchError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    if status != 0:
        return status
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return _vmwb()
    print(
        f"There is no display here: {NAME!r} boots in this terminal. Ctrl-] leaves it.",
        flush=True,
    )
    status = _vmwb("start", NAME, "--headless")
    return status or _console_until_left()


def _ensure_machine() -> int:
    """Create the machine if the library has none of its name."""
    known = subprocess.run(
        [VMWB, "show", NAME, "--json"], capture_output=True, text=True, check=False
    )
    if known.returncode != NOT_FOUND:
        if known.returncode != 0:
            print(known.stderr.strip(), file=sys.stderr)
        return known.returncode
    print("Fetching the Debian 12 kernel for the first machine (100 MB, once)", flush=True)
    guest = debian_guests.netboot("amd64")
    files = ("--kernel", str(guest.kernel), "--initrd", str(guest.initrd))
    return _vmwb("create", NAME, "--memory", MEMORY, *files, "--append", COMMAND_LINE)


def _console_until_left() -> int:
    """Show the serial port; say what becomes of the machine when the user leaves it."""
    status = _vmwb("console", NAME)
    stop = (
        f"{VMWB.relative_to(Path.cwd()) if VMWB.is_relative_to(Path.cwd()) else VMWB} stop {NAME}"
    )
    print(f"\nThe machine runs on if it was not switched off. To end it: {stop}")
    return status


def _vmwb(*arguments: str) -> int:
    return subprocess.run([VMWB, *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
