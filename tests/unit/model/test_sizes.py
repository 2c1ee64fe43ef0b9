from __future__ import annotations

import pytest

from vmwb.model.errors import UsageError
from vmwb.model.sizes import check_memory_mib, format_mib, parse_memory_mib, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("1k", 1024),
        ("512M", 512 << 20),
        ("2 GiB", 2 << 30),
        ("1.5g", 3 << 29),
        ("3TB", 3 << 40),
    ],
)
def test_parse_size_reads_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-5", "5X", "1..2G", "1e9", "٣M", "9" * 400])
def test_parse_size_of_nonsense_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "mib"), [("512", 512), ("512M", 512), ("2G", 2048), ("64G", 65536), ("2M", 2)]
)
def test_parse_memory_counts_mib(text: str, mib: int) -> None:
    assert parse_memory_mib(text) == mib


@pytest.mark.parametrize("text", ["0", "1M", "0M", "1", "100k"])
def test_parse_memory_too_little_says_the_least(text: str) -> None:
    with pytest.raises(UsageError, match="at least 2 MiB"):
        parse_memory_mib(text)


@pytest.mark.parametrize("text", ["10T", "65G", "65537", "9" * 30])
def test_parse_memory_too_much_says_the_most(text: str) -> None:
    with pytest.raises(UsageError, match="at most 64 GiB"):
        parse_memory_mib(text)


def test_parse_memory_of_a_fraction_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="whole number of MiB"):
        parse_memory_mib("1500k")


def test_check_memory_gives_a_sound_size_back() -> None:
    assert check_memory_mib(64) == 64


@pytest.mark.parametrize(("mib", "text"), [(512, "512 MiB"), (2048, "2 GiB"), (1536, "1536 MiB")])
def test_format_mib(mib: int, text: str) -> None:
    assert format_mib(mib) == text
