"""A fixture that fails a test which leaves tasks, child processes, or descriptors behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest


def open_descriptors() -> set[str]:
    """Give what this process has open: sockets, pipes and files, but not the loops' own."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if "anon_inode" not in target and not target.startswith("/proc"):
            found.add(f"{link.name} -> {target}")
    return found


def children() -> set[str]:
    """Give the pids of this process's children, by any of its threads."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update((task / "children").read_text().split())
        except OSError:
            continue
    return found


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Compare descriptors and children before and after the test."""
    before = open_descriptors()
    children_before = children()
    yield
    if not open_descriptors() <= before:
        # What only waits for the collector is not lost.
        gc.collect()
    assert open_descriptors() <= before, f"left open: {open_descriptors() - before}"
    assert children() <= children_before, f"child processes are left: {children()}"


@pytest.fixture
async def no_tasks() -> AsyncIterator[None]:
    """Fail a coroutine test that leaves tasks running; ask for it before other fixtures."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks are left: {left}"
