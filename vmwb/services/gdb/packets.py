"""Framing of the GDB remote protocol: bytes in, packets out.

Source: the manual of GDB, appendix E.1 (Overview of the remote protocol). Pure, and bounded: what
comes from the socket is hostile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Most bytes of a packet, as we announce it.
PACKET_MAX_BYTES: Final = 0x4000
INTERRUPT: Final = 0x03
_START: Final = ord("$")
_END: Final = ord("#")
_ESCAPE: Final = ord("}")
_ESCAPED_BY: Final = 0x20
_SPECIAL: Final = frozenset(b"$#}*")


class GdbProtocolError(Exception):
    """What came is not the remote protocol; the connection is of no more use."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet. ``sound``: its checksum was right; ``data`` has no escapes any more."""

    data: bytes
    sound: bool


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Ctrl-C of the user of gdb."""


@dataclass(frozen=True, slots=True)
class Resend:
    """The other side did not understand our last packet."""


Message = Packet | Interrupt | Resend


class PacketReader:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes as they come and give what they complete.

        Raises:
            GdbProtocolError: a packet is longer than we have announced.
        """
        self._buffer += data
        messages: list[Message] = []
        while self._buffer:
            first = self._buffer[0]
            if first != _START:
                del self._buffer[0]
                # Acknowledgements say nothing that a reliable stream has not said.
                if first == INTERRUPT:
                    messages.append(Interrupt())
                elif first == ord("-"):
                    messages.append(Resend())
                continue
            end = self._buffer.find(_END)
            if end < 0 or len(self._buffer) < end + 3:
                if len(self._buffer) > PACKET_MAX_BYTES + 4:
                    raise GdbProtocolError("a packet is too long")
                break
            body = bytes(self._buffer[1:end])
            given = bytes(self._buffer[end + 1 : end + 3])
            del self._buffer[: end + 3]
            if len(body) > PACKET_MAX_BYTES:
                raise GdbProtocolError("a packet is too long")
            messages.append(Packet(_unescape(body), given.lower() == _checksum(body)))
        return messages


def encode_packet(data: bytes) -> bytes:
    """Write one packet."""
    body = bytearray()
    for byte in data:
        if byte in _SPECIAL:
            body += bytes((_ESCAPE, byte ^ _ESCAPED_BY))
        else:
            body.append(byte)
    return b"$" + bytes(body) + b"#" + _checksum(bytes(body))


def _checksum(body: bytes) -> bytes:
    return b"%02x" % (sum(body) & 0xFF)


def _unescape(body: bytes) -> bytes:
    if _ESCAPE not in body:
        return body
    plain = bytearray()
    escaped = False
    for byte in body:
        if escaped:
            plain.append(byte ^ _ESCAPED_BY)
            escaped = False
        elif byte == _ESCAPE:
            escaped = True
        else:
            plain.append(byte)
    return bytes(plain)
