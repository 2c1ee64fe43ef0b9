"""Drives in the window: the menu of their media, the new machine's images, the summary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFileDialog, QLineEdit, QMenu, QMessageBox, QWidget
from ui.support import until

from vmwb.model.config import BootConfig, VmConfig
from vmwb.model.drives import DriveConfig, DriveKind, ImageFile, ImageFormat
from vmwb.model.errors import BusyError
from vmwb.model.power import ALLOWED, Action, PowerState
from vmwb_ui import texts
from vmwb_ui.library.new_machine import NewMachineDialog
from vmwb_ui.machine.media import MediaMenu

CDROM = DriveConfig("ide2", DriveKind.CDROM, ImageFile("/isos/a&b.iso"))
FLOPPY = DriveConfig("floppy0", DriveKind.FLOPPY)
DISK = DriveConfig("ide0", DriveKind.DISK, ImageFile("/d.img", ImageFormat.QCOW2), read_only=True)


def submenus(menu: MediaMenu) -> list[QMenu]:
    return [action.menu() for action in menu.actions() if action.menu() is not None]


def press(menu: MediaMenu, slot: str, name: str) -> None:
    for submenu in submenus(menu):
        for action in submenu.actions():
            if (action.data(), action.objectName()) == (slot, name):
                assert action.isEnabled()
                action.trigger()
                return
    raise AssertionError(f"no {name} of {slot}")


@pytest.fixture
def menu(look, qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    yield MediaMenu("&Media", window)
    window.close()


def test_menu_has_the_drives_with_removable_media(menu) -> None:
    menu.render(VmConfig("pc", drives=(DISK, CDROM, FLOPPY)), PowerState.OFF)
    assert [one.title() for one in submenus(menu)] == [
        "CD drive (ide2): a&&b.iso",
        "Floppy drive (floppy0): empty",
    ]
    names = [[action.objectName() for action in one.actions()] for one in submenus(menu)]
    assert names == [["insert", "folder", "", "eject"], ["insert", "", "protect", "eject"]]


@pytest.mark.parametrize("state", [None, *PowerState])
def test_menu_in_a_state_is_enabled_as_the_power_table_says(menu, state) -> None:
    menu.render(VmConfig("pc", drives=(CDROM, FLOPPY)), state)
    possible = state is not None and state in ALLOWED[Action.MEDIA]
    enabled = [
        [action.isEnabled() for action in one.actions() if action.objectName()]
        for one in submenus(menu)
    ]
    assert enabled == [[possible] * 3, [possible, False, False]]


def test_menu_without_drives_says_so(menu) -> None:
    menu.render(VmConfig("pc", drives=(DISK,)), PowerState.RUNNING)
    menu.render(None, None)
    (only,) = menu.actions()
    assert not only.isEnabled()
    assert only.text() == "No drive with removable media"


def test_image_is_chosen_and_inserted(run_ui, workbench, world, tmp_path: Path) -> None:
    image = tmp_path / "disc.iso"
    image.touch()

    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING, drives=(FLOPPY, CDROM))
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            press(bench.window.media, "ide2", "insert")
            await until(lambda: bench.window.findChild(QFileDialog))
            dialog = bench.window.findChild(QFileDialog)
            assert dialog.fileMode() is QFileDialog.FileMode.ExistingFile
            dialog.findChild(QLineEdit).setText(str(image))
            dialog.accept()
            await until(lambda: machine.summary.config.drives[1].image == ImageFile(str(image)))
            await until(lambda: "disc.iso" in submenus(bench.window.media)[1].title())

    run_ui(main)


def test_floppy_is_write_protected_and_back(run_ui, workbench, world) -> None:
    full = replace(FLOPPY, image=ImageFile("/f.img"))

    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING, drives=(full,))
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            action = bench.window.media.findChild(QAction, "protect")
            assert not action.isChecked()
            action.trigger()
            await until(lambda: machine.summary.config.drives[0].read_only)
            await until(lambda: bench.window.media.findChild(QAction, "protect").isChecked())
            press(bench.window.media, "floppy0", "protect")
            await until(lambda: not machine.summary.config.drives[0].read_only)
            assert machine.summary.config.drives[0].image == full.image

    run_ui(main)


def test_protection_that_is_refused_looks_as_it_is(run_ui, workbench, world) -> None:
    full = replace(FLOPPY, image=ImageFile("/f.img"))

    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING, drives=(full,))
        machine.refused["floppy0"] = BusyError("It is in use.", {"reason": "in_use"})
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            press(bench.window.media, "floppy0", "protect")
            await until(lambda: bench.window.banner.text() == "It is in use.")
            assert not bench.window.media.findChild(QAction, "protect").isChecked()
            assert bench.window.findChild(QMessageBox) is None

    run_ui(main)


def test_folder_dialog_that_is_cancelled_changes_nothing(run_ui, workbench, world) -> None:
    async def main() -> None:
        machine = world.add("one", PowerState.OFF, drives=(CDROM,))
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            press(bench.window.media, "ide2", "folder")
            await until(lambda: bench.window.findChild(QFileDialog))
            dialog = bench.window.findChild(QFileDialog)
            assert dialog.fileMode() is QFileDialog.FileMode.Directory
            dialog.reject()
            await until(lambda: not len(bench.presenter.tasks) or not dialog.isVisible())
            assert machine.summary.config.drives == (CDROM,)

    run_ui(main)


@pytest.mark.parametrize(("answer", "image"), [("Open It Anyway", None), ("Cancel", CDROM.image)])
def test_tray_that_the_guest_holds_opens_if_the_user_says_so(
    run_ui, workbench, world, answer, image
) -> None:
    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING, drives=(CDROM,))
        machine.held.add("ide2")
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            press(bench.window.media, "ide2", "eject")
            await until(lambda: bench.window.findChild(QMessageBox))
            box = bench.window.findChild(QMessageBox)
            next(one for one in box.buttons() if one.text().replace("&", "") == answer).click()
            await until(lambda: machine.summary.config.drives[0].image == image)

    run_ui(main)


def test_new_machine_without_a_kernel_has_the_images_in_drives(look, qtbot) -> None:
    dialog = NewMachineDialog()
    qtbot.addWidget(dialog)
    dialog.name.setText("pc")
    dialog.disk.edit.setText("/d.img")
    dialog.floppy.edit.setText("/f.img")
    config = dialog.config()
    assert config.boot.firmware_chosen == "seabios"
    assert config.drives == (
        DriveConfig("ide0", DriveKind.DISK, ImageFile("/d.img")),
        DriveConfig("ide2", DriveKind.CDROM),
        DriveConfig("floppy0", DriveKind.FLOPPY, ImageFile("/f.img")),
    )


def test_new_machine_with_nothing_to_boot_says_so(look, qtbot) -> None:
    dialog = NewMachineDialog()
    qtbot.addWidget(dialog)
    dialog.name.setText("pc")
    dialog.create.click()
    assert "choose an image or a kernel" in dialog.findChild(object, "problem").text()


def test_new_machine_whose_image_is_missing_stays_open_with_a_sentence(
    run_ui, workbench, world, tmp_path: Path
) -> None:
    async def main() -> None:
        async with workbench() as bench:
            bench.window.actions_of["new"].trigger()
            await until(lambda: bench.window.findChild(NewMachineDialog))
            dialog = bench.window.findChild(NewMachineDialog)
            dialog.name.setText("pc")
            dialog.cdrom.edit.setText(str(tmp_path / "nothing.iso"))
            dialog.create.click()
            problem = dialog.findChild(object, "problem")
            await until(lambda: "does not exist" in problem.text())
            (tmp_path / "nothing.iso").touch()
            dialog.create.click()
            await until(lambda: bench.window.current)
            (made,) = world.list()
            assert made.config.drives[0].image.path.endswith("nothing.iso")

    run_ui(main)


def test_summary_names_firmware_and_drives() -> None:
    rows = dict(texts.settings_rows(VmConfig("pc", drives=(DISK, CDROM, FLOPPY))))
    assert rows["Firmware"] == "SeaBIOS"
    assert rows["Boot order"] == "CD, disk, floppy"
    assert rows["Disk (ide0)"] == "/d.img (qcow2, read-only)"
    assert rows["CD drive (ide2)"] == "/isos/a&b.iso"
    assert rows["Floppy drive (floppy0)"] == "empty"
    assert "Kernel" not in rows
    direct = dict(texts.settings_rows(VmConfig("k", boot=BootConfig("/boot/linux"))))
    assert direct["Kernel"] == "/boot/linux"
    assert direct["Firmware"] == "none"
    assert "Boot order" not in direct
