"""The archive that a kernel unpacks, read back by its own rules."""

from __future__ import annotations

import gzip

import initramfs
from hypothesis import given
from hypothesis import strategies as st

HEADER_BYTES = 110


def records(archive: bytes) -> list[tuple[str, int, bytes]]:
    """Read name, mode and data of every entry, as the kernel's unpacker does."""
    plain, found, at = gzip.decompress(archive), [], 0
    while True:
        header = plain[at : at + HEADER_BYTES]
        assert header[:6] == b"070701"
        fields = [int(header[6 + 8 * n : 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_bytes = fields[1], fields[6], fields[11]
        name = plain[at + HEADER_BYTES : at + HEADER_BYTES + name_bytes - 1].decode()
        start = (at + HEADER_BYTES + name_bytes + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found.append((name, mode, plain[start : start + size]))
        at = (start + size + 3) & ~3


@given(st.binary(max_size=64), st.text("abcdef/", min_size=1, max_size=40))
def test_archive_gives_back_what_went_in(data: bytes, path: str) -> None:
    archive = initramfs.archive([initramfs.program(path, data), initramfs.folder("last")])

    assert records(archive) == [(path, 0o100755, data), ("last", 0o040755, b"")]


def test_archive_of_the_same_entries_has_the_same_bytes() -> None:
    entries = [initramfs.folder("dev"), initramfs.console(), initramfs.link("sh", "busybox")]

    assert initramfs.archive(entries) == initramfs.archive(entries)
