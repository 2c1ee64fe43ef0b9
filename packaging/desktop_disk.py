"""The disk of debian_disk.py with a desktop on it: Xfce from Debian's packages, started by itself.

X is Debian's, unconfigured: it chooses its drivers by what it finds. The session is that of an
ordinary user, begun by a unit of systemd in place of a display manager. It has the first virtual
terminal, which is the one in front when the system starts: only there X gets its devices. Beside
the desktop there are a terminal, a file manager, and the tools that ask X about its screen.
"""

from __future__ import annotations

from pathlib import Path

import debian_disk

USER = "user"
_UNIT = f"""[Unit]
Description=The desktop of one user
After=systemd-user-sessions.service systemd-logind.service
Conflicts=getty@tty1.service

[Service]
User={USER}
PAMName=login
TTYPath=/dev/tty1
StandardInput=tty
StandardOutput=journal
UtmpIdentifier=tty1
UtmpMode=user
WorkingDirectory=/home/{USER}
ExecStart=/usr/bin/startx /usr/bin/startxfce4 -- vt1 -keeptty -nolisten tcp

[Install]
WantedBy=graphical.target
"""
_PACKAGES = (
    *("xserver-xorg-core", "xserver-xorg-video-vesa", "xserver-xorg-video-fbdev"),
    *("xserver-xorg-input-libinput", "xinit", "x11-xserver-utils", "x11-utils", "xdotool"),
    *("xfce4-session", "xfwm4", "xfdesktop4", "xfce4-panel", "xfce4-settings"),
    *("xfce4-terminal", "thunar", "fonts-dejavu-core"),
    *("libpam-systemd", "dbus-user-session", "dbus-x11"),
)


def _set_up(root: Path) -> None:
    commands = (
        ("useradd", "--create-home", "--shell", "/bin/bash", USER),
        ("systemctl", "mask", "getty@tty1.service"),
        ("systemctl", "enable", "desktop.service"),
        ("systemctl", "set-default", "graphical.target"),
    )
    (root / "etc" / "systemd" / "system" / "desktop.service").write_text(_UNIT)
    for command in commands:
        debian_disk.run(["chroot", str(root), *command], "The desktop could not be set up")


DESKTOP = debian_disk.Variant("xfce1", 3 << 30, _PACKAGES, _set_up)


def disk() -> Path:
    """Return the image; the first call fetches about 500 MiB and takes many minutes.

    Raises DiskError.
    """
    return debian_disk.disk("amd64", DESKTOP)


if __name__ == "__main__":
    print(disk())
