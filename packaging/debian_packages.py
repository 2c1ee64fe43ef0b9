"""Fetch Debian packages and unpack them into a cache: nothing is installed, no rights are needed.

apt does the fetching and checks the signatures, on the sources and keys that this system already
trusts, but with lists, state and cache of its own: the architecture asked for may be foreign, and
the system is never changed. A package is unpacked once per checksum. Several processes may ask at
the same time.

It is not a package manager: dependencies are not followed, maintainer scripts are not run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

#: Lists younger than this are not fetched again.
LISTS_AGE_SECONDS = 24 * 3600
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


class FetchError(Exception):
    """A package could not be had; the text says which, why, and what to do."""


def default_cache() -> Path:
    """Return $VMWB_GUEST_CACHE, else vmwb/guests below the user's cache folder."""
    chosen = os.environ.get("VMWB_GUEST_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vmwb" / "guests"


def fetch(package: str, architecture: str, cache: Path) -> Path:
    """Return the folder that holds the newest version of the package, unpacked.

    `architecture` is Debian's name for it (`amd64`, `i386`). A package that was fetched within the
    age of the lists is taken from the cache without asking any server. Raises FetchError.
    """
    if _NAME.fullmatch(package) is None or _NAME.fullmatch(architecture) is None:
        raise FetchError(f"{package}:{architecture} is not a name that Debian gives to packages.")
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise FetchError(
                f"{tool} was not found: guests come from Debian's packages, which need it."
            )
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{architecture}.lock"):
        known = cache / f"{package}.{architecture}.current"
        folder = _remembered(known)
        if folder is not None and time.time() - known.stat().st_mtime < LISTS_AGE_SECONDS:
            return folder
        try:
            folder = _newest(package, architecture, cache)
        except FetchError:
            if folder is not None:  # offline: what is in the cache is as good as it was yesterday
                return folder
            raise
        known.write_text(folder.name, encoding="utf-8")
        return folder


def dependency(package: str, architecture: str, pattern: str, cache: Path) -> str:
    """Return the first package that `package` depends on and whose name matches the pattern.

    This is how a meta package, whose name is stable, leads to the one that carries the files.
    Raises FetchError.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{architecture}.lock"):
        apt = _Apt(architecture, cache)
        apt.refresh_lists()
        names = apt.dependencies(package)
    for name in names:
        if re.fullmatch(pattern, name):
            return name
    raise FetchError(f"The Debian package {package} depends on none that is called {pattern}.")


def _remembered(known: Path) -> Path | None:
    """Return the folder that was current last time, if it is still there."""
    try:
        name = known.read_text(encoding="utf-8")
    except OSError:
        return None
    folder = known.parent / name
    return folder if re.fullmatch(r"[0-9a-f]{64}", name) and folder.is_dir() else None


def _newest(package: str, architecture: str, cache: Path) -> Path:
    """Ask apt for the current version and return the folder of its contents."""
    apt = _Apt(architecture, cache)
    apt.refresh_lists()
    checksum = apt.checksum(package)
    folder = cache / checksum
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as scratch:
            archive = apt.download(package, Path(scratch))
            found = hashlib.sha256(archive.read_bytes()).hexdigest()
            if found != checksum:
                raise FetchError(
                    f"{package}: the download has not the checksum of the package list. Try again."
                )
            contents = Path(scratch) / "contents"
            _run(
                ["dpkg-deb", "--extract", str(archive), str(contents)],
                f"{package} could not be unpacked",
            )
            contents.rename(folder)
    return folder


class _Apt:
    """apt-get with a state of its own for one architecture."""

    def __init__(self, architecture: str, cache: Path) -> None:
        self._home = cache / f"apt-{architecture}"
        for part in ("lists/partial", "archives/partial"):
            (self._home / part).mkdir(parents=True, exist_ok=True)
        (self._home / "status").touch()
        settings = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
            "Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled": "false",
            "Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled": "false",
            "Acquire::Retries": "3",
            "Dir::State": str(self._home),
            "Dir::State::lists": str(self._home / "lists"),
            "Dir::State::status": str(self._home / "status"),
            "Dir::Cache": str(self._home),
            "Dir::Cache::archives": str(self._home / "archives"),
        }
        options = [f"--option={name}={value}" for name, value in settings.items()]
        self._command = ["apt-get", "--quiet=2", *options]
        self._query = ["apt-cache", *options]

    def refresh_lists(self) -> None:
        """Fetch the package lists unless they are recent.

        One source of several may fail (a mirror out of step): whether that matters shows when a
        package is asked for.
        """
        stamp = self._home / "refreshed"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_AGE_SECONDS:
            return
        done = subprocess.run(
            [*self._command, "update"], capture_output=True, text=True, check=False
        )
        if any((self._home / "lists").glob("*_Packages*")):
            stamp.touch()
        else:
            raise FetchError(
                f"The lists of Debian's packages could not be fetched:\n{done.stderr.strip()}"
            )

    def checksum(self, package: str) -> str:
        """Return the SHA-256 of the package file, from the signed lists."""
        command = [*self._command, "--print-uris", "download", package]
        match = re.search(r"\bSHA256:([0-9a-f]{64})\b", _run(command, self._absent(package)))
        if match is None:
            raise FetchError(f"{self._absent(package)}: apt names no SHA-256 for it.")
        return match[1]

    def dependencies(self, package: str) -> list[str]:
        """Return the names of the packages that this one depends on."""
        output = _run([*self._query, "depends", package], self._absent(package))
        return re.findall(r"^ +Depends: ([a-z0-9][a-z0-9+.-]+)$", output, re.MULTILINE)

    def download(self, package: str, folder: Path) -> Path:
        """Fetch the package file into the folder and return its path."""
        _run([*self._command, "download", package], f"{package} could not be fetched", cwd=folder)
        found = list(folder.glob("*.deb"))
        if len(found) != 1:
            raise FetchError(f"{package} could not be fetched: apt left {len(found)} files.")
        return found[0]

    def _absent(self, package: str) -> str:
        return f"The Debian package {package} is not offered by this system's package sources"


def _run(command: Sequence[str], failure: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode != 0:
        raise FetchError(f"{failure}:\n{done.stderr.strip()}")
    return done.stdout


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
