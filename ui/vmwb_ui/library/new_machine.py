"""The dialog that defines a new machine. It checks what can be checked without touching a file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from vmwb.model.config import APPEND_MAX_BYTES, BootConfig, VmConfig
from vmwb.model.drives import DriveBus, DriveConfig, DriveKind, ImageFile, free_slot
from vmwb.model.errors import VmwbError
from vmwb.model.names import NAME_MAX_CHARACTERS
from vmwb.model.sizes import MEMORY_MAX_MIB, MEMORY_MIN_MIB
from vmwb_ui.errors import error_text

MEMORY_DEFAULT_MIB: Final = 512
WIDTH: Final = 560


class FileField(QWidget):
    """A path with a button to choose it."""

    def __init__(self, title: str, parent: QWidget) -> None:
        super().__init__(parent)
        self._title = title
        self.edit = QLineEdit(self)
        self.edit.setAccessibleName(title)
        self.button = QPushButton(self.tr("Browse..."), self)
        self.button.setAccessibleName(self.tr("Browse for: {title}").format(title=title))
        self.button.setAutoDefault(False)
        self.button.clicked.connect(self._browse)
        self.setAccessibleName(title)
        self.setFocusProxy(self.edit)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.edit, 1)
        layout.addWidget(self.button)

    def path(self) -> str | None:
        """The absolute path, or ``None`` when the field is empty."""
        text = self.edit.text().strip()
        return str(Path(text).expanduser().absolute()) if text else None

    def _browse(self) -> None:
        dialog = QFileDialog(self, self._title)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self.edit.setText)
        dialog.open()


class NewMachineDialog(QDialog):
    """Asks for a definition. ``submitted`` carries a sound ``VmConfig``; the owner closes it."""

    submitted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("new-machine")
        self.setWindowTitle(self.tr("New Virtual Machine"))
        self.setAccessibleName(self.windowTitle())
        self.setMinimumWidth(WIDTH)
        self.name = QLineEdit(self)
        self.name.setMaxLength(NAME_MAX_CHARACTERS)
        self.memory = QSpinBox(self)
        self.memory.setRange(MEMORY_MIN_MIB, MEMORY_MAX_MIB)
        self.memory.setSingleStep(128)
        self.memory.setValue(MEMORY_DEFAULT_MIB)
        self.memory.setSuffix(self.tr(" MiB"))
        self.disk = FileField(self.tr("Disk image"), self)
        self.cdrom = FileField(self.tr("CD image"), self)
        self.floppy = FileField(self.tr("Floppy image"), self)
        self.kernel = FileField(self.tr("Kernel"), self)
        self.initrd = FileField(self.tr("Initial RAM disk"), self)
        self.append = QLineEdit(self)
        self.append.setMaxLength(APPEND_MAX_BYTES)
        self.append.setPlaceholderText("console=ttyS0 console=tty0")
        self._problem = QLabel(self)
        self._problem.setObjectName("problem")
        self._problem.setWordWrap(True)
        self._problem.setTextFormat(Qt.TextFormat.PlainText)
        self._problem.setAccessibleName(self.tr("What is wrong"))
        self._problem.hide()
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, field in (
            (self.tr("&Name"), self.name),
            (self.tr("&Memory"), self.memory),
            (self.tr("&Disk image"), self.disk),
            (self.tr("CD im&age"), self.cdrom),
            (self.tr("&Floppy image"), self.floppy),
            (self.tr("&Kernel (instead of a BIOS)"), self.kernel),
            (self.tr("&Initial RAM disk"), self.initrd),
            (self.tr("Kernel &command line"), self.append),
        ):
            label = QLabel(title, self)
            label.setBuddy(field)
            label.setAccessibleName(title.replace("&", ""))
            field.setAccessibleName(title.replace("&", ""))
            form.addRow(label, field)
        buttons = QDialogButtonBox(self)
        self.create = buttons.addButton(self.tr("Create"), QDialogButtonBox.ButtonRole.ActionRole)
        self.create.setDefault(True)
        cancel = buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        for button in (self.create, cancel):
            button.setAccessibleName(button.text().replace("&", ""))
        self.create.clicked.connect(self._submit)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self._problem)
        layout.addWidget(buttons)

    def config(self) -> VmConfig:
        """The definition as entered, unchecked."""
        return VmConfig(
            name=self.name.text().strip(),
            memory_mib=self.memory.value(),
            boot=BootConfig(
                kernel=self.kernel.path(),
                initrd=self.initrd.path(),
                append=self.append.text().strip(),
            ),
            drives=self._drives(),
        )

    def _drives(self) -> tuple[DriveConfig, ...]:
        """A drive for each image; a machine without a kernel can be given a CD later, too."""
        drives: list[DriveConfig] = []
        for field, kind, bus in (
            (self.disk, DriveKind.DISK, DriveBus.IDE),
            (self.cdrom, DriveKind.CDROM, DriveBus.IDE),
            (self.floppy, DriveKind.FLOPPY, DriveBus.FLOPPY),
        ):
            path = field.path()
            if path is None and (kind is not DriveKind.CDROM or self.kernel.path() is not None):
                continue
            # Of what format it is, is looked at when the machine is created.
            image = None if path is None else ImageFile(path)
            drives.append(DriveConfig(free_slot(drives, kind, bus), kind, image))
        return tuple(drives)

    def show_problem(self, sentence: str) -> None:
        """Say what is wrong; an empty sentence takes it back."""
        self._problem.setText(sentence)
        self._problem.setVisible(bool(sentence))
        self.create.setEnabled(True)

    def _submit(self) -> None:
        try:
            config = self.config().validated()
        except VmwbError as error:
            self.show_problem(error_text(error))
            return
        if config.boot.kernel is None and not any(drive.image for drive in config.drives):
            self.show_problem(
                self.tr("A machine needs something to boot: choose an image or a kernel.")
            )
            return
        self.show_problem("")
        self.create.setEnabled(False)
        self.submitted.emit(config)
