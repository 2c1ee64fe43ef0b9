"""The cache of unpacked packages, without a server: apt and dpkg-deb are not reached here."""

from __future__ import annotations

import os
import time
from pathlib import Path

import debian_packages
import pytest

CHECKSUM = "ab" * 32


def remember(cache: Path, age_seconds: float) -> Path:
    """Put an unpacked package into the cache, as old as is said."""
    folder = cache / CHECKSUM
    folder.mkdir()
    known = cache / "hello.amd64.current"
    known.write_text(CHECKSUM)
    moment = time.time() - age_seconds
    os.utime(known, (moment, moment))
    return folder


def test_fetch_recent_package_asks_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = remember(tmp_path, 60)
    monkeypatch.setattr(debian_packages, "_newest", lambda *_: pytest.fail("a server was asked"))

    assert debian_packages.fetch("hello", "amd64", tmp_path) == folder


def test_fetch_old_package_offline_gives_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object) -> Path:
        raise debian_packages.FetchError("no network")

    folder = remember(tmp_path, 10 * debian_packages.LISTS_AGE_SECONDS)
    monkeypatch.setattr(debian_packages, "_newest", offline)

    assert debian_packages.fetch("hello", "amd64", tmp_path) == folder


@pytest.mark.parametrize("name", ["../x", "-o", "", "a b"])
def test_fetch_name_that_is_no_package_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(debian_packages.FetchError, match="not a name"):
        debian_packages.fetch(name, "amd64", tmp_path)


def test_default_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMWB_GUEST_CACHE", "/somewhere")

    assert debian_packages.default_cache() == Path("/somewhere")
