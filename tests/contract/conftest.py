"""Fixtures of the tests that run real worker processes around a core."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from contract.bench import FAKE_WORKER, Bench, worker_environment
from leaks import no_leaks, no_tasks

from vmwb.app import Paths, build_services
from vmwb.model.errors import WrongStateError

__all__ = ["no_leaks", "no_tasks"]


@pytest.fixture
async def bench(no_tasks: None, short_tmp_path: Path) -> AsyncIterator[Bench]:
    """Give a bench; everything that still runs is switched off afterwards."""
    runtime = short_tmp_path / "run"
    runtime.mkdir(mode=0o700)
    kernel = short_tmp_path / "kernel"
    kernel.write_bytes(b"FAKE kernel")
    paths = Paths(short_tmp_path / "library", runtime)
    services = build_services(paths, environment=worker_environment(), worker_command=FAKE_WORKER)
    yield Bench(services, paths, kernel)
    for machine in await services.machines.list():
        if machine.state.has_worker:
            # One that ended by itself just now needs no stop.
            with contextlib.suppress(WrongStateError):
                await services.power.stop(machine.name)
    await services.close()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)  # noqa: ASYNC222 - the loop has nothing else to do
