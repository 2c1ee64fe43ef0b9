"""CDs made of folders, read back by the library that makes them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pycdlib
import pytest

from vmwb.library import disc
from vmwb.library.disc import build_disc
from vmwb.model.errors import StorageError

NAMES = (
    "readme.txt",
    "Ärger mit Umlauten.tar.gz",
    "a name with spaces, longer than what the first CDs held.txt",
    "UPPER",
    "ohne",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my folder"
    (made / "deep" / "deeper").mkdir(parents=True)
    (made / "empty").mkdir()
    for name in NAMES:
        (made / name).write_text(f"content of {name}")
    (made / "deep" / "deeper" / "zeros").write_bytes(bytes(5000))
    (made / "nothing").touch()
    return made


def content(image: Path, facade: str) -> dict[str, bytes]:
    """Give the files of an image by their paths, through its Joliet or Rock Ridge names."""
    opened = pycdlib.PyCdlib()
    opened.open(str(image))
    found = {}
    for place, _, files in opened.walk(**{facade: "/"}):
        for name in files:
            path = f"{place.rstrip('/')}/{name}"
            data = io.BytesIO()
            opened.get_file_from_iso_fp(data, **{facade: path})
            found[path] = data.getvalue()
    opened.close()
    return found


@pytest.mark.parametrize("facade", ["joliet_path", "rr_path"])
def test_disc_holds_every_file_by_its_name(folder: Path, tmp_path: Path, facade: str) -> None:
    image = tmp_path / "new" / "cd.iso"

    build_disc(folder, image)

    assert content(image, facade) == {
        **{f"/{name}": f"content of {name}".encode() for name in NAMES},
        "/deep/deeper/zeros": bytes(5000),
        "/nothing": b"",
    }
    assert list(image.parent.iterdir()) == [image]


def test_disc_of_the_same_folder_is_the_same(folder: Path, tmp_path: Path) -> None:
    for when, name in enumerate(("one.iso", "two.iso")):
        # What changes between the two is nothing of the content.
        os.utime(tmp_path, (when, when))
        build_disc(folder, tmp_path / name)

    first = (tmp_path / "one.iso").read_bytes()
    assert first == (tmp_path / "two.iso").read_bytes()


def test_disc_has_the_dates_of_the_files(folder: Path, tmp_path: Path) -> None:
    os.utime(folder / "UPPER", (0, 1_000_000_000))
    build_disc(folder, tmp_path / "cd.iso")
    opened = pycdlib.PyCdlib()
    opened.open(str(tmp_path / "cd.iso"))
    date = opened.get_record(joliet_path="/UPPER").date
    opened.close()

    assert (date.years_since_1900 + 1900, date.month) == (2001, 9)


def test_disc_follows_no_link_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("private")
    (folder / "link").symlink_to(secret / "key")
    (folder / "folder").symlink_to(secret)
    os.mkfifo(folder / "pipe")

    build_disc(folder, tmp_path / "cd.iso")

    assert set(content(tmp_path / "cd.iso", "joliet_path")) == {
        *(f"/{name}" for name in NAMES),
        *("/deep/deeper/zeros", "/nothing"),
    }


@pytest.mark.parametrize(
    ("limit", "value"), [("FILES_MAX", 5), ("BYTES_MAX", 4000), ("FILE_MAX_BYTES", 4999)]
)
def test_disc_of_too_much_is_refused_and_nothing_is_written(
    folder: Path, tmp_path: Path, limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disc, limit, value)

    with pytest.raises(StorageError, match="too large for a CD"):
        build_disc(folder, tmp_path / "cd.iso")
    assert not (tmp_path / "cd.iso").exists()


def test_disc_of_folders_too_deep_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "/".join("d" for _ in range(disc.DEPTH_MAX + 1))).mkdir(parents=True)

    with pytest.raises(StorageError, match="too deep"):
        build_disc(folder, tmp_path / "cd.iso")


def test_disc_that_cannot_be_made_leaves_the_old_one(folder: Path, tmp_path: Path) -> None:
    image = tmp_path / "cd.iso"
    build_disc(folder, image)
    before = image.read_bytes()

    with pytest.raises(StorageError, match="cannot be made into a CD"):
        build_disc(tmp_path / "nothing", image)
    assert image.read_bytes() == before


def test_names_that_would_be_alike_are_kept_apart(folder: Path, tmp_path: Path) -> None:
    long = "n" * (disc.NAME_MAX_CHARACTERS + 9)
    odd = os.fsdecode(b"odd\xff")
    alike = (f"{long}1", f"{long}2", "README.TXT", "why?", "why:", odd, "\U0001f600")
    for name in alike:
        (folder / name).write_text(repr(name))
    (folder / f"{long}d").mkdir()
    (folder / f"{long}d" / "below").write_text("below")

    build_disc(folder, tmp_path / "cd.iso")

    joliet = content(tmp_path / "cd.iso", "joliet_path")
    rock_ridge = content(tmp_path / "cd.iso", "rr_path")
    assert {*(repr(name).encode() for name in alike), b"below"} <= set(joliet.values())
    assert len({name.casefold() for name in joliet}) == len(NAMES) + len(alike) + 3
    assert rock_ridge[f"/{long}d/below"] == b"below"
    assert rock_ridge["/README.TXT"] != rock_ridge["/readme.txt"]


def test_many_names_that_are_cut_alike_cost_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "many").mkdir()
    for number in range(300):
        (tmp_path / "many" / f"{'n' * disc.NAME_MAX_CHARACTERS}{number}").touch()
    cuts: list[str] = []
    cut = disc._cut
    monkeypatch.setattr(disc, "_cut", lambda name, units: cuts.append(name) or cut(name, units))

    build_disc(tmp_path / "many", tmp_path / "cd.iso")

    assert len(set(content(tmp_path / "cd.iso", "joliet_path"))) == 300
    assert len(cuts) <= 4 * 300


def test_folder_of_too_much_is_not_walked_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        (tmp_path / "many" / f"{number}" / "below").mkdir(parents=True)
    monkeypatch.setattr(disc, "FILES_MAX", 5)
    walked: list[object] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: walked.append(path) or scandir(path))

    with pytest.raises(StorageError, match="more than 5 files"):
        build_disc(tmp_path / "many", tmp_path / "cd.iso")
    assert len(walked) <= 7


def shorten(path: Path) -> None:
    path.write_bytes(b"x")


def put_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [shorten, put_pipe, put_folder])
def test_file_that_changes_while_the_disc_is_made_is_told(
    tmp_path: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "file"
    file.write_bytes(bytes(5000))
    write = pycdlib.PyCdlib.write

    def changed_before(self: pycdlib.PyCdlib, name: str) -> None:
        change(file)
        write(self, name)

    monkeypatch.setattr(pycdlib.PyCdlib, "write", changed_before)

    with pytest.raises(StorageError, match="was changed while the CD was made"):
        build_disc(tmp_path / "folder", tmp_path / "cd.iso")
    assert not (tmp_path / "cd.iso").exists()
