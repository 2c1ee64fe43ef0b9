"""The model of the library: rows keyed by machine, moved as little as possible."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QPersistentModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester

from vmwb.model.errors import UsageError
from vmwb.model.power import PowerState
from vmwb_ui.library.model import LibraryFilter, LibraryModel
from vmwb_ui.library.new_machine import NewMachineDialog


@pytest.fixture
def model(look, world):
    made = LibraryModel()
    tester = QAbstractItemModelTester(made, QAbstractItemModelTester.FailureReportingMode.Warning)
    for name in ("alpha", "beta", "gamma"):
        world.add(name)
    made.set_machines(world.list())
    yield made
    del tester


def names(model) -> list[str]:
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def test_rename_moves_the_row_and_keeps_what_points_at_it(model, world) -> None:
    kept = QPersistentModelIndex(model.index(0))
    machines = list(world.list())
    machines[0] = replace(machines[0], name="zeta")
    model.set_machines(sorted(machines, key=lambda item: item.name))
    assert names(model) == ["beta", "gamma", "zeta"]
    assert (kept.row(), kept.data()) == (2, "zeta")


def test_deletion_removes_one_row(model, world, qtbot) -> None:
    with qtbot.waitSignal(model.rowsRemoved):
        model.set_machines([item for item in world.list() if item.name != "beta"])
    assert names(model) == ["alpha", "gamma"]


def test_change_of_state_changes_one_row(model, world) -> None:
    changed = []
    model.dataChanged.connect(lambda first, last: changed.append((first.row(), last.row())))
    world.set("id-beta", PowerState.RUNNING)
    model.set_machines(world.list())
    assert changed == [(1, 1)]
    assert model.index(1).data(Qt.ItemDataRole.AccessibleTextRole) == "beta, running"


def test_search_shows_names_with_all_words(model) -> None:
    shown = LibraryFilter()
    shown.setSourceModel(model)
    shown.search("A m")
    assert names(shown) == ["gamma"]
    shown.search("")
    assert len(names(shown)) == 3


def test_dialog_refuses_what_cannot_be_created(look, qtbot) -> None:
    dialog = NewMachineDialog()
    qtbot.addWidget(dialog)
    submitted = []
    dialog.submitted.connect(submitted.append)
    dialog.name.setText("bad/name")
    dialog.create.click()
    assert submitted == []
    with pytest.raises(UsageError):
        dialog.config().validated()
    dialog.name.setText("good")
    dialog.create.click()
    assert submitted == []
    dialog.kernel.edit.setText("/boot/linux")
    dialog.memory.setValue(256)
    dialog.create.click()
    assert [(item.name, item.memory_mib, item.boot.kernel) for item in submitted] == [
        ("good", 256, "/boot/linux")
    ]
