"""``vmwb run``: a machine in the foreground of which nothing is kept.

It is an ephemeral bundle in the runtime directory with an ordinary worker, tied to this process:
the same path as ``start``. Whatever happens, the worker is switched off and the bundle removed.

::

    launch --> output, answers, waits ... --> first of: text, end of the guest, time, interrupt
           --> screenshot, text, statistics --> power off --> delete
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from vmwb.ipc.framebuffer import FrameReader
from vmwb.ipc.messages import PowerVerb
from vmwb.ipc.platform_linux import socket_path
from vmwb.library.files import storage_errors, write_atomically
from vmwb.library.layout import Bundle, is_locked
from vmwb.model.errors import (
    ExitCode,
    UsageError,
    VmwbError,
    WorkerGoneError,
    WrongStateError,
)
from vmwb.model.events import EndedEvent, NoBootDeviceEvent
from vmwb.model.keyboard import answer_presses
from vmwb.model.power import PowerState
from vmwb.model.stats import MachineStats
from vmwb.services.api import SerialStream, Services
from vmwb.services.console import map_frame
from vmwb.services.engine import Engine, Session
from vmwb.services.png import encode_png
from vmwb.services.streams import SocketStream
from vmwb.services.traces import TraceFile, trace_file
from vmwb.services.types import MachineSummary, Reply, RunEnd, RunRequest, RunResult

PREFIX: Final = "run-"
GRACE_SECONDS: Final = 2.0
LOG_LINES: Final = 10
Output = Callable[[bytes], None]
Attached = Callable[[SerialStream], None]
Opened = Callable[[Services], None]
Noticed = Callable[[str], None]
Wire = Callable[[Engine, Path], Services]


class Runs:
    """Implements ``api.RunService``.

    ``make_engine`` gives the engine of another library, ``wire`` the services over an engine.
    """

    def __init__(self, runtime: Path, make_engine: Callable[[Path], Engine], wire: Wire) -> None:
        self._runtime = runtime
        self._make_engine = make_engine
        self._wire = wire

    async def run(
        self,
        request: RunRequest,
        *,
        output: Output | None = None,
        attached: Attached | None = None,
        opened: Opened | None = None,
        noticed: Noticed | None = None,
        interrupt: asyncio.Event | None = None,
    ) -> RunResult:
        """Run an ephemeral machine to its end; see ``api.RunService``."""
        for reply in request.on_screen:
            answer_presses(reply.answer)
        request.config.validated()
        settings = None if request.trace is None else request.trace.settings
        for problem in () if settings is None else settings.problems():
            raise UsageError(problem)
        await asyncio.to_thread(self._sweep)
        async with (
            trace_file(None if request.trace is None else request.trace.file) as trace,
            self._ephemeral(request) as (engine, summary),
        ):
            session = await engine.launch(summary, resume=False, tied=True, trace=settings)
            run = _Run(request, session, output, noticed, interrupt or asyncio.Event(), trace)
            services: Services | None = None
            try:
                if opened is not None:
                    # Connections of their own beside this run's, as any other program has.
                    services = self._wire(
                        self._make_engine(summary.path.parent), summary.path.parent
                    )
                    opened(services)
                result = await run.to_end(attached)
                if result.ended_by is RunEnd.FAILED:
                    tail = await engine.logs(summary, LOG_LINES)
                    last = tail.splitlines()[-1] if tail else "nothing"
                    result = replace(result, sentence=f"{result.sentence} Its log ends: {last}")
                return result
            finally:
                if services is not None:
                    await services.close()
                await run.close()
                with contextlib.suppress(VmwbError):
                    await engine.settle(summary, session.welcome.pid)

    @contextlib.asynccontextmanager
    async def _ephemeral(self, request: RunRequest) -> AsyncIterator[tuple[Engine, MachineSummary]]:
        root = self._runtime / f"{PREFIX}{secrets.token_hex(4)}"
        with storage_errors("The machine cannot be run", root):
            root.mkdir(mode=0o700)
        engine = self._make_engine(root)
        try:
            yield engine, await engine.create(request.config)
        finally:
            engine.close()
            await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what runs left that were killed: no lock, so nobody uses it."""
        for root in self._runtime.glob(f"{PREFIX}*"):
            bundles = [Bundle(path) for path in root.glob("*.vmwb")]
            with contextlib.suppress(OSError):
                # One that was made a moment ago has no lock file yet, but its maker lives.
                begun = bool(bundles) and all(bundle.lock.exists() for bundle in bundles)
                if begun and not any(is_locked(bundle) for bundle in bundles):
                    for bundle in bundles:
                        socket_path(self._runtime, bundle.path).unlink(missing_ok=True)
                    shutil.rmtree(root, ignore_errors=True)


class _Run:
    """One run that is under way."""

    def __init__(
        self,
        request: RunRequest,
        session: Session,
        output: Output | None,
        noticed: Noticed | None,
        interrupt: asyncio.Event,
        trace: TraceFile | None,
    ) -> None:
        self._trace = trace
        self._request = request
        self._session = session
        self._output = output
        self._noticed = noticed
        self._interrupt = interrupt
        self._tasks: list[asyncio.Task[object]] = []
        self._stream: SocketStream | None = None
        self._pump: asyncio.Task[None] | None = None
        self._frame: FrameReader | None = None

    async def to_end(self, attached: Attached | None) -> RunResult:
        """Watch the run until something ends it, then bring it in."""
        try:
            await self._attach(attached)
            result = await self._first_end()
        except WorkerGoneError as error:
            result = self._result(RunEnd.FAILED, ExitCode.FAILURE, error.sentence)
        result = await self._bring_in(result)
        ended = self._session.ended
        if ended is not None and ended.debug_exit is not None:
            status = (ended.debug_exit << 1 | 1) & 0xFF
            return replace(result, ended_by=RunEnd.DEBUG_EXIT, exit_code=status, sentence="")
        return result

    async def close(self) -> None:
        """End all that still goes on; switches the machine off by leaving it."""
        tasks = [*self._tasks, *([self._pump] if self._pump is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._stream is not None:
            self._stream.close()
        if self._frame is not None:
            self._frame.close()
        await self._session.close()

    async def _attach(self, attached: Attached | None) -> None:
        await self._session.subscribe()
        if self._request.screenshot is not None:
            # Mapped early, because it stays readable when the worker has gone.
            self._frame = await map_frame(self._session)
        port = self._request.config.terminal_port
        if port is not None and (self._output is not None or attached is not None):
            self._stream = SocketStream(await self._session.console(port, replay=True))
            self._pump = asyncio.create_task(self._read_serial(self._stream), name="serial")
            if attached is not None:
                attached(self._stream)

    @property
    def _port(self) -> int:
        """The port whose text is watched; of a machine without any, one that is refused."""
        return self._request.config.terminal_port or 0

    async def _read_serial(self, stream: SocketStream) -> None:
        while data := await stream.read():
            if self._output is not None:
                self._output(data)

    async def _first_end(self) -> RunResult:
        request = self._request
        texts: dict[asyncio.Task[object], RunEnd] = {}
        port = self._port
        for kind, wanted, end in (
            *(("serial", text, RunEnd.SERIAL_TEXT) for text in request.until_serial),
            *(("screen", text, RunEnd.SCREEN_TEXT) for text in request.until_screen),
        ):
            texts[self._task(self._session.wait_text(kind, wanted, port=port))] = end
        for reply in request.on_serial:
            self._task(self._answer("serial", reply))
        for reply in request.on_screen:
            self._task(self._answer("screen", reply))
        over = self._task(self._wait_ended())
        stop = self._task(self._interrupt.wait())
        answers = set(self._tasks) - set(texts) - {over, stop}
        waiting = {*texts, *answers, over, stop}
        begun = asyncio.get_running_loop().time()
        while True:
            rest = None
            if request.timeout_s is not None:
                passed = asyncio.get_running_loop().time() - begun
                rest = max(0.0, request.timeout_s - passed)
            done, _ = await asyncio.wait(waiting, timeout=rest, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return self._timed_out()
            found = [texts[task] for task in done if task in texts and _succeeded(task)]
            if found:
                return self._result(found[0], ExitCode.OK)
            for task in done & (answers | set(texts)):
                # What could not be watched is an error; what the guest's end cut short is not.
                error = task.exception()
                if error is not None and not isinstance(error, WrongStateError | WorkerGoneError):
                    raise error
            if stop in done:
                return self._result(
                    RunEnd.INTERRUPTED, ExitCode.INTERRUPTED, "The run was interrupted."
                )
            if over in done:
                return await self._judge_end(texts)
            waiting -= done

    async def _answer(self, kind: str, reply: Reply) -> None:
        await self._session.wait_text(kind, reply.text, port=self._port)
        if kind == "serial":
            await self._session.send_serial(
                self._port, reply.answer.encode(errors="surrogateescape")
            )
        else:
            await self._session.press(answer_presses(reply.answer))

    async def _wait_ended(self) -> EndedEvent | None:
        async for event in self._session.events():
            if isinstance(event, NoBootDeviceEvent) and self._noticed is not None:
                self._noticed(event.sentence)
            if self._session.ended is not None:
                break
        return self._session.ended

    async def _judge_end(self, texts: dict[asyncio.Task[object], RunEnd]) -> RunResult:
        """The guest has ended; a text may still have come in its last output."""
        if texts:
            done, _ = await asyncio.wait(set(texts), timeout=GRACE_SECONDS)
            for task in done:
                if _succeeded(task):
                    return self._result(texts[task], ExitCode.OK)
        ended = self._session.ended
        if ended is None:
            raise WorkerGoneError("The worker died without last words.")
        if ended.state is PowerState.CRASHED:
            sentence = ended.sentence or "The guest crashed."
            return self._result(RunEnd.CRASHED, ExitCode.FAILURE, sentence)
        wanted = [*self._request.until_serial, *self._request.until_screen]
        if wanted:
            return self._result(
                RunEnd(ended.ended_by),
                ExitCode.OK,
                f"The machine switched itself off before the text {wanted[0][:100]!r} appeared.",
            )
        return self._result(RunEnd(ended.ended_by), ExitCode.OK)

    def _timed_out(self) -> RunResult:
        return self._result(
            RunEnd.TIMED_OUT,
            ExitCode.TIMED_OUT,
            f"The run did not end within {self._request.timeout_s:g} seconds.",
        )

    async def _bring_in(self, result: RunResult) -> RunResult:
        """Take screenshot, text and statistics, then switch the machine off."""
        text: str | None = None
        stats: MachineStats | None = None
        if self._session.ended is None:
            with contextlib.suppress(VmwbError):
                text = await self._session.text()
        await self._take_screenshot()
        if self._session.ended is None:
            with contextlib.suppress(VmwbError):
                await self._session.power(PowerVerb.POWER_OFF)
                async with asyncio.timeout(GRACE_SECONDS):
                    await self._wait_ended()
        written = None if self._trace is None else await self._trace.take(self._session)
        ended = self._session.ended
        if ended is not None and ended.stats:
            stats = MachineStats.from_json(ended.stats)
        if self._pump is not None:
            # The last output is on its way: the worker has closed its end of the stream.
            await asyncio.wait({self._pump}, timeout=GRACE_SECONDS)
        return replace(result, stats=stats, text=text, trace=written)

    async def _take_screenshot(self) -> None:
        path = self._request.screenshot
        if path is None or self._frame is None:
            return
        frame = self._frame

        def write() -> None:
            with storage_errors("The screenshot cannot be written", path):
                write_atomically(path, encode_png(frame.frame()), durable=False)
                path.chmod(0o644)

        await asyncio.to_thread(write)

    def _task(self, work: Awaitable[object]) -> asyncio.Task[object]:
        task: asyncio.Task[object] = asyncio.ensure_future(work)
        self._tasks.append(task)
        return task

    def _result(self, end: RunEnd, code: int, sentence: str = "") -> RunResult:
        return RunResult(end, int(code), sentence, None)


def _succeeded(task: asyncio.Task[object]) -> bool:
    return not task.cancelled() and task.exception() is None
