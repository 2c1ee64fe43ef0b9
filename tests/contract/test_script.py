from __future__ import annotations

import pytest
from contract.bench import Bench

from vmwb.automation.script import Script, workbench
from vmwb.model.errors import NotFoundError, TimedOutError
from vmwb.model.power import PowerState
from vmwb.services.types import StopKind


async def test_script_drives_a_machine(bench: Bench) -> None:
    await bench.services.machines.create(bench.config())
    machine = Script(bench.services, "deb")
    await machine.start()
    await machine.expect("can't access tty", timeout_s=20)
    await machine.send("screen login:\n")
    await machine.answer_screen("login:", "a enter")
    await machine.expect_screen("key 1c", timeout_s=20)
    await machine.type("b")
    await machine.keys("f10")
    await machine.expect_screen("key 44", timeout_s=20)

    assert "key 30" in await machine.screen()
    await bench.services.power.suspend("deb")
    await machine.start()
    assert (await machine.stop(StopKind.SOFT)).state is PowerState.OFF


async def test_command_that_does_not_end_times_out(bench: Bench) -> None:
    await bench.services.machines.create(bench.config())
    machine = Script(bench.services, "deb")
    await machine.start()

    with pytest.raises(TimedOutError):
        await machine.command("sleep", timeout_s=0.2)


async def test_workbench_opens_a_library(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"XDG_RUNTIME_DIR": str(bench.paths.runtime)}
    async with workbench(bench.paths.library, environment) as services:
        with pytest.raises(NotFoundError):
            await services.machines.show("nobody")
