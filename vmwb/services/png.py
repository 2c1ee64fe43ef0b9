"""Pictures of the screen as PNG files (ISO/IEC 15948): 8-bit truecolour, filter 0, one IDAT."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from vmwb.ipc.framebuffer import Frame

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


def encode_png(frame: Frame) -> bytes:
    """Write a frame (32-bit XRGB, little-endian) as a PNG file."""
    width, height = frame.info.width, frame.info.height
    rgb = bytearray(width * height * 3)
    rgb[0::3] = frame.pixels[2::4]
    rgb[1::3] = frame.pixels[1::4]
    rgb[2::3] = frame.pixels[0::4]
    rows = b"".join(
        b"\0" + rgb[start : start + width * 3] for start in range(0, len(rgb), max(1, width * 3))
    )
    # Width, height, 8 bits, truecolour, deflate, adaptive filters, no interlace: section 11.2.2.
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        SIGNATURE
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows, 6))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
