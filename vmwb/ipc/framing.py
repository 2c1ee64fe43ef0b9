"""Frames of the control socket: 4-byte little-endian length, then UTF-8 JSON, at most 1 MiB.

Pure: bytes in, objects out. The other side is hostile: a length is checked before anything of that
size is kept, and what is not one JSON object is refused with a sentence.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Final, NoReturn

from vmwb.model.errors import ProtocolError

FRAME_MAX_BYTES: Final = 1024 * 1024
LENGTH: Final = struct.Struct("<I")


def encode_frame(message: Mapping[str, object]) -> bytes:
    """Write one frame.

    Raises:
        ProtocolError: the message is larger than a frame may be.
    """
    body = json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii")
    if len(body) > FRAME_MAX_BYTES:
        raise ProtocolError(
            f"A message of {len(body)} bytes is too large: at most {FRAME_MAX_BYTES} can be sent.",
            {"bytes": len(body)},
        )
    return LENGTH.pack(len(body)) + body


class FrameDecoder:
    """Cut a stream of bytes into messages. After an error the stream is of no more use."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that has begun and not ended; 0 between frames."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[dict[str, object]]:
        """Take bytes as they come and give the messages that they complete.

        Raises:
            ProtocolError: a frame is too long, or not one JSON object.
        """
        self._buffer += data
        messages: list[dict[str, object]] = []
        while len(self._buffer) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._buffer)
            if length > FRAME_MAX_BYTES:
                raise ProtocolError(
                    f"A frame of {length} bytes was announced, more than the {FRAME_MAX_BYTES} "
                    "allowed: the other side does not speak this protocol.",
                    {"bytes": length},
                )
            end = LENGTH.size + length
            if len(self._buffer) < end:
                break
            body = bytes(self._buffer[LENGTH.size : end])
            del self._buffer[:end]
            messages.append(decode_body(body))
        return messages


def decode_body(body: bytes) -> dict[str, object]:
    """Read the body of one frame.

    Raises:
        ProtocolError: it is not one JSON object.
    """
    try:
        message = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(
            "A frame does not hold JSON: the other side does not speak this protocol."
        ) from error
    if not isinstance(message, dict):
        raise ProtocolError(
            "A frame does not hold an object: the other side does not speak this protocol."
        )
    return message


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
