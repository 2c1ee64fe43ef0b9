"""Composition root: wires the services of one library. No other module makes collaborators.

The window does the same as the command line: choose paths, then ``build_services`` on its loop.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmwb.client.supervisor import WORKER_COMMAND, Supervisor
from vmwb.ipc.platform_linux import runtime_directory
from vmwb.library.library import DEFAULT_LIBRARY, Library
from vmwb.services.api import Services
from vmwb.services.console import Console
from vmwb.services.debug import Debug
from vmwb.services.doctor import Doctor
from vmwb.services.engine import Engine
from vmwb.services.local_engine import LocalEngine
from vmwb.services.machines import Machines
from vmwb.services.media import Media
from vmwb.services.power import Power
from vmwb.services.runs import Runs
from vmwb.services.sessions import Sessions
from vmwb.services.types import RunRequest
from vmwb.services.watch import Watch

__all__ = [
    "WORKER_COMMAND",
    "FrontendRequest",
    "Paths",
    "build_services",
    "default_paths",
]


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a program's machines are. ``runtime`` is private to the user, for sockets."""

    library: Path
    runtime: Path


@dataclass(frozen=True, slots=True)
class FrontendRequest:
    """What a front end of the entry point group ``vmwb.frontends`` is called with.

    The entry point is a callable ``main(request: FrontendRequest) -> int`` that gives the exit
    code. ``machine`` is to be opened in a tab at once; ``run`` is a machine in the foreground, of
    which nothing is kept, and whose end ends the front end.
    """

    paths: Paths
    machine: str | None = None
    run: RunRequest | None = None


def default_paths(environment: Mapping[str, str], library: Path | None = None) -> Paths:
    """Choose the library (given, else ``VMWB_LIBRARY``, else ``~/Virtual Machines``).

    Raises:
        StorageError: there is no private directory for sockets.
    """
    chosen = library
    if chosen is None:
        named = environment.get("VMWB_LIBRARY", "")
        chosen = Path(named) if named else Path.home() / DEFAULT_LIBRARY
    return Paths(chosen.expanduser().resolve(), runtime_directory(environment))


def build_services(
    paths: Paths,
    *,
    environment: Mapping[str, str] | None = None,
    worker_command: Sequence[str] = WORKER_COMMAND,
) -> Services:
    """Wire all services of a library; call and use them on one asyncio loop.

    ``worker_command`` starts a worker; only tests give another one.
    """
    given = dict(os.environ if environment is None else environment)

    def make_engine(root: Path) -> LocalEngine:
        return LocalEngine(Library(root), Supervisor(given, worker_command), paths.runtime, given)

    def wire(engine: Engine, library: Path) -> Services:
        sessions = Sessions(engine)
        power = Power(sessions)

        async def close() -> None:
            await sessions.close()
            engine.close()

        return Services(
            library_path=library,
            machines=Machines(sessions),
            power=power,
            console=Console(sessions),
            media=Media(sessions),
            watch=Watch(sessions),
            debug=Debug(sessions, power, paths.runtime),
            doctor=Doctor(library, paths.runtime, Supervisor(given, worker_command).host, given),
            runs=runs,
            close=close,
        )

    runs = Runs(paths.runtime, make_engine, wire)
    return wire(make_engine(paths.library), paths.library)
