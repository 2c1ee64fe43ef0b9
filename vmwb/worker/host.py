"""The host of one machine: its events, its power state, its end.

Owns the core's machine from the moment its processor runs (``worker.boot``) to its end.
The power state follows the core's events, except while a state is being saved, when this room
decides.

::

    core events --> _apply --> state, run.json, backlog --> subscribers
                       `-----> finish(): last words, EndedEvent, ended
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Final

from vmwb.ipc.messages import PowerVerb
from vmwb.library.files import storage_errors
from vmwb.library.runfile import ASLEEP, NO_BOOT_DEVICE, RunRecord
from vmwb.library.states import StateWriter, remove_states
from vmwb.model.backlog import Backlog
from vmwb.model.errors import (
    BusyError,
    EngineFailedError,
    ProtocolError,
    StorageError,
    TimedOutError,
    VmwbError,
    WrongStateError,
)
from vmwb.model.events import (
    CrashedEvent,
    DebugExitEvent,
    EndedEvent,
    Event,
    GuestPowerOffEvent,
    GuestResetEvent,
    LogEvent,
    NoBootDeviceEvent,
    PowerEvent,
    SleepEvent,
    SpeakerEvent,
    event_from_json,
)
from vmwb.model.keyboard import KeyPress
from vmwb.model.power import AT_REST, Action, PowerState, require
from vmwb.worker.boot import Booted
from vmwb.worker.calls import CALL_SECONDS, CoreCalls
from vmwb.worker.log import Log
from vmwb.worker.serial import SerialHub

BACKLOG_MAX: Final = 1024
EFFECT_SECONDS: Final = 10.0
LAST_STATS_SECONDS: Final = 2.0
SCREEN_POLL_SECONDS: Final = 0.05
# A guest can cause events without end (resets, pointers, trays). Of what it repeats the core keeps
# the latest; beyond so many turns a second we look for it less often.
TURNS_MAX: Final = 200
TURN_REST_SECONDS: Final = 0.05
KEY_INTERVAL_SECONDS: Final = 0.008
SLEEPS: Final = "The guest sleeps. A key or its power button wakes it."

_ACTIONS: Final = {
    PowerVerb.PAUSE: Action.PAUSE,
    PowerVerb.RESUME: Action.UNPAUSE,
    PowerVerb.RESET: Action.RESET,
    PowerVerb.POWER_BUTTON: Action.SHUT_DOWN,
    PowerVerb.POWER_OFF: Action.STOP,
}


class MachineHost:
    """One running machine and everything that watches it."""

    def __init__(self, booted: Booted, log: Log) -> None:
        """Take over a machine whose processor runs."""
        self.launch = booted.launch
        self.bundle = booted.bundle
        resumed = booted.launch.resume_state is not None
        self.state = PowerState.RESUMING if resumed else PowerState.STARTING
        self._core = booted.core
        self._machine = booted.machine
        self._spawn_seconds = booted.spawn_seconds
        self._started = booted.started
        self._log = log
        self._backlog = Backlog(BACKLOG_MAX)
        self._seq = 0
        self._retired = 0
        self._subscribers: set[Callable[[Event], None]] = set()
        self._ended_by = "power_off"
        self._sentence = ""
        self._facts: Mapping[str, object] = {}
        #: What is wrong with a machine that runs.
        self._notice = self._notice_code = ""
        self._debug_exit: int | None = None
        self._finishing = False
        self._calls = CoreCalls()
        self._saving = False
        self._suspending = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._reaching: list[tuple[frozenset[PowerState] | set[PowerState], asyncio.Event]] = []
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        # Second of the loop's time, and how often the core's events were taken in it.
        self._turns = (0, 0)
        self.serial = {
            port: SerialHub(port, console, file) for port, console, file in booted.consoles
        }

    def attach(self) -> None:
        """Hang the machine onto the running loop and take the events that wait already."""
        for hub in self.serial.values():
            hub.attach()
        self._listen()
        self.pump()

    @property
    def ended(self) -> bool:
        """Whether the machine has come to its end."""
        return self._ended.is_set()

    async def wait_under_way(self, seconds: float) -> None:
        """Return when the machine has begun to run, or has ended already; at most so late."""
        begun = set(PowerState) - {PowerState.STARTING, PowerState.RESUMING}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.state not in begun:
                    await self._changed.wait()

    async def wait_ended(self) -> None:
        """Return when the machine has come to its end."""
        await self._ended.wait()

    def subscribe(self, after: int, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Tell a listener the kept events behind ``after`` and those to come; give the way out."""
        for event in self._backlog:
            if event.seq > after:
                listener(event)
        self._subscribers.add(listener)
        return lambda: self._subscribers.discard(listener)

    def pump(self) -> None:
        """Take the core's events and act on them."""
        if self._finishing:
            return
        for text in self._machine.drain_events():
            try:
                data = json.loads(text)
                if not isinstance(data, dict):
                    raise ProtocolError("An event of the core is no object.")
                event = event_from_json(data)
            except (ValueError, ProtocolError) as error:
                self._log.write("error", f"An event of the core cannot be read: {error}")
                continue
            self._apply(event)

    def _listen(self) -> None:
        if not self._finishing:
            asyncio.get_running_loop().add_reader(self._machine.event_handle(), self._turn)

    def _turn(self) -> None:
        """Take events that have come, and rest before the next look if there was no end of them."""
        loop = asyncio.get_running_loop()
        second, turns = self._turns
        turns = turns + 1 if second == int(loop.time()) else 1
        self._turns = (int(loop.time()), turns)
        if turns > TURNS_MAX:
            loop.remove_reader(self._machine.event_handle())
            loop.call_later(TURN_REST_SECONDS, self._listen)
        self.pump()

    async def power(self, verb: PowerVerb) -> None:
        """Make one power request and wait for its effect.

        Raises:
            WrongStateError: the state forbids it.
            TimedOutError: the machine did not follow; a power-off is then forced.
        """
        self._require_idle()
        require(_ACTIONS[verb], self.state, self.launch.name)
        with self._core.errors():
            getattr(self._machine, verb.value)()
        match verb:
            case PowerVerb.PAUSE:
                await self._reach({PowerState.PAUSED})
            case PowerVerb.RESUME:
                await self._reach({PowerState.RUNNING})
            case PowerVerb.POWER_OFF:
                self._ended_by = "power_off"
                try:
                    await self._reach(AT_REST)
                except TimedOutError:
                    self._log.write("error", "The core did not switch off in time: forced.")
                    self._finish(PowerState.OFF)
                await self._ended.wait()
            case PowerVerb.RESET:
                self._notice_is("", "")
            case PowerVerb.POWER_BUTTON:
                pass

    async def suspend(self) -> None:
        """Save the whole machine into its bundle and end.

        On failure nothing is left behind and the machine goes on as it was.

        Raises:
            WrongStateError, StorageError, EngineFailedError.
        """
        self._require_idle()
        require(Action.SUSPEND, self.state, self.launch.name)
        if self.launch.tied:
            raise WrongStateError(
                f"{self.launch.name} runs in the foreground and nothing of it is kept: it cannot "
                "be suspended."
            )
        self._suspending = True
        try:
            await self._suspend()
        finally:
            self._suspending = False

    def own(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run work that goes on to its end although its client may leave."""
        task = asyncio.create_task(work, name="owned")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # An error that nobody waits for any more is not lost: the log has it.
        task.add_done_callback(self._log_failure)
        return task

    def request_end(self) -> None:
        """Switch the machine off because the process was told to end, or its owner left."""
        if self._finishing:
            return
        self._log.write("info", "The worker was told to end: the machine is switched off.")
        try:
            with self._core.errors():
                self._machine.power_off()
        except VmwbError as error:
            # It is on its way off, or being saved: either way it ends.
            self._log.write("info", f"No power-off was needed: {error.sentence}")

    async def press(self, presses: tuple[KeyPress, ...]) -> None:
        """Move keys in order, at a pace that a keyboard controller of 16 bytes can follow."""
        require(Action.INPUT, self.state, self.launch.name)
        for press in presses:
            with self._core.errors():
                self._machine.inject(
                    json.dumps({"kind": "key", "code": press.code, "down": press.down}).encode()
                )
            if len(presses) > 1:
                await asyncio.sleep(KEY_INTERVAL_SECONDS)

    def send_serial(self, port: int, data: bytes) -> None:
        """Hand bytes to a serial port of the guest.

        Raises:
            WrongStateError: the guest does not run.
            BusyError: it has not read what was sent before.
        """
        require(Action.INPUT, self.state, self.launch.name)
        if self.serial[port].crowded:
            raise BusyError(
                f"{self.launch.name} does not read its serial port {port}: what was sent before "
                "still waits, try again later."
            )
        self.serial[port].write(data)

    def point(self, place: Mapping[str, object], wheel: int, buttons: int) -> None:
        """Move the pointer.

        Raises:
            WrongStateError: the guest does not run.
        """
        require(Action.INPUT, self.state, self.launch.name)
        with self._core.errors():
            self._machine.inject(json.dumps({**place, "wheel": wheel, "buttons": buttons}).encode())

    async def change_medium(
        self, slot: str, handle: int | None, *, read_only: bool, force: bool
    ) -> None:
        """Put an image into a drive with removable media, or empty it. Takes over the handle.

        Raises:
            WrongStateError: the machine is on its way somewhere.
            NotFoundError, BusyError: there is no such drive; the guest holds its tray.
        """
        try:
            require(Action.MEDIA, self.state, self.launch.name)
            with self._core.errors():
                await self._calls.call(
                    lambda: self._machine.attach(slot, handle, read_only=read_only, force=force)
                )
        finally:
            if handle is not None:
                os.close(handle)

    async def debug(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Carry out a request of a debugger or of the trace points; the core judges it."""
        text = json.dumps(request)
        with self._core.errors():
            answer = json.loads(await self._calls.call(lambda: self._machine.debug(text)))
        if not isinstance(answer, dict):
            raise EngineFailedError("The core's answer to a debugger cannot be read.")
        return answer

    async def screen_text(self) -> str | None:
        """Give the text on the screen."""
        with self._core.errors():
            return await self._calls.call(self._machine.screen_text)

    async def wait_screen(self, needle: str) -> None:
        """Return once a text stands on the screen; the caller sets the deadline.

        Raises:
            EOFError: the machine has ended.
        """
        while True:
            over = self.ended
            if needle in (await self.screen_text() or ""):
                return
            if over:
                raise EOFError
            try:
                async with asyncio.timeout(SCREEN_POLL_SECONDS):
                    await self._ended.wait()
            except TimeoutError:
                continue

    def frame_handle(self) -> int | None:
        """Give a new descriptor of the framebuffer."""
        with self._core.errors():
            return self._machine.frame_handle()

    async def stats(self, seconds: float = CALL_SECONDS) -> Mapping[str, object]:
        """Give statistics: the core's, and the worker's own CPU time."""
        with self._core.errors():
            stats = json.loads(await self._calls.call(self._machine.stats, seconds))
        if not isinstance(stats, dict):
            raise EngineFailedError("The core's statistics cannot be read.")
        stats["state"] = self.state.value
        stats["worker_cpu_seconds"] = time.process_time()
        stats["spawn_seconds"] = self._spawn_seconds
        return stats

    async def drained(self, seconds: float) -> None:
        """Wait until clients have taken the last output, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for hub in self.serial.values():
                    await hub.drained()

    def close(self) -> None:
        """End the serial ports; idempotent. The core's machine is closed by the process's main."""
        for hub in self.serial.values():
            hub.close()

    # ------------------------------------------------------------------ inside

    def _apply(self, event: Event) -> None:
        match event:
            case PowerEvent(state=state):
                if not self._saving:
                    self._enter(state, event.retired)
                return
            case GuestPowerOffEvent():
                self._ended_by = "guest_power_off"
            case DebugExitEvent(value=value):
                self._ended_by = "debug_exit"
                self._debug_exit = value
            case CrashedEvent(sentence=sentence, stop=stop):
                self._ended_by = "crashed"
                self._sentence = sentence
                self._facts = stop
                self._log.write("error", f"The guest cannot run on: {sentence}")
            case NoBootDeviceEvent(sentence=sentence):
                # A guest can write what the firmware writes, again and again.
                self._log.core("warn", sentence)
                self._notice_is(NO_BOOT_DEVICE, sentence)
            case SleepEvent(asleep=asleep):
                self._notice_is(ASLEEP, SLEEPS if asleep else "")
            case GuestResetEvent():
                self._notice_is("", "")
            case LogEvent(level=level, message=message):
                self._log.core(level, message)
            case _:
                pass
        self._tell(event)

    def _notice_is(self, code: str, sentence: str) -> None:
        if sentence != self._notice:
            self._notice, self._notice_code = sentence, code if sentence else ""
            self._record_or_log(durable=False)

    def _enter(self, state: PowerState, retired: int) -> None:
        if state in AT_REST:
            self._retired = max(self._retired, retired)
            self._finish(state)
            return
        if state is self.state:
            self._tell(PowerEvent(retired=retired, state=state))
            return
        for states, reached in self._reaching:
            if state in states:
                reached.set()
        came_back = state is PowerState.RUNNING and self.launch.resume_state is not None
        self.state = state
        self._tell(PowerEvent(retired=retired, state=state))
        self._record_or_log(durable=False)
        if came_back:
            self._forget_states()

    def _forget_states(self) -> None:
        """The state that we came back from is used up: what runs now is the machine."""
        self.launch = replace(self.launch, resume_state=None)
        try:
            remove_states(self.bundle)
        except OSError as error:
            self._log.write("warn", f"The used state could not be removed: {error}")

    def _tell(self, event: Event) -> None:
        self._seq += 1
        self._retired = max(self._retired, event.retired)
        numbered = replace(event, seq=self._seq, retired=self._retired)
        # Tones of the speaker are of the moment, and many: they push nothing else out.
        if not isinstance(event, SpeakerEvent):
            self._backlog.add(numbered)
        for listener in list(self._subscribers):
            listener(numbered)
        self._changed.set()
        self._changed = asyncio.Event()

    def _log_failure(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._log.write("warn", f"A request failed: {error}")

    async def _reach(self, states: frozenset[PowerState] | set[PowerState]) -> None:
        """Wait until the machine has come to one of the states, if only for an instant.

        A guest that is resumed may stand at a breakpoint before anybody has looked.
        """
        reached = asyncio.Event()
        entry = (states, reached)
        self._reaching.append(entry)
        try:
            async with asyncio.timeout(EFFECT_SECONDS):
                while self.state not in states and not reached.is_set():
                    if self.ended:
                        raise WrongStateError(
                            f"{self.launch.name} ended meanwhile: it is {self.state}. "
                            f"{self._sentence}".rstrip()
                        )
                    await self._changed.wait()
        except TimeoutError:
            raise TimedOutError(
                f"{self.launch.name} did not follow within {EFFECT_SECONDS:.0f} seconds: it is "
                f"still {self.state}."
            ) from None
        finally:
            self._reaching.remove(entry)

    def _require_idle(self) -> None:
        if self._suspending:
            raise WrongStateError(
                f"{self.launch.name} is being suspended: wait until that is done."
            )

    async def _suspend(self) -> None:
        was_running = self.state is PowerState.RUNNING
        if was_running:
            with self._core.errors():
                self._machine.pause()
            await self._reach({PowerState.PAUSED})
        self._saving = True
        self._set_own_state(PowerState.SUSPENDING)
        try:
            await asyncio.to_thread(self._save)
        except VmwbError as error:
            # What the core told while it saved belongs to the attempt, not to the machine.
            self.pump()
            self._saving = False
            self._log.write("error", f"Suspending failed: {error.sentence}")
            self._set_own_state(PowerState.PAUSED)
            if was_running:
                with self._core.errors():
                    self._machine.resume()
            raise
        self._ended_by = "suspended"
        self._finish(PowerState.SUSPENDED)
        await self._ended.wait()

    def _save(self) -> None:
        """Write the state; runs in a thread of its own."""
        with storage_errors(f"{self.launch.name} cannot be suspended", self.bundle.states):
            remove_states(self.bundle)
            writer = StateWriter(self.bundle, self.launch.spec)
            try:
                try:
                    with self._core.errors():
                        self._machine.save(dict(writer.handles))
                except EngineFailedError as error:
                    raise StorageError(
                        f"{self.launch.name} cannot be suspended: {error.sentence}"
                    ) from error
                writer.publish()
            except BaseException:
                writer.discard()
                raise

    def _set_own_state(self, state: PowerState) -> None:
        self.state = state
        self._tell(PowerEvent(state=state))
        self._record_or_log(durable=False)

    def _finish(self, state: PowerState) -> None:
        """Begin the end, once: the state stays what it is from here on."""
        if not self._finishing:
            self._finishing = True
            self.state = state
            asyncio.get_running_loop().remove_reader(self._machine.event_handle())
            self.own(self._conclude(state))

    async def _conclude(self, state: PowerState) -> None:
        """Come to the end: last output, last words on disk, last event."""
        if state is PowerState.CRASHED and self._ended_by != "crashed":
            self._ended_by = "crashed"
        for hub in self.serial.values():
            hub.finish()
        try:
            stats = await self.stats(LAST_STATS_SECONDS)
        except VmwbError as error:
            self._log.write("warn", f"No final statistics: {error.sentence}")
            stats = {}
        self._record_or_log(durable=True)
        self._log.write("info", f"The machine is {state} ({self._ended_by}).")
        self._ended.set()
        self._tell(PowerEvent(state=state))
        self._tell(
            EndedEvent(
                state=state,
                ended_by=self._ended_by,
                sentence=self._sentence,
                debug_exit=self._debug_exit,
                stats=stats,
            )
        )

    def _record_or_log(self, *, durable: bool) -> None:
        try:
            self._write_record(durable=durable)
        except OSError as error:
            self._log.write("error", f"run.json cannot be written: {error}")

    def _write_record(self, *, durable: bool) -> None:
        RunRecord(
            pid=os.getpid(),
            socket=self.launch.socket,
            started=self._started,
            state=self.state,
            ended_by=self._ended_by if self.state in AT_REST else "",
            sentence=self._sentence if self.state in AT_REST else "",
            notice="" if self.state in AT_REST else self._notice,
            notice_code="" if self.state in AT_REST else self._notice_code,
            facts=self._facts if self.state in AT_REST else {},
        ).write(self.bundle, durable=durable)
