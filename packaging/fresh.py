"""`make fresh`: the README's two commands in a new Debian 12, typed with nothing else installed.

A minimal system is made by debootstrap (once, kept in a cache outside the checkout), copied, and
given Python, git, make and this host's Rust toolchain, as the README asks for, and nothing else.
The checkout's last commit is cloned into it. Then `make run` runs on a terminal, without a display:
the machine has to boot there and answer a question. Then `make test` runs without standard input.
With `--deb FILE` the package is installed there instead, without Rust, and has to run the guest of
the tests.

Needs root, for debootstrap and chroot. All mounts live in a namespace of their own and end with
this program.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import system_packages

ROOT = Path(__file__).resolve().parents[1]
SUITE = "bookworm"
#: What the README takes for granted beside the Rust toolchain. git fetches over HTTPS with the
#: certificates.
GIVEN = ("python3", "git", "make", "ca-certificates")
CLONE = "root/vmwb"
TOOLCHAIN = "opt/rust"
RUN_SECONDS = 1800.0
ANSWER_SECONDS = 120.0
SHELL = b"can't access tty"
LEAVE = b"\x1d"  # Ctrl-]
LOCAL_AUTHORITIES = Path("/usr/local/share/ca-certificates")
_PASSED_ON = re.compile(r"(PIP_|CARGO_(HTTP|NET)|SSL_CERT|https?_proxy$|no_proxy$)", re.IGNORECASE)


class FreshError(Exception):
    """The proof failed, or cannot be made here; the text says why."""


def main(arguments: Sequence[str]) -> int:
    """Make the proof and return the exit status."""
    parser = argparse.ArgumentParser(description="Prove the README's commands in a new Debian 12.")
    parser.add_argument("--only", choices=["run", "test"], help="prove one command only")
    parser.add_argument("--deb", type=Path, help="install this package there, and run a guest")
    parser.add_argument("--keep", action="store_true", help="leave the system there to look at")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("A new Debian needs root: run `sudo make fresh`.", file=sys.stderr)
        return 1
    try:
        system_packages.ensure(["fresh"])
        base = _base()
        system = base.with_name("system")
        _copy(base, system)
        try:
            if options.deb:
                _prove_package(system, options.deb)
            else:
                _prove_commands(system, options.only)
        finally:
            if not options.keep:
                shutil.rmtree(system)
    except (FreshError, system_packages.MissingPackagesError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print("\nfresh: proven")
    return 0


def _base() -> Path:
    """Return the minimal system in the cache, made if it is not there."""
    chosen = os.environ.get("XDG_CACHE_HOME")
    cache = (Path(chosen) if chosen else Path.home() / ".cache") / "vmwb" / "fresh"
    base = cache / "base"
    if base.is_dir():
        return base
    cache.mkdir(parents=True, exist_ok=True)
    print("Making a minimal Debian 12 (once)", flush=True)
    scratch = cache / "base.part"
    if scratch.exists():
        shutil.rmtree(scratch)
    include = f"--include={','.join(GIVEN)}"
    log = cache / "debootstrap.log"
    with log.open("w") as output:
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", include, SUITE, str(scratch), _mirror()],
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise FreshError(f"debootstrap failed; it wrote {log}.")
    if LOCAL_AUTHORITIES.is_dir():
        shutil.copytree(
            LOCAL_AUTHORITIES, scratch / str(LOCAL_AUTHORITIES).lstrip("/"), dirs_exist_ok=True
        )
        subprocess.run(
            ["chroot", str(scratch), "update-ca-certificates"], check=True, capture_output=True
        )
    scratch.rename(base)
    return base


def _mirror() -> str:
    """Return the address from which this host's apt takes Debian 12's main packages."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages"]
    done = subprocess.run(
        [*command, f"Codename: {SUITE}", "Component: main"],
        capture_output=True,
        text=True,
        check=False,
    )
    addresses = done.stdout.split()
    if not addresses:
        raise FreshError(
            f"This host's apt has no source for Debian 12 ({SUITE}): add one to apt's sources."
        )
    return addresses[0]


def _copy(base: Path, system: Path) -> None:
    """Copy the minimal system and give it this host's name resolution."""
    if system.exists():
        shutil.rmtree(system)
    subprocess.run(["cp", "--archive", "--reflink=auto", str(base), str(system)], check=True)
    shutil.copyfile("/etc/resolv.conf", system / "etc" / "resolv.conf")


def _prove_commands(system: Path, only: str | None) -> None:
    """Clone the last commit into the system and run the README's commands in it."""
    clone = ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(system / CLONE)]
    subprocess.run(clone, check=True)
    if only != "test":
        started = time.monotonic()
        _on_a_terminal(_inside(system, f"cd /{CLONE} && make run", rust=True))
        print(
            f"\nfresh: make run booted and answered ({time.monotonic() - started:.0f} s)",
            flush=True,
        )
    if only != "run":
        started = time.monotonic()
        command = _inside(system, f"cd /{CLONE} && make test </dev/null", rust=True)
        if subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode != 0:
            raise FreshError("`make test` failed in a new Debian 12.")
        print(f"\nfresh: make test passed ({time.monotonic() - started:.0f} s)", flush=True)


def _prove_package(system: Path, package: Path) -> None:
    """Install the .deb without Rust and run the guest of the tests by its command."""
    sys.path.insert(0, str(ROOT / "tests"))
    import guests

    shutil.copyfile(package, system / "root" / "vmwb.deb")
    shutil.copyfile(guests.hello(), system / "root" / "hello")
    script = (
        "apt-get update -qq && DEBIAN_FRONTEND=noninteractive "
        "apt-get install -y -qq --no-install-recommends /root/vmwb.deb >/root/apt.log 2>&1 "
        "|| { tail -20 /root/apt.log; exit 1; }; "
        "vmwb doctor; vmwb run --headless --memory 16M --kernel /root/hello --timeout 60 && "
        "QT_QPA_PLATFORM=offscreen /opt/vmwb/bin/python -c "
        "'import PySide6.QtWidgets as q; q.QApplication([]); import vmwb_ui'"
    )
    done = subprocess.run(
        _inside(system, script, rust=False), capture_output=True, text=True, check=False
    )
    print(done.stdout)
    if done.returncode != 0 or guests.HELLO_TEXT not in done.stdout:
        raise FreshError(f"The package does not work in a new Debian 12:\n{done.stderr}")


def _inside(system: Path, script: str, *, rust: bool) -> list[str]:
    """Return the command that runs a script in the system, in namespaces that end with it."""
    variables = {
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PATH": f"{f'/{TOOLCHAIN}/bin:' if rust else ''}/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM": os.environ.get("TERM", "dumb"),
        **{name: value for name, value in os.environ.items() if _PASSED_ON.match(name)},
    }
    variables.pop("PIP_FIND_LINKS", None)  # a folder of this host
    mounts = [
        "mount -t proc proc $0/proc",
        "mount --rbind /sys $0/sys",
        "mount --rbind /dev $0/dev",
        "mount -t tmpfs tmpfs $0/tmp",
    ]
    if rust:
        sysroot = subprocess.run(
            ["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True
        ).stdout.strip()
        mounts += [f"mkdir -p $0/{TOOLCHAIN}", f"mount --bind -o ro '{sysroot}' $0/{TOOLCHAIN}"]
    settings = [f"{name}={value}" for name, value in variables.items()]
    enter = 'exec chroot "$0" "$@"'
    return [
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"),
        *("sh", "-ec", "; ".join([*mounts, enter]), str(system)),
        *("/usr/bin/env", "-i", *settings, "/bin/bash", "-c", script),
    ]


def _on_a_terminal(command: Sequence[str]) -> None:
    """Run `make run` on a terminal of its own; boot, ask the guest its name, leave."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], list(command))  # noqa: S606 - there is no shell in between
    try:
        seen = _until(terminal, SHELL, RUN_SECONDS)
        os.write(terminal, b"uname -a\r")
        _until(terminal, b"x86_64", ANSWER_SECONDS, seen)
        os.write(terminal, LEAVE)
        _until(terminal, b"", ANSWER_SECONDS)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


def _until(terminal: int, text: bytes, seconds: float, seen: bytes = b"") -> bytes:
    """Show the terminal's output until a text comes (an empty one: until the end); return the rest.

    Only what comes after the text so far counts, so that an echo of an earlier line is no answer.
    """
    deadline = time.monotonic() + seconds
    pending = seen
    while True:
        if text and text in pending:
            return pending[pending.index(text) + len(text) :]
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            raise FreshError(f"`make run` did not show {text!r} within {seconds:.0f} s.")
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # the terminal's other end was closed: Linux says EIO
            chunk = b""
        if not chunk:
            if text:
                raise FreshError(f"`make run` ended before it showed {text!r}.")
            return pending
        sys.stdout.write(chunk.decode(errors="replace"))
        sys.stdout.flush()
        pending += chunk


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
