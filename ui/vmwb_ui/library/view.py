"""The library at the left: a search box above the list of machines."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPoint, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLabel,
    QLineEdit,
    QListView,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from vmwb_ui.library.model import KEY_ROLE, LibraryFilter, LibraryModel
from vmwb_ui.look import ICON_SIZE


class LibraryPane(QWidget):
    """Shows a ``LibraryModel``; says which machine is to be opened."""

    opened = Signal(str)
    menu_wanted = Signal(str, QPoint)
    new_wanted = Signal()

    def __init__(self, model: LibraryModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._filter = LibraryFilter(self)
        self._filter.setSourceModel(model)
        self.search = QLineEdit(self)
        self.search.setObjectName("search")
        self.search.setPlaceholderText(self.tr("Search"))
        self.search.setAccessibleName(self.tr("Search the library"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter.search)
        self.list = QListView(self)
        self.list.setObjectName("machines")
        self.list.setAccessibleName(self.tr("Machines of the library"))
        self.list.setModel(self._filter)
        self.list.setIconSize(QSize(ICON_SIZE, ICON_SIZE))
        self.list.setUniformItemSizes(True)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._menu)
        self.list.activated.connect(self._activated)
        self.list.clicked.connect(self._activated)
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self.list)
        self._stack.addWidget(self._empty_page())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.search)
        layout.addWidget(self._stack)
        model.rowsInserted.connect(self._count)
        model.rowsRemoved.connect(self._count)
        self._count()

    def choose(self, key: str) -> None:
        """Mark a machine, as when its tab comes to the front."""
        row = self._model.row_of(key)
        index = QModelIndex() if row is None else self._filter.mapFromSource(self._model.index(row))
        if index != self.list.currentIndex():
            self.list.setCurrentIndex(index)

    def _empty_page(self) -> QWidget:
        page = QWidget(self)
        text = QLabel(self.tr("The library is empty."), page)
        text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        text.setWordWrap(True)
        text.setAccessibleName(text.text())
        button = QPushButton(self.tr("New Virtual Machine..."), page)
        button.setAccessibleName(self.tr("New virtual machine"))
        button.clicked.connect(self.new_wanted)
        layout = QVBoxLayout(page)
        layout.addStretch(1)
        layout.addWidget(text)
        layout.addWidget(button, 0, Qt.AlignmentFlag.AlignCenter)
        layout.addStretch(2)
        return page

    def _count(self) -> None:
        self._stack.setCurrentIndex(0 if self._model.rowCount() else 1)

    def _activated(self, index: QModelIndex) -> None:
        self.opened.emit(str(index.data(KEY_ROLE)))

    def _menu(self, position: QPoint) -> None:
        index = self.list.indexAt(position)
        if index.isValid():
            place = self.list.viewport().mapToGlobal(position)
            self.menu_wanted.emit(str(index.data(KEY_ROLE)), place)
