from __future__ import annotations

import asyncio
import os
import socket

import pytest

from vmwb.ipc import connection as connection_module
from vmwb.ipc.connection import MESSAGES_WAITING_MAX, Connection
from vmwb.ipc.framing import encode_frame
from vmwb.ipc.messages import Hello, Reply, Request
from vmwb.ipc.platform_linux import send_with_handles
from vmwb.model.errors import ProtocolError

pytestmark = pytest.mark.usefixtures("no_tasks")


def pair() -> tuple[Connection, Connection]:
    ours, theirs = socket.socketpair()
    return Connection(ours), Connection(theirs)


def half_pair() -> tuple[Connection, socket.socket]:
    ours, theirs = socket.socketpair()
    return Connection(ours), theirs


async def test_messages_arrive_in_order() -> None:
    left, right = pair()
    await left.send(Hello("a"))
    await left.send(Request(1, "stats"))

    first = await right.receive()
    second = await right.receive()

    assert first == (Hello("a"), [])
    assert second == (Request(1, "stats"), [])
    left.close()
    right.close()


async def test_large_messages_cross_although_the_socket_is_small() -> None:
    left, right = pair()
    big = {"data": "x" * 900_000}
    left.post(Reply(1, big))
    left.post(Reply(2, big))

    received = [await right.receive(), await right.receive()]

    assert [item[0].result == big for item in received if item] == [True, True]
    left.close()
    right.close()


async def test_handles_arrive_with_their_reply() -> None:
    left, right = pair()
    reading, writing = os.pipe()
    left.post(Reply(1, {}, 0))
    left.post(Reply(2, {}, 1), [writing])

    await right.receive()
    received = await right.receive()

    assert received is not None
    os.write(received[1][0], b"hello")
    assert os.read(reading, 5) == b"hello"
    os.close(received[1][0])
    os.close(reading)
    left.close()
    right.close()


async def test_receive_after_the_peer_left_gives_what_came_and_then_the_end() -> None:
    left, right = pair()
    await left.send(Hello("a"))
    left.close()

    assert await right.receive() == (Hello("a"), [])
    assert await right.receive() is None
    right.close()


async def test_receive_end_inside_a_frame_is_a_protocol_error() -> None:
    left, peer = half_pair()
    peer.sendall(encode_frame(Hello("a").to_json())[:-2])
    peer.close()

    with pytest.raises(ProtocolError, match="inside a message"):
        await left.receive()
    left.close()


@pytest.mark.parametrize("noise", [b"\xff" * 64, encode_frame({"t": "martian"})])
async def test_receive_nonsense_is_a_protocol_error(noise: bytes) -> None:
    left, peer = half_pair()
    peer.sendall(noise)

    with pytest.raises(ProtocolError):
        await left.receive()
    left.close()
    peer.close()


async def test_receive_handles_nobody_announced_are_closed() -> None:
    left, peer = half_pair()
    reading, writing = os.pipe()
    send_with_handles(peer, encode_frame(Hello("a").to_json()), [writing])
    os.close(writing)

    assert await left.receive() == (Hello("a"), [])
    with pytest.raises(ProtocolError, match="announces"):
        await left.receive()
    left.close()
    peer.close()
    assert os.read(reading, 1) == b""
    os.close(reading)


async def test_receive_more_handles_than_allowed_is_a_protocol_error() -> None:
    left, peer = half_pair()
    reading, writing = os.pipe()
    send_with_handles(peer, b"\x01", [writing] * 40)
    os.close(writing)

    with pytest.raises(ProtocolError, match="descriptors"):
        await left.receive()
    left.close()
    peer.close()
    os.close(reading)


async def test_receive_announced_handles_that_did_not_come_is_a_protocol_error() -> None:
    left, peer = half_pair()
    peer.sendall(encode_frame(Reply(1, {}, 1).to_json()))

    with pytest.raises(ProtocolError, match="did not come"):
        await left.receive()
    left.close()
    peer.close()


async def test_reading_stands_still_while_too_many_messages_wait() -> None:
    left, right = pair()
    count = MESSAGES_WAITING_MAX * 3
    for number in range(count):
        left.post(Request(number, "stats"))

    received = [await right.receive() for _ in range(count)]

    assert [item[0].id for item in received if item] == list(range(count))
    left.close()
    right.close()


async def test_peer_that_does_not_read_loses_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "BYTES_WAITING_MAX", 1 << 20)
    left, peer = half_pair()
    reading, writing = os.pipe()
    os.close(reading)

    for number in range(4):
        left.post(Reply(number, {"data": "x" * 600_000}, 1), [os.dup(writing)])
    os.close(writing)

    assert left.closed
    peer.close()


async def test_post_after_the_end_closes_its_handles() -> None:
    left, peer = half_pair()
    reading, writing = os.pipe()
    peer.close()
    assert await left.receive() is None

    left.post(Reply(1, {}, 1), [writing])
    left.post_raw(b"x")

    assert os.read(reading, 1) == b""
    os.close(reading)
    left.close()
    left.close()


async def test_send_to_a_peer_that_left_returns() -> None:
    left, peer = half_pair()
    peer.close()

    async with asyncio.timeout(5):
        await left.send(Hello("a"))
    left.close()


async def test_receive_when_closed_meanwhile_gives_the_end() -> None:
    left, peer = half_pair()
    receiving = asyncio.create_task(left.receive())
    await asyncio.sleep(0)
    left.close()

    assert await receiving is None
    peer.close()


async def test_close_drops_what_was_received() -> None:
    left, right = pair()
    reading, writing = os.pipe()
    left.post(Reply(1, {}, 1), [writing])
    left.post(Hello("b"))
    first = await right.receive()
    left.post(Reply(1, {}, 1), [os.dup(reading)])
    left.post(Hello("b"))
    await asyncio.sleep(0)
    right.close()
    left.close()
    os.close(reading)
    assert first is not None
    os.close(first[1][0])


async def test_raw_frames_cross_as_they_are() -> None:
    left, right = pair()
    left.post_raw(encode_frame(Hello("raw").to_json()))

    assert await right.receive() == (Hello("raw"), [])
    left.close()
    right.close()


async def test_reading_without_anything_to_read_is_harmless() -> None:
    left, right = pair()
    left._read()
    await right.send(Hello("a"))

    assert await left.receive() == (Hello("a"), [])
    left.close()
    right.close()


async def test_peer_that_resets_the_connection_is_its_end() -> None:
    left, peer = half_pair()
    await left.send(Hello("unread"))
    # Closing with unread data resets the connection (unix(7), ECONNRESET).
    peer.close()

    assert await left.receive() is None
    left.close()
