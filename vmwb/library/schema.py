"""``machine.json``: read with all errors at once, written from a ``VmConfig``.

The only module of the library that imports pydantic. Unknown fields are refused: they come from a
newer version, and dropping them would lose what the user defined.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vmwb.library.files import read_bounded
from vmwb.library.layout import Bundle
from vmwb.model.config import (
    BOOT_ORDER_DEFAULT,
    BootConfig,
    BootSource,
    CpuConfig,
    DisplayKind,
    EngineKind,
    ModuleConfig,
    SerialConfig,
    SerialKind,
    VmConfig,
)
from vmwb.model.drives import CHAIN_MAX, DriveConfig, DriveKind, ImageFile, ImageFormat
from vmwb.model.errors import CorruptError
from vmwb.model.names import is_machine_id

DEFINITION_VERSION: Final = 1
_Path = Annotated[str, Field(min_length=1, max_length=4096)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Cpu(_Strict):
    model: str
    tsc_hz: int


class _Module(_Strict):
    path: _Path
    arguments: str = ""


class _Boot(_Strict):
    kernel: _Path | None = None
    initrd: _Path | None = None
    append: str = ""
    firmware: _Path | None = None
    order: tuple[BootSource, ...] = Field(BOOT_ORDER_DEFAULT, max_length=4)
    menu: bool = True
    modules: tuple[_Module, ...] = Field((), max_length=32)


class _Image(_Strict):
    path: _Path
    format: ImageFormat


class _Drive(_Strict):
    slot: str
    kind: DriveKind
    image: _Image | None = None
    backing: tuple[_Image, ...] = Field((), max_length=CHAIN_MAX)
    read_only: bool = False


class _Serial(_Strict):
    kind: SerialKind
    path: _Path | None = None


class MachineFileV1(_Strict):
    """The file. The machine's name is not in it: it is the name of the bundle's folder."""

    version: Literal[1]
    id: str
    memory_mib: int
    cpus: int
    engine: EngineKind
    deterministic: bool
    pace: bool = True
    cpu: _Cpu
    boot: _Boot
    serial: tuple[_Serial, ...] = Field(max_length=4)
    console: _Serial | None = None
    drives: tuple[_Drive, ...] = Field((), max_length=14)
    display: DisplayKind
    debug_exit_port: int | None = None
    seed: int = 0


def encode_definition(config: VmConfig) -> bytes:
    """Write the content of ``machine.json``."""
    content = {
        "version": DEFINITION_VERSION,
        "id": config.id,
        "memory_mib": config.memory_mib,
        "cpus": config.cpus,
        "engine": config.engine.value,
        "deterministic": config.deterministic,
        "pace": config.pace,
        "cpu": {"model": config.cpu.model, "tsc_hz": config.cpu.tsc_hz},
        "boot": {
            "kernel": config.boot.kernel,
            "initrd": config.boot.initrd,
            "append": config.boot.append,
            "firmware": config.boot.firmware,
            "order": [source.value for source in config.boot.order],
            "menu": config.boot.menu,
            "modules": [
                {"path": module.path, "arguments": module.arguments}
                for module in config.boot.modules
            ],
        },
        "serial": [_port_content(port) for port in config.serial],
        "console": None if config.console is None else _port_content(config.console),
        "drives": [_drive_content(drive) for drive in config.drives],
        "display": config.display.value,
        "debug_exit_port": config.debug_exit_port,
        "seed": config.seed,
    }
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _port_content(port: SerialConfig) -> dict[str, object]:
    return {"kind": port.kind.value, "path": port.path}


def _drive_content(drive: DriveConfig) -> dict[str, object]:
    files = [{"path": file.path, "format": file.format.value} for file in drive.files]
    return {
        "slot": drive.slot,
        "kind": drive.kind.value,
        "image": files[0] if files else None,
        "backing": files[1:],
        "read_only": drive.read_only,
    }


def _drive(file: _Drive) -> DriveConfig:
    image, *backing = (
        None if one is None else ImageFile(one.path, one.format)
        for one in (file.image, *file.backing)
    )
    return DriveConfig(
        file.slot,
        file.kind,
        image,
        tuple(one for one in backing if one is not None),
        file.read_only,
    )


def read_definition(bundle: Bundle) -> VmConfig:
    """Read the definition of a bundle.

    Raises:
        NotFoundError: the bundle has none.
        CorruptError: it does not hold to the schema; the sentence lists every fault.
        StorageError: it cannot be read.
    """
    return decode_definition(read_bounded(bundle.definition), bundle.name, bundle.definition)


def decode_definition(data: bytes, name: str, source: Path) -> VmConfig:
    """Read the content of a ``machine.json``.

    Raises:
        CorruptError: it does not hold to the schema; the sentence lists every fault.
    """
    try:
        file = MachineFileV1.model_validate_json(data)
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ][:20]
        raise CorruptError(
            f"The definition {source} cannot be read: {'; '.join(faults)}. Repair the file, or "
            "delete the machine.",
            {"path": str(source), "problems": faults},
        ) from error
    config = VmConfig(
        name=name,
        id=file.id,
        memory_mib=file.memory_mib,
        cpus=file.cpus,
        engine=file.engine,
        deterministic=file.deterministic,
        pace=file.pace,
        cpu=CpuConfig(file.cpu.model, file.cpu.tsc_hz),
        boot=BootConfig(
            file.boot.kernel,
            file.boot.initrd,
            file.boot.append,
            file.boot.firmware,
            file.boot.order,
            file.boot.menu,
            tuple(ModuleConfig(module.path, module.arguments) for module in file.boot.modules),
        ),
        serial=tuple(SerialConfig(port.kind, port.path) for port in file.serial),
        console=None
        if file.console is None
        else SerialConfig(file.console.kind, file.console.path),
        drives=tuple(_drive(drive) for drive in file.drives),
        display=file.display,
        debug_exit_port=file.debug_exit_port,
        seed=file.seed,
    )
    problems = list(config.problems())
    if not is_machine_id(config.id):
        problems.insert(0, "The id is not a UUID.")
    if problems:
        raise CorruptError(
            f"The definition {source} is not sound: {' '.join(problems)}",
            {"path": str(source), "problems": problems},
        )
    return config
