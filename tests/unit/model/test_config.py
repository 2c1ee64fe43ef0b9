from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vmwb.model.config import (
    BootConfig,
    CpuConfig,
    EngineKind,
    SerialConfig,
    SerialKind,
    VmConfig,
)
from vmwb.model.errors import ConfigError, UsageError

SOUND = VmConfig(name="deb", boot=BootConfig("/k", "/i", "console=ttyS0"))


def test_validated_sound_gives_itself() -> None:
    assert SOUND.validated() is SOUND


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (replace(SOUND, memory_mib=1), "Memory"),
        (replace(SOUND, memory_mib=10 << 20), "Memory"),
        (replace(SOUND, cpus=9), "1 to 8 by --cpus"),
        (replace(SOUND, cpus=0), "1 to 8 by --cpus"),
        (replace(SOUND, engine=EngineKind.KVM), "engine kvm"),
        (replace(SOUND, cpu=CpuConfig("z80")), "'z80'"),
        (replace(SOUND, cpu=CpuConfig(tsc_hz=0)), "time-stamp"),
        (replace(SOUND, boot=BootConfig(None, "/i")), "--kernel"),
        (replace(SOUND, boot=BootConfig(None, None, "quiet")), "--kernel"),
        (replace(SOUND, boot=BootConfig("/k", None, "a\0b")), "NUL"),
        (replace(SOUND, boot=BootConfig("/k", None, "x" * 2048)), "2047"),
        (replace(SOUND, serial=(SerialConfig(), SerialConfig())), "serial"),
        (replace(SOUND, serial=(SerialConfig(SerialKind.FILE),)), "file:PATH"),
        (replace(SOUND, debug_exit_port=0x10000), "port"),
        (replace(SOUND, seed=-1), "seed"),
    ],
)
def test_validated_unsound_says_what(config: VmConfig, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        config.validated()

    assert caught.value.context["problems"] == list(config.problems())


def test_validated_tells_all_problems_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        replace(SOUND, memory_mib=0, cpus=9).validated()

    assert len(caught.value.context["problems"]) == 2


def test_validated_bad_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        replace(SOUND, name="a/b").validated()


def test_to_spec_holds_no_path() -> None:
    spec = json.loads(SOUND.to_spec())

    assert spec["boot"] == {"kind": "linux", "append": "console=ttyS0"}
    assert spec["memory_mib"] == 512
    assert "/k" not in SOUND.to_spec()
