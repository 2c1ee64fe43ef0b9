"""Clients that misbehave lose their session; the machine and the others do not notice."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest
from contract.bench import Bench

from vmwb.client.worker_client import WorkerClient
from vmwb.ipc.framing import LENGTH, encode_frame
from vmwb.ipc.messages import Hello, Op, PowerVerb, Request
from vmwb.ipc.platform_linux import send_with_handles
from vmwb.model.errors import (
    BusyError,
    NotSupportedError,
    TimedOutError,
    VmwbError,
    WorkerGoneError,
)
from vmwb.model.power import PowerState
from vmwb.services.types import WaitFor, WaitKind
from vmwb.worker.serial import CLIENTS_MAX

WAIT = Request(0, "wait", {"kind": "serial", "text": "never"}).to_json()
HELLO = encode_frame(Hello("test").to_json())


async def running(bench: Bench) -> Path:
    machine = await bench.services.machines.create(bench.config())
    await bench.services.power.start("deb")
    return Path(json.loads((machine.path / "run.json").read_text())["socket"])


async def talk(path: Path, data: bytes) -> bytes:
    """Send bytes and give all that comes back until the worker hangs up."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        LENGTH.pack(0xFFFFFFFF),
        encode_frame({"t": "martian"}),
        encode_frame({"t": "hello", "major": 99, "minor": 0, "build": ""}),
        encode_frame(Request(1, "stats").to_json()),
        HELLO + b"\xff\xff\xff\xff",
        HELLO + encode_frame({"t": "request", "id": -5, "op": "stats"}),
        HELLO + HELLO,
        HELLO + b"".join(encode_frame(WAIT | {"id": number}) for number in range(40)),
    ],
)
async def test_nonsense_is_answered_by_a_failure_and_the_end(bench: Bench, nonsense: bytes) -> None:
    path = await running(bench)

    answer = await talk(path, nonsense)

    assert b'"t":"failure"' in answer
    assert (await bench.services.watch.stats("deb")).state is PowerState.RUNNING
    assert "A client was dropped" in await bench.services.watch.logs("deb")


async def test_passed_descriptors_are_refused(bench: Bench) -> None:
    path = await running(bench)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    reading, writing = os.pipe()
    send_with_handles(sock, HELLO, [writing])
    os.close(writing)
    sock.setblocking(False)
    async with asyncio.timeout(20):
        while await asyncio.get_running_loop().sock_recv(sock, 65_536):
            pass
    sock.close()

    assert os.read(reading, 1) == b""
    os.close(reading)


async def ends_with_handles(path: Path, data: bytes, count: int) -> None:
    """Send descriptors along with bytes, and wait until the worker hangs up and has closed them."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    reading, writing = os.pipe()
    send_with_handles(sock, data, [writing] * count)
    os.close(writing)
    sock.setblocking(False)
    async with asyncio.timeout(20):
        while await asyncio.get_running_loop().sock_recv(sock, 65_536):
            pass
    sock.close()
    # The end of the pipe is told when nobody has its other end any more.
    assert os.read(reading, 1) == b""
    os.close(reading)


MEDIA = {"slot": "ide2"}


@pytest.mark.parametrize(
    ("request_sent", "handles"),
    [
        (Request(1, "stats"), 1),
        (Request(1, "media", MEDIA), 1),
        (Request(1, "media", MEDIA, 1), 2),
        (Request(1, "media", MEDIA, 2), 1),
    ],
)
async def test_handles_that_are_not_what_was_announced_end_the_session(
    bench: Bench, request_sent: Request, handles: int
) -> None:
    path = await running(bench)

    await ends_with_handles(path, HELLO + encode_frame(request_sent.to_json()), handles)

    assert (await bench.services.watch.stats("deb")).state is PowerState.RUNNING


@pytest.mark.parametrize("announced", [-1, 3, 1 << 40, "1", None, True])
async def test_announcement_of_handles_that_makes_no_sense_ends_the_session(
    bench: Bench, announced: object
) -> None:
    path = await running(bench)
    request = Request(1, "media", MEDIA).to_json() | {"handles": announced}

    answer = await talk(path, HELLO + encode_frame(request))

    assert b'"t":"failure"' in answer
    assert (await bench.services.watch.stats("deb")).state is PowerState.RUNNING


async def refused(client: WorkerClient, request: Request, handles: list[int]) -> VmwbError:
    """Send a request with handles over a session, and give the error that answers it."""
    answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    client._open[request.id] = answer  # type: ignore[assignment]
    client._connection.post(request, handles)
    with pytest.raises(VmwbError) as caught:
        await answer
    return caught.value


async def test_handles_of_a_refused_request_are_closed_and_the_session_goes_on(
    bench: Bench,
) -> None:
    client = await WorkerClient.connect(await running(bench))
    for number, request in enumerate(
        (
            Request(900, "stats", {}, 1),
            Request(901, "teleport", {}, 1),
            Request(902, "media", {}, 1),
            Request(903, "media", MEDIA, 1),
            Request(904, "media", MEDIA | {"read_only": "no"}, 1),
            Request(905, "media", MEDIA, 2),
        )
    ):
        reading, writing = os.pipe()
        others = [os.dup(writing) for _ in range(request.handles - 1)]
        error = await refused(client, request, [writing, *others])
        assert error.sentence.endswith("."), number
        # Blocks, and so fails by its time limit, if the worker kept one.
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(os.read, reading, 1) == b""
        os.close(reading)

    assert await client.state() is PowerState.RUNNING
    await client.close()


@pytest.mark.parametrize("greeting", [b"", HELLO])
async def test_client_that_leaves_with_its_request_leaves_no_handle(
    bench: Bench, greeting: bytes
) -> None:
    path = await running(bench)
    asked = encode_frame(Request(1, "media", MEDIA, 1).to_json())
    for _ in range(20):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        reading, writing = os.pipe()
        send_with_handles(sock, greeting + asked, [writing])
        sock.close()
        os.close(writing)
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(os.read, reading, 1) == b""
        os.close(reading)


async def test_client_that_leaves_in_the_middle_of_a_request_harms_nothing(bench: Bench) -> None:
    path = await running(bench)
    for request in (
        Request(1, Op.WAIT, {"kind": "serial", "text": "never"}),
        Request(1, Op.POWER, {"verb": "pause"}),
        Request(1, Op.EVENTS),
    ):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        sock.sendall(HELLO + encode_frame(request.to_json()))
        sock.close()
    client = await WorkerClient.connect(path)
    paused = WaitFor(WaitKind.STATE, "paused")
    await bench.services.watch.wait("deb", paused, timeout_s=20)
    await client.power(PowerVerb.RESUME)

    assert await client.state() is PowerState.RUNNING
    await client.close()


async def test_requests_with_wrong_arguments_are_refused_and_the_session_goes_on(
    bench: Bench,
) -> None:
    client = await WorkerClient.connect(await running(bench))
    for op, args in (
        (Op.POWER, {"verb": "explode"}),
        (Op.POWER, {}),
        (Op.KEYS, {"presses": "abc"}),
        (Op.KEYS, {"presses": [[0, True]]}),
        (Op.KEYS, {"presses": [[1, 1]]}),
        (Op.SERIAL_SEND, {"data": "%%%"}),
        (Op.SERIAL_SEND, {"data": 5}),
        (Op.SERIAL_SEND, {"data": "eA==", "port": 9}),
        (Op.CONSOLE, {"replay": "yes"}),
        (Op.WAIT, {"kind": "smell", "text": "x"}),
        (Op.WAIT, {"kind": "serial", "text": ""}),
        (Op.WAIT, {"kind": "serial", "text": "x", "seconds": "long"}),
        (Op.EVENTS, {"after": None}),
        (Op.POINTER, {}),
        (Op.POINTER, {"dx": 1}),
        (Op.POINTER, {"dx": 1 << 16, "dy": 0}),
        (Op.POINTER, {"x": 0, "y": -1}),
        (Op.POINTER, {"x": 1 << 16, "y": 0}),
        (Op.POINTER, {"dx": 0, "dy": 0, "wheel": 128}),
        (Op.POINTER, {"dx": 0, "dy": 0, "buttons": 8}),
        (Op.POINTER, {"dx": 0.5, "dy": 0}),
        (Op.MEDIA, {}),
        (Op.MEDIA, {"slot": "ide9"}),
        (Op.MEDIA, {"slot": "ide2", "force": "yes"}),
    ):
        with pytest.raises(VmwbError):
            await client._request(op, args)

    assert await client.state() is PowerState.RUNNING
    await client.close()


async def test_consoles_beyond_the_bound_are_refused_until_one_is_closed(bench: Bench) -> None:
    client = await WorkerClient.connect(await running(bench))
    consoles = [await client.console() for _ in range(CLIENTS_MAX)]
    with pytest.raises(BusyError, match="close some"):
        await client.console()

    consoles.pop().close()
    async with asyncio.timeout(20):
        while len(consoles) < CLIENTS_MAX:
            try:
                consoles.append(await client.console())
            except BusyError:
                # The worker has not seen yet that one was closed.
                await client.state()
    for console in consoles:
        console.close()
    await client.close()


async def test_unknown_request_is_not_supported(bench: Bench) -> None:
    client = await WorkerClient.connect(await running(bench))
    client._connection.post(Request(999, "teleport"))
    answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    client._open[999] = answer  # type: ignore[assignment]

    with pytest.raises(NotSupportedError, match="teleport"):
        await answer
    await client.close()


OTHER_VERSION = {
    "t": "welcome",
    "major": 7,
    "minor": 0,
    "build": "x",
    "machine_id": "i",
    "machine": "m",
    "pid": 1,
    "state": "running",
}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"220 smtp.example ESMTP\r\n", "does not speak this protocol"),
        (encode_frame(OTHER_VERSION), "stop the machine"),
        (HELLO, "no worker"),
        (b"", "without a word"),
    ],
)
@pytest.mark.usefixtures("no_tasks")
async def test_client_of_what_is_no_worker_of_its_version_says_so(
    answer: bytes, words: str
) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)

    with pytest.raises(VmwbError, match=words):
        await WorkerClient.adopt(ours, seconds=5)
    theirs.close()


@pytest.mark.usefixtures("no_tasks")
async def test_client_of_a_worker_that_hangs_gives_up() -> None:
    ours, theirs = socket.socketpair()

    with pytest.raises(TimedOutError):
        await WorkerClient.adopt(ours, seconds=0.1)
    theirs.close()


async def test_client_without_a_server_is_gone(short_tmp_path: Path) -> None:
    with pytest.raises(WorkerGoneError):
        await WorkerClient.connect(short_tmp_path / "nobody")
