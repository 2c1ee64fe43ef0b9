"""The menu of a machine's drives with removable media, and the question what to insert."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PySide6.QtCore import QCoreApplication, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from vmwb.model.config import VmConfig
from vmwb.model.drives import DriveConfig, DriveKind
from vmwb.model.power import ALLOWED, Action, PowerState
from vmwb_ui import texts
from vmwb_ui.dialogs import outcome

IMAGES: Final = {DriveKind.CDROM: "*.iso *.ISO", DriveKind.FLOPPY: "*.img *.ima *.flp *.vfd"}


class MediaMenu(QMenu):
    """A submenu for each drive; ``render`` fills it. Its signals carry slots."""

    insert_wanted = Signal(str)
    folder_wanted = Signal(str)
    eject_wanted = Signal(str)
    protection_wanted = Signal(str)

    def __init__(self, title: str, parent: QWidget) -> None:
        super().__init__(title, parent)
        self.setObjectName("media")
        self.setAccessibleName(title.replace("&", ""))
        self._shown: tuple[DriveConfig, ...] | None = None
        self._menus: list[QMenu] = []

    def render(self, config: VmConfig | None, state: PowerState | None) -> None:
        """Show the drives of a machine, or of none; the whole state each time."""
        drives = () if config is None else removable(config)
        if drives != self._shown:
            self._shown = drives
            self._fill(drives)
        possible = state is not None and state in ALLOWED[Action.MEDIA]
        for drive, menu in zip(drives, self._menus, strict=True):
            for action in menu.actions():
                full = drive.image is not None
                inserts = action.objectName() in {"insert", "folder"}
                action.setEnabled(possible and (full or inserts))
                if action.isCheckable():
                    action.setChecked(full and drive.read_only)

    def _fill(self, drives: tuple[DriveConfig, ...]) -> None:
        for menu in self._menus:
            menu.deleteLater()
        self._menus.clear()
        self.clear()
        if not drives:
            nothing = self.addAction(self.tr("No drive with removable media"))
            nothing.setEnabled(False)
        for drive in drives:
            title = f"{texts.drive_title(drive)}: {texts.medium_name(drive)}"
            menu = QMenu(title.replace("&", "&&"), self)
            menu.setAccessibleName(title)
            self._command(menu, "insert", self.tr("&Insert Image..."), drive)
            if drive.kind is DriveKind.CDROM:
                self._command(menu, "folder", self.tr("Insert &Folder..."), drive)
            menu.addSeparator()
            if drive.kind is DriveKind.FLOPPY:
                protect = self._command(menu, "protect", self.tr("&Write-Protected"), drive)
                protect.setCheckable(True)
            self._command(menu, "eject", self.tr("&Eject"), drive)
            self.addMenu(menu)
            self._menus.append(menu)

    def _command(self, menu: QMenu, name: str, text: str, drive: DriveConfig) -> QAction:
        action = QAction(text, menu)
        action.setObjectName(name)
        action.setData(drive.slot)
        action.triggered.connect(self._triggered)
        menu.addAction(action)
        return action

    def _triggered(self) -> None:
        action = self.sender()
        if isinstance(action, QAction):
            if action.isCheckable():
                # The click has turned it; whether that comes true is for the definition to say.
                action.toggle()
            wanted = {
                "insert": self.insert_wanted,
                "folder": self.folder_wanted,
                "eject": self.eject_wanted,
                "protect": self.protection_wanted,
            }
            wanted[action.objectName()].emit(action.data())


def removable(config: VmConfig) -> tuple[DriveConfig, ...]:
    """The drives whose media can be changed."""
    return tuple(drive for drive in config.drives if drive.kind is not DriveKind.DISK)


async def choose_medium(parent: QWidget, drive: DriveConfig, *, folder: bool) -> Path | None:
    """Ask for an image, or for a folder to make a CD of; ``None``: the user thought better."""
    translate = QCoreApplication.translate
    if folder:
        title = translate("Media", "Choose a Folder to Make a CD of")
    else:
        title = translate("Media", "Choose an Image")
    dialog = QFileDialog(parent, title)
    dialog.setObjectName("medium")
    dialog.setAccessibleName(title)
    if folder:
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    else:
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        images = translate("Media", "Images ({patterns})").format(patterns=IMAGES[drive.kind])
        dialog.setNameFilters([images, translate("Media", "All files (*)")])
    if drive.image is not None:
        dialog.setDirectory(str(Path(drive.image.path).parent))
    try:
        accepted = await outcome(dialog)
        chosen = dialog.selectedFiles() if accepted else []
        return Path(chosen[0]) if chosen else None
    finally:
        dialog.deleteLater()
