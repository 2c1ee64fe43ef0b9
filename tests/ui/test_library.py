"""The list of machines: rows follow snapshots, selection stays with its machine, search."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_services import summary
from PySide6.QtCore import QPersistentModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication

from vmwb.model.power import PowerState
from vmwb_ui.library.model import KEY_ROLE, LibraryFilter, LibraryModel, key_of

A, B, C = summary("alpha"), summary("beta"), summary("gamma one")


@pytest.fixture
def model(qapp: QApplication) -> LibraryModel:
    made = LibraryModel()
    # Checks Qt's rules for every signal of the model, and fails the test by a warning.
    QAbstractItemModelTester(made, QAbstractItemModelTester.FailureReportingMode.Warning, made)
    return made


def names(model: LibraryModel | LibraryFilter) -> list[str]:
    return [str(model.index(row, 0).data()) for row in range(model.rowCount())]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), (A, B, C)),
        ((A, B, C), ()),
        ((A, B, C), (C, A, B)),
        ((A, C), (A, B, C)),
        ((A, B, C), (B,)),
        ((C, B, A), (A, B, C)),
    ],
)
def test_set_machines_any_change_shows_the_snapshot(
    model: LibraryModel, before: tuple, after: tuple
) -> None:
    model.set_machines(before)
    model.set_machines(after)
    assert names(model) == [machine.name for machine in after]


def test_persistent_index_stays_with_its_machine(model: LibraryModel) -> None:
    model.set_machines((A, B, C))
    held = QPersistentModelIndex(model.index(2))
    model.set_machines((C, A))
    assert held.row() == 0
    assert held.data(KEY_ROLE) == key_of(C)


def test_state_change_tells_the_row_that_changed(model: LibraryModel) -> None:
    model.set_machines((A, B))
    rows: list[int] = []
    model.dataChanged.connect(lambda first, _last: rows.append(first.row()))
    model.set_machines((A, replace(B, state=PowerState.RUNNING)))
    assert rows == [1]
    spoken = model.index(1).data(int(Qt.ItemDataRole.AccessibleTextRole))
    assert spoken == "beta, running"


def test_damaged_machine_shows_its_problem(model: LibraryModel) -> None:
    model.set_machines((replace(A, id="", config=None, problem="It cannot be read."),))
    assert model.index(0).data(int(Qt.ItemDataRole.ToolTipRole)) == "It cannot be read."
    assert model.index(0).data(KEY_ROLE) == "alpha"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["alpha", "beta", "gamma one"]),
        ("ONE gam", ["gamma one"]),
        ("a", ["alpha", "beta", "gamma one"]),
        ("x", []),
    ],
)
def test_search_shows_names_with_all_words(
    model: LibraryModel, text: str, found: list[str]
) -> None:
    model.set_machines((A, B, C))
    filtered = LibraryFilter(model)
    filtered.setSourceModel(model)
    filtered.search(text)
    assert names(filtered) == found
