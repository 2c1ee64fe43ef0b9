"""What users read or hear: translations complete, every control with an accessible name."""

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QLocale, QTranslator
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTabBar,
    QWidget,
)
from ui.support import until

from vmwb.model import errors
from vmwb.model.power import PowerState
from vmwb_ui.errors import KINDS, error_text, problem_text
from vmwb_ui.library.new_machine import NewMachineDialog
from vmwb_ui.machine.log_dialog import LogDialog
from vmwb_ui.problems import EXCEPTIONS, INTERRUPT, SENTENCES

UI = Path(__file__).resolve().parents[2] / "ui"
GERMAN = UI / "translations" / "vmwb_de.ts"
CONTROLS = (
    *(QAbstractButton, QAbstractSpinBox, QComboBox, QLabel, QLineEdit),
    *(QPlainTextEdit, QTabBar),
)


def texts(path: Path) -> dict[tuple[str, str], str]:
    found = {}
    for context in ET.parse(path).getroot().iter("context"):
        for message in context.iter("message"):
            translation = message.find("translation")
            assert translation.get("type") is None, message.findtext("source")
            key = (context.findtext("name"), message.findtext("source"))
            found[key] = translation.text or ""
    return found


def tool(name: str, *arguments: str) -> None:
    call = f"from PySide6.scripts.pyside_tool import {name}; {name}()"
    subprocess.run([sys.executable, "-c", call, *arguments], check=True, capture_output=True)


def test_german_has_every_text_of_the_sources(tmp_path) -> None:
    fresh = tmp_path / "vmwb_de.ts"
    shutil.copy(GERMAN, fresh)
    sources = [str(path) for path in sorted((UI / "vmwb_ui").rglob("*.py"))]
    tool("lupdate", "-no-obsolete", "-locations", "none", *sources, "-ts", str(fresh))
    assert texts(fresh).keys() == texts(GERMAN).keys()
    assert not [key for key, text in texts(GERMAN).items() if not text.strip()]


def test_german_keeps_what_is_filled_in() -> None:
    holes = {key: text for key, text in texts(GERMAN).items() if "{" in key[1]}
    assert holes
    for (_, source), text in holes.items():
        names = {part.split("}")[0] for part in source.split("{")[1:]}
        assert names == {part.split("}")[0] for part in text.split("{")[1:]}


def test_german_is_compiled_and_loaded(tmp_path, qapp) -> None:
    tool("lrelease", "-silent", str(GERMAN), "-qm", str(tmp_path / "vmwb_de.qm"))
    translator = QTranslator()
    assert translator.load(QLocale("de_DE"), "vmwb", "_", str(tmp_path))
    assert translator.translate("Texts", "running") == "läuft"


@pytest.fixture
def german(tmp_path, qapp) -> Iterator[None]:
    tool("lrelease", "-silent", str(GERMAN), "-qm", str(tmp_path / "vmwb_de.qm"))
    translator = QTranslator()
    assert translator.load(str(tmp_path / "vmwb_de.qm"))
    qapp.installTranslator(translator)
    yield
    qapp.removeTranslator(translator)


def every_code() -> list[str]:
    kinds = [errors.VmwbError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return sorted({kind.code for kind in kinds} | {"sandbox", "no_boot_device", "asleep"})


@pytest.mark.parametrize("code", every_code())
def test_error_of_every_code_is_german_and_keeps_its_sentence(german, code) -> None:
    said = problem_text(code, "What happened.")

    assert code in KINDS
    assert said.endswith("(What happened.)")
    assert not said.startswith(KINDS[code])


def test_error_with_its_facts_is_wholly_german(german) -> None:
    context = {"machine": "deb", "state": "off", "action": "pause"}

    assert error_text(errors.WrongStateError("English.", context)) == (
        "deb: ausgeschaltet. Das geht jetzt nicht."
    )
    assert error_text(errors.NotFoundError("English.", {"path": "/k"})).startswith("/k gibt es")


ALL_FACTS = {
    "rip": 0x10,
    "address": 0x7C10,
    "bytes": "0f ff c0",
    "cpu_model": "486",
    "processor": 1,
    "detail": "a detail",
    "path": "/a.img",
    "role": "driver",
    "call": 59,
}


def test_refused_image_is_called_one(german) -> None:
    refused = errors.EngineFailedError("Drive ide0: It is damaged.", {"remote_code": "damaged"})

    said = error_text(refused)
    assert said == "Das Abbild lässt sich nicht verwenden. (Drive ide0: It is damaged.)"


def test_problem_with_its_facts_is_wholly_german(german) -> None:
    facts = {**ALL_FACTS, "vector": 6}

    said = [problem_text("", "English.", {**facts, "reason": reason}) for reason in SENTENCES]

    assert all("486. Es war Prozessor 1." in text for text in said)
    assert not [text for text in said if "English" in text or "{" in text or " the " in text]
    assert not set(said) & set(SENTENCES.values())


def test_exception_of_every_vector_is_german(german) -> None:
    facts = {"reason": "triple_fault", "rip": 0xFFF0}
    english = {*EXCEPTIONS.values(), INTERRUPT}

    said = [problem_text("", "English.", {**facts, "vector": vector}) for vector in range(256)]

    assert all(f"(Ausnahme {vector}) bei 0xfff0" in text for vector, text in enumerate(said))
    assert not [text for text in said for error in english if f" {error} " in text]
    assert len({text.split("konnte ")[1].split(" (")[0] for text in said}) == len(english)


@pytest.mark.parametrize(
    "facts",
    [{}, {"reason": "of another version"}, {"reason": "triple_fault"}, {"reason": "sandbox"}],
)
def test_problem_without_all_its_facts_keeps_its_sentence(german, facts) -> None:
    said = problem_text("guest_crashed", "What happened.", facts)

    assert said == "Der Gast kann nicht weiterlaufen. (What happened.)"


def test_linear_address_that_is_the_guest_s_own_is_not_said_twice(german) -> None:
    facts = {"reason": "halted_for_good", "rip": 5, "address": 5}

    assert "lineare" not in problem_text("guest_crashed", "English.", facts)


def test_error_in_english_is_the_services_own_sentence(look, qapp) -> None:
    error = errors.WrongStateError("deb is off.", {"machine": "deb", "state": "off"})

    assert error_text(error) == "deb is off."
    assert problem_text(None, "Whatever.") == "Whatever."


def unnamed(root: QWidget) -> list[str]:
    return [
        f"{type(widget).__name__} {widget.objectName()!r}"
        for widget in root.findChildren(QWidget)
        if isinstance(widget, CONTROLS)
        and not widget.objectName().startswith("qt_")
        and not widget.accessibleName()
        and type(widget).__module__.partition(".")[0] in {"PySide6", "vmwb_ui"}
        and not inside_qt(widget)
    ]


def inside_qt(widget: QWidget) -> bool:
    """Whether Qt made it, as a part of a control that has a name itself."""
    parent = widget.parentWidget()
    return isinstance(parent, QAbstractSpinBox | QLineEdit | QTabBar)


def test_every_control_of_the_window_has_an_accessible_name(run_ui, world, workbench) -> None:
    async def main() -> None:
        world.add("one", PowerState.RUNNING)
        world.add("two", PowerState.CRASHED)
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            bench.window.open_machine("id-two")
            assert unnamed(bench.window) == []

    run_ui(main)


@pytest.mark.parametrize("dialog", [NewMachineDialog, lambda: LogDialog("one")])
def test_every_control_of_a_dialog_has_an_accessible_name(look, qtbot, dialog) -> None:
    made = dialog()
    qtbot.addWidget(made)
    assert unnamed(made) == []


def test_none_is_not_lost_by_calls_into_qt(look, qtbot) -> None:
    # PySide6 6.12.0 loses a reference to None per call; CPython 3.11 dies of it.
    label = QLabel()
    qtbot.addWidget(label)
    before = sys.getrefcount(None)
    for _ in range(20_000):
        label.setEnabled(True)
    assert abs(sys.getrefcount(None) - before) < 1_000
