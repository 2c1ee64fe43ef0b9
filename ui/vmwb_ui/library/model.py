"""The list of machines as Qt sees it: rows over snapshots of the services, keyed by machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)

from vmwb.services.types import MachineSummary
from vmwb_ui import texts
from vmwb_ui.errors import problem_text
from vmwb_ui.look import state_icon

KEY_ROLE: Final = int(Qt.ItemDataRole.UserRole)
SUMMARY_ROLE: Final = int(Qt.ItemDataRole.UserRole) + 1
_Index = QModelIndex | QPersistentModelIndex


def key_of(summary: MachineSummary) -> str:
    """What names a machine for the services for good: its id, or its name if it is damaged."""
    return summary.id or summary.name


class LibraryModel(QAbstractListModel):
    """Machines in the order in which the services give them (by name)."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[MachineSummary] = []

    def set_machines(self, machines: Sequence[MachineSummary]) -> None:
        """Take the whole list; selection and persistent indexes stay with their machines."""
        wanted = {key_of(machine) for machine in machines}
        for row in reversed(range(len(self._rows))):
            if key_of(self._rows[row]) not in wanted:
                self.beginRemoveRows(QModelIndex(), row, row)
                del self._rows[row]
                self.endRemoveRows()
        for row, machine in enumerate(machines):
            self._place(row, machine)

    def _place(self, row: int, machine: MachineSummary) -> None:
        keys = [key_of(item) for item in self._rows]
        if key_of(machine) not in keys:
            self.beginInsertRows(QModelIndex(), row, row)
            self._rows.insert(row, machine)
            self.endInsertRows()
            return
        old = keys.index(key_of(machine))
        if old != row:
            # Rows before `row` are in place, so a machine only ever moves up.
            self.beginMoveRows(QModelIndex(), old, old, QModelIndex(), row)
            self._rows.insert(row, self._rows.pop(old))
            self.endMoveRows()
        if self._rows[row] != machine:
            self._rows[row] = machine
            index = self.index(row)
            self.dataChanged.emit(index, index)

    def row_of(self, key: str) -> int | None:
        """The row of a machine."""
        keys = [key_of(item) for item in self._rows]
        return keys.index(key) if key in keys else None

    def rowCount(self, parent: _Index | None = None) -> int:
        """Number of machines."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: _Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """What a row shows."""
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        machine = self._rows[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return machine.name
            case Qt.ItemDataRole.DecorationRole:
                return state_icon(machine.state)
            case Qt.ItemDataRole.ToolTipRole:
                if machine.problem is not None:
                    return problem_text(
                        machine.problem_code, machine.problem, machine.problem_facts
                    )
                return texts.state_text(machine.state)
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{machine.name}, {texts.state_text(machine.state)}"
            case _ if role == KEY_ROLE:
                return key_of(machine)
            case _ if role == SUMMARY_ROLE:
                return machine
            case _:
                return None


class LibraryFilter(QSortFilterProxyModel):
    """Machines whose name has all the words of the search."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: tuple[str, ...] = ()

    def search(self, text: str) -> None:
        """Show what matches; everything for an empty text."""
        self.beginFilterChange()
        self._words = tuple(text.casefold().split())
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def filterAcceptsRow(self, source_row: int, source_parent: _Index) -> bool:
        """Whether a row has all words."""
        index = self.sourceModel().index(source_row, 0, source_parent)
        name = str(index.data(Qt.ItemDataRole.DisplayRole)).casefold()
        return all(word in name for word in self._words)
