"""``run.json``: what the worker of a bundle is, and its last words when it has ended.

The worker writes it; everybody reads it. A record of a live state beside a free lock means that the
worker died without last words: the machine counts as crashed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from vmwb.library.files import read_bounded, write_somehow
from vmwb.library.layout import Bundle
from vmwb.model.errors import VmwbError
from vmwb.model.power import PowerState

RUN_VERSION: Final = 1
RUN_BYTES: Final = 2048
NO_BOOT_DEVICE: Final = "no_boot_device"
ASLEEP: Final = "asleep"
FACTS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The record. ``started`` is seconds since 1970; ``sentence`` says why it ended badly.

    ``notice`` says what is the matter with a machine that runs, ``notice_code`` which of those it
    is: ``no_boot_device`` (it found nothing to boot), ``asleep`` (its guest sleeps). ``facts`` are
    those of a guest that crashed, as its event ``crashed`` tells them in ``stop``, or the context
    of the error that kept the machine from running, with its ``code``.
    """

    pid: int
    socket: str
    started: float
    state: PowerState
    ended_by: str = ""
    sentence: str = ""
    notice: str = ""
    notice_code: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    version: int = RUN_VERSION

    def write(self, bundle: Bundle, *, durable: bool) -> None:
        """Replace the bundle's record, also on a disk that has become full since the first one.

        Errors are the operating system's.
        """
        data = self._encoded()
        if len(data) > RUN_BYTES:
            # The sentence has them, too.
            data = replace(self, facts={})._encoded()
        # All of one length, so that the last words fit into the place of the first ones.
        write_somehow(bundle.run, data.ljust(RUN_BYTES), durable=durable)

    def _encoded(self) -> bytes:
        return json.dumps({**asdict(self), "state": self.state.value}).encode()


def read_run_record(bundle: Bundle) -> RunRecord | None:
    """Read the bundle's record; ``None`` when there is none that makes sense."""
    try:
        data = json.loads(read_bounded(bundle.run))
        return _parse(data) if isinstance(data, dict) else None
    except (VmwbError, ValueError, RecursionError):
        return None


def _parse(data: Mapping[str, object]) -> RunRecord | None:
    pid, started = data.get("pid"), data.get("started")
    socket, state = data.get("socket"), PowerState(str(data.get("state")))
    if data.get("version") != RUN_VERSION or not isinstance(pid, int) or pid <= 0:
        return None
    if not isinstance(socket, str) or not isinstance(started, int | float):
        return None
    return RunRecord(
        pid=pid,
        socket=socket,
        started=float(started),
        state=state,
        ended_by=str(data.get("ended_by", "")),
        sentence=str(data.get("sentence", "")),
        notice=str(data.get("notice", "")),
        notice_code=str(data.get("notice_code", "")),
        facts=_facts(data.get("facts")),
    )


def _facts(found: object) -> Mapping[str, object]:
    """Read the facts: few, flat, and nothing but texts and whole numbers."""
    if not isinstance(found, dict) or len(found) > FACTS_MAX:
        return {}
    return {name: fact for name, fact in found.items() if isinstance(fact, str | int)}
