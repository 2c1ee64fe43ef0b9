from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmwb.ipc import framebuffer as fb
from vmwb.ipc.framebuffer import FrameReader
from vmwb.model.errors import ProtocolError

WIDTH, HEIGHT, STRIDE = 4, 3, 24
TEXT, BUFFER = fb.HEADER_BYTES, 2 * fb.HEADER_BYTES


def sealed(size: int) -> int:
    handle = os.memfd_create("frame", os.MFD_ALLOW_SEALING)
    os.ftruncate(handle, size)
    fcntl.fcntl(handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return handle


class Writer:
    """A framebuffer with small pictures whose header can be spoilt field by field."""

    def __init__(self) -> None:
        self.handle = sealed(4 * fb.HEADER_BYTES)
        for name, value in {
            "magic": fb.MAGIC,
            "version": fb.LAYOUT_VERSION,
            "sequence": 2,
            "generation": 1,
            "width": WIDTH,
            "height": HEIGHT,
            "stride": STRIDE,
            "buffer_offset": BUFFER,
            "buffer_size": fb.HEADER_BYTES,
            "active": 1,
            "text_offset": TEXT,
            "columns": 5,
            "rows": 2,
            "cursor_visible": 1,
        }.items():
            self.set(name, value)
        for row in range(HEIGHT):
            pixels = struct.pack("<4I", *(row * 16 + column for column in range(WIDTH)))
            os.pwrite(self.handle, pixels, BUFFER + fb.HEADER_BYTES + row * STRIDE)
        cells = "".join(f"{letter}\7" for letter in "ab cd\0efgh").encode()
        os.pwrite(self.handle, cells, TEXT)

    def set(self, name: str, value: int) -> None:
        offset, size = fb.LAYOUT[name]
        os.pwrite(self.handle, value.to_bytes(size, "little"), offset)


@pytest.fixture
def writer() -> Iterator[Writer]:
    made = Writer()
    yield made
    os.close(made.handle)


def test_layout_fields_do_not_overlap() -> None:
    ends = 0
    for offset, size in sorted(fb.LAYOUT.values()):
        assert offset >= ends
        ends = offset + size
    assert ends <= fb.HEADER_BYTES


def test_frame_leaves_the_padding_out(writer: Writer) -> None:
    with FrameReader(writer.handle) as reader:
        frame = reader.frame()

    assert struct.unpack("<12I", frame.pixels) == (0, 1, 2, 3, 16, 17, 18, 19, 32, 33, 34, 35)
    assert frame.info.cursor_visible


def test_frame_without_padding_is_copied_whole(writer: Writer) -> None:
    writer.set("stride", WIDTH * 4)
    with FrameReader(writer.handle) as reader:
        assert len(reader.frame().pixels) == WIDTH * HEIGHT * 4
        assert len(reader.buffer) == 4 * fb.HEADER_BYTES


def test_text_strips_rows_and_shows_nul_as_space(writer: Writer) -> None:
    with FrameReader(writer.handle) as reader:
        assert reader.text() == "ab cd\n efgh"


def test_text_in_graphics_modes_is_none(writer: Writer) -> None:
    writer.set("columns", 0)
    with FrameReader(writer.handle) as reader:
        assert reader.text() is None


def test_sequence_tells_what_was_published(writer: Writer) -> None:
    with FrameReader(writer.handle) as reader:
        writer.set("sequence", 4)
        assert reader.sequence == 4
        assert reader.info().sequence == 4


def test_info_while_it_changes_for_ever_is_a_protocol_error(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fb, "PAUSE_SECONDS", 0)
    writer.set("sequence", 3)
    with FrameReader(writer.handle) as reader, pytest.raises(ProtocolError, match="faster"):
        reader.info()


def test_info_waits_for_a_writer_that_was_put_aside(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = []

    def come_back(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 10:
            writer.set("sequence", 4)

    monkeypatch.setattr(fb.time, "sleep", come_back)
    writer.set("sequence", 3)
    with FrameReader(writer.handle) as reader:
        assert reader.unsound
        assert reader.info().sequence == 4
        assert not reader.unsound


def test_info_changed_during_the_reading_is_read_again(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FrameReader(writer.handle) as reader:
        real = reader._read_info
        answers = iter([4, 4])

        def disturbed(sequence: int) -> fb.FrameInfo:
            writer.set("sequence", next(answers, 4))
            return real(sequence)

        monkeypatch.setattr(reader, "_read_info", disturbed)
        assert reader.info().sequence == 4


def test_frame_changed_during_the_copy_is_copied_again(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FrameReader(writer.handle) as reader:
        real = reader._pixels
        sequences = iter([4, 6])

        def disturbed(info: fb.FrameInfo) -> bytes:
            writer.set("sequence", next(sequences, 6))
            return real(info)

        monkeypatch.setattr(reader, "_pixels", disturbed)
        assert reader.frame().info.sequence == 6


def test_frame_that_changes_all_the_time_gives_the_last_copy(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FrameReader(writer.handle) as reader:
        real = reader._pixels

        def disturbed(info: fb.FrameInfo) -> bytes:
            writer.set("sequence", info.sequence + 2)
            return real(info)

        monkeypatch.setattr(reader, "_pixels", disturbed)
        assert len(reader.frame().pixels) == WIDTH * HEIGHT * 4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 100_000),
        ("height", 100_000),
        ("stride", 1),
        ("stride", 1 << 31),
        ("active", 1 << 20),
        ("buffer_offset", 1 << 60),
        ("text_offset", 1 << 60),
        ("columns", 5000),
        ("rows", 5000),
    ],
)
def test_info_that_points_outside_is_a_protocol_error(
    writer: Writer, field: str, value: int
) -> None:
    writer.set(field, value)
    with FrameReader(writer.handle) as reader, pytest.raises(ProtocolError, match="outside"):
        reader.info()


@pytest.mark.parametrize(("field", "value"), [("magic", 1), ("version", 9)])
def test_open_another_layout_is_a_protocol_error(writer: Writer, field: str, value: int) -> None:
    writer.set(field, value)
    with pytest.raises(ProtocolError, match="another layout"):
        FrameReader(writer.handle)


@pytest.mark.parametrize(("size", "why"), [(100, "too small"), (1 << 40, "too large")])
def test_open_memory_of_a_wrong_size_is_a_protocol_error(size: int, why: str) -> None:
    handle = sealed(size)
    with pytest.raises(ProtocolError, match=why):
        FrameReader(handle)
    os.close(handle)


def test_open_memory_that_could_shrink_is_a_protocol_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(fb.HEADER_BYTES))
    handles = [os.memfd_create("frame"), os.open(tmp_path / "file", os.O_RDWR)]
    for handle in handles:
        os.ftruncate(handle, 4 * fb.HEADER_BYTES)
        with pytest.raises(ProtocolError, match="not sealed"):
            FrameReader(handle)
        os.close(handle)
