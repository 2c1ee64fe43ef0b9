from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmwb.model.errors import UsageError
from vmwb.model.names import check_machine_name, is_machine_id


@pytest.mark.parametrize("name", ["deb", "Debian 12 (test)", "Ärger", "日本", "a.b", "x" * 80])
def test_check_name_sound_is_given_back(name: str) -> None:
    assert check_machine_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "-rf",
        "a/b",
        "a\\b",
        "a\0b",
        "a\nb",
        " a",
        "a ",
        "a.",
        "x" * 81,
        "日" * 70,
        "\ud800",
        "01234567-89ab-cdef-0123-456789abcdef",
    ],
)
def test_check_name_unsound_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be named"):
        check_machine_name(name)


def test_check_name_composes() -> None:
    assert check_machine_name("A\u0308rger") == "Ärger"


@given(st.text(max_size=120))
def test_check_name_never_lets_a_path_through(name: str) -> None:
    try:
        checked = check_machine_name(name)
    except UsageError:
        return
    assert "/" not in checked
    assert checked not in {"", ".", ".."}
    assert not is_machine_id(checked)
