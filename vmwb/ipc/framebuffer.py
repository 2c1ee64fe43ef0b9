"""Reader of the shared framebuffer: a mirror of crate ``vmwb-display``'s ``#[repr(C)]`` header.

The Rust header is the source; a contract test compares ``LAYOUT`` with it. The worker publishes a
sealed memfd: one 4,096-byte header, an area of text cells, and several pixel buffers. The writer
renders into a buffer that is not active, then publishes: ``sequence`` odd while the header changes,
even when it is sound. A reader therefore reads the sequence, the header, and the sequence again,
and tries once more when they differ. ``generation`` grows with every change of mode.

The other side is hostile: sizes and offsets are held against the mapping before they are used.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from dataclasses import dataclass
from typing import Final, Self

from vmwb.model.errors import ProtocolError

HEADER_BYTES: Final = 4096
MAGIC: Final = 0x4246_4257_4D56_0001
LAYOUT_VERSION: Final = 1
MAX_WIDTH: Final = 2560
MAX_HEIGHT: Final = 1600
MAX_COLUMNS: Final = 320
MAX_ROWS: Final = 160
BYTES_PER_PIXEL: Final = 4
FORMAT_XRGB8888: Final = 1
# Several buffers of the largest picture fit.
SIZE_MAX_BYTES: Final = 256 * 1024 * 1024
#: Attempts to read without a change; after the first ones with a pause, because a writer that the
#: host has put aside in the middle of publishing comes back only when others have had their turn.
ATTEMPTS: Final = 564
QUICK_ATTEMPTS: Final = 64
PAUSE_SECONDS: Final = 0.002

# Field -> (offset, size in bytes). All fields are little-endian unsigned integers.
LAYOUT: Final[dict[str, tuple[int, int]]] = {
    "magic": (0, 8),
    "version": (8, 4),
    "pixel_format": (12, 4),
    "sequence": (16, 8),
    "generation": (24, 4),
    "width": (28, 4),
    "height": (32, 4),
    "stride": (36, 4),
    "active": (40, 4),
    "buffer_count": (44, 4),
    "buffer_offset": (48, 8),
    "buffer_size": (56, 8),
    "dirty_first": (64, 4),
    "dirty_last": (68, 4),
    "text_offset": (72, 8),
    "columns": (80, 4),
    "rows": (84, 4),
    "cursor_column": (88, 4),
    "cursor_row": (92, 4),
    "cursor_visible": (96, 4),
}
_FORMATS: Final = {4: struct.Struct("<I"), 8: struct.Struct("<Q")}


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """One sound reading of the header.

    ``offset`` is where the active buffer begins in the mapping; rows are ``stride`` bytes apart and
    hold ``width`` pixels of 32 bits, 0x00RRGGBB little-endian. ``columns`` is 0 in graphics modes.
    """

    sequence: int
    generation: int
    width: int
    height: int
    stride: int
    offset: int
    columns: int
    rows: int
    text_offset: int
    cursor_column: int
    cursor_row: int
    cursor_visible: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """A copy of one picture: ``height`` rows of ``width`` 32-bit pixels, without padding."""

    info: FrameInfo
    pixels: bytes


class FrameReader:
    """A read-only mapping of a framebuffer. Close it after every view of ``buffer`` is released."""

    def __init__(self, descriptor: int) -> None:
        """Map the memory behind a descriptor; the descriptor stays the caller's.

        Raises:
            ProtocolError: the memory is no framebuffer of this version.
        """
        size = _fixed_size(descriptor)
        if size < HEADER_BYTES:
            raise ProtocolError("The shared screen is too small to be one.", {"bytes": size})
        self._map = mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ)
        self._size = size
        if self._field("magic") != MAGIC or self._field("version") != LAYOUT_VERSION:
            self._map.close()
            raise ProtocolError(
                "The shared screen has another layout: the core and this program do not match."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def buffer(self) -> mmap.mmap:
        """The whole mapping, for pictures without a copy; live, and read-only."""
        return self._map

    @property
    def sequence(self) -> int:
        """The sequence now; unchanged and even means that nothing was published since."""
        return self._field("sequence")

    @property
    def unsound(self) -> bool:
        """Whether the writer is in the middle of publishing: ``info`` would have to wait for it."""
        return self._field("sequence") % 2 == 1

    def info(self) -> FrameInfo:
        """Read the header soundly.

        Raises:
            ProtocolError: it never became sound, or it points outside the mapping.
        """
        for attempt in range(ATTEMPTS):
            before = self._field("sequence")
            if before % 2 == 0:
                info = self._read_info(before)
                if self._field("sequence") == before:
                    return self._checked(info)
            if attempt >= QUICK_ATTEMPTS:
                time.sleep(PAUSE_SECONDS)
        raise ProtocolError("The shared screen changes faster than it can be read.")

    def frame(self) -> Frame:
        """Copy the picture, untorn if the writer leaves a moment, else the last copy taken."""
        info = self.info()
        for _ in range(QUICK_ATTEMPTS):
            frame = Frame(info, self._pixels(info))
            info = self.info()
            if info.sequence == frame.info.sequence:
                break
        return frame

    def text(self) -> str | None:
        """Text on the screen, rows joined by newlines; ``None`` in graphics modes."""
        info = self.info()
        if info.columns == 0:
            return None
        rows = []
        for row in range(info.rows):
            start = info.text_offset + row * info.columns * 2
            cells = self._map[start : start + info.columns * 2 : 2]
            rows.append(cells.replace(b"\0", b" ").decode("cp437").rstrip())
        return "\n".join(rows).rstrip("\n")

    def close(self) -> None:
        """Unmap; idempotent."""
        self._map.close()

    def _field(self, name: str) -> int:
        offset, size = LAYOUT[name]
        value: int = _FORMATS[size].unpack_from(self._map, offset)[0]
        return value

    def _read_info(self, sequence: int) -> FrameInfo:
        return FrameInfo(
            sequence=sequence,
            generation=self._field("generation"),
            width=self._field("width"),
            height=self._field("height"),
            stride=self._field("stride"),
            offset=self._field("buffer_offset")
            + self._field("active") * self._field("buffer_size"),
            columns=self._field("columns"),
            rows=self._field("rows"),
            text_offset=self._field("text_offset"),
            cursor_column=self._field("cursor_column"),
            cursor_row=self._field("cursor_row"),
            cursor_visible=self._field("cursor_visible") != 0,
        )

    def _checked(self, info: FrameInfo) -> FrameInfo:
        sound = (
            info.width <= MAX_WIDTH
            and info.height <= MAX_HEIGHT
            and info.columns <= MAX_COLUMNS
            and info.rows <= MAX_ROWS
            and info.stride >= info.width * BYTES_PER_PIXEL
            and info.offset + info.stride * info.height <= self._size
            and info.text_offset + info.columns * info.rows * 2 <= self._size
        )
        if not sound:
            raise ProtocolError("The shared screen's header points outside its memory.")
        return info

    def _pixels(self, info: FrameInfo) -> bytes:
        row_bytes = info.width * BYTES_PER_PIXEL
        if info.stride == row_bytes:
            return self._map[info.offset : info.offset + row_bytes * info.height]
        return b"".join(
            self._map[start : start + row_bytes]
            for start in range(info.offset, info.offset + info.stride * info.height, info.stride)
        )


def _fixed_size(descriptor: int) -> int:
    """Give the size of memory that cannot become smaller under its reader, which that would kill.

    Raises:
        ProtocolError: it can, or is of no size that could be mapped.
    """
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        # No memory of its own, but a file.
        seals = 0
    if not seals & fcntl.F_SEAL_SHRINK:
        raise ProtocolError("The shared screen is not sealed: the worker is not one of ours.")
    size = os.fstat(descriptor).st_size
    if size > SIZE_MAX_BYTES:
        raise ProtocolError("The shared screen is too large to be one.", {"bytes": size})
    return size
