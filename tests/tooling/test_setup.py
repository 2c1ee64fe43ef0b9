"""The parts of the set-up that can be told from what they return."""

from __future__ import annotations

import os
from pathlib import Path

import lock
import pytest
import setup

LOCK = """# a comment
alpha==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:ab
beta-two==2.0 ; sys_platform == 'win32' \\
    --hash=sha256:ba
gamma==3.0 \\
    --hash=sha256:ca
"""


def test_without_removes_entries_with_their_hashes() -> None:
    kept = setup.without(LOCK, {"beta-two"})

    assert "beta" not in kept
    assert "sha256:ba" not in kept
    assert kept.count("--hash") == 3


def test_without_nothing_changes_nothing() -> None:
    assert setup.without(LOCK, ()) == LOCK


@pytest.mark.parametrize(
    ("requirement", "name"),
    [("PySide6_Essentials>=6.10,<6.12", "pyside6-essentials"), ("rich", "rich"), ("a.b==1", "a-b")],
)
def test_requirement_name_is_normalized(requirement: str, name: str) -> None:
    assert lock.requirement_name(requirement) == name


def test_requirement_name_of_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="not a requirement"):
        lock.requirement_name(">=1")


def test_lock_names_no_address() -> None:
    assert "://" not in setup.LOCK.read_text(encoding="utf-8")


def test_lock_has_what_the_parts_ask_for() -> None:
    text = setup.LOCK.read_text(encoding="utf-8")

    missing = [
        name
        for name in map(lock.requirement_name, lock.requirements())
        if f"\n{name}==" not in text
    ]

    assert missing == []


def test_every_group_of_system_packages_has_debian_names() -> None:
    groups = setup.system_packages.GROUPS

    assert all(
        name == name.lower() and " " not in name for group in groups.values() for name in group
    )


def test_translations_are_compiled_when_a_text_is_newer(tmp_path: Path) -> None:
    (tmp_path / "translations").mkdir()
    (tmp_path / "vmwb_ui").mkdir()
    source = tmp_path / "translations" / "vmwb_de.ts"
    source.write_bytes((setup.ROOT / "ui" / "translations" / "vmwb_de.ts").read_bytes())
    compiled = tmp_path / "vmwb_ui" / "translations" / "vmwb_de.qm"

    setup.compile_translations(tmp_path)
    first = compiled.stat().st_mtime_ns
    setup.compile_translations(tmp_path)
    assert compiled.stat().st_mtime_ns == first
    os.utime(source, ns=(first + 10**9, first + 10**9))
    setup.compile_translations(tmp_path)

    assert compiled.stat().st_mtime_ns != first
