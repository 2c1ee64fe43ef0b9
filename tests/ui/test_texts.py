"""German is complete, fits its source texts, and is what the window shows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PySide6.QtCore import QTranslator
from PySide6.QtWidgets import QApplication

from vmwb_ui.actions import ACTIONS, CONTEXT, MENUS

UI = Path(__file__).resolve().parents[2] / "ui"
GERMAN = UI / "translations" / "vmwb_de.ts"


def tool(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None, f"{name} is missing: it comes with PySide6-Essentials"
    return found


def messages(file: Path) -> dict[tuple[str, str], ET.Element]:
    return {
        (context.findtext("name", ""), message.findtext("source", "")): message
        for context in ET.parse(file).getroot().iter("context")
        for message in context.iter("message")
    }


def test_german_has_no_unfinished_or_stale_text() -> None:
    for place, message in messages(GERMAN).items():
        translation = message.find("translation")
        assert translation is not None, place
        assert "type" not in translation.attrib, place
        assert (translation.text or "").strip(), place


def test_german_keeps_placeholders_and_mnemonics() -> None:
    for (_, source), message in messages(GERMAN).items():
        german = message.findtext("translation", "")
        for pattern in (r"\{\w*\}", r"\.\.\.$"):
            assert sorted(re.findall(pattern, german)) == sorted(re.findall(pattern, source))
        assert german.count("&") == source.count("&"), source


def test_german_knows_every_text_of_the_sources(tmp_path: Path) -> None:
    fresh = tmp_path / "vmwb_de.ts"
    sources = sorted(str(file) for file in (UI / "vmwb_ui").rglob("*.py"))
    command = [tool("pyside6-lupdate"), *sources, "-ts", str(fresh)]
    subprocess.run(command, check=True, capture_output=True)
    assert messages(fresh).keys() == messages(GERMAN).keys()


def test_german_compiled_translates_every_action(qapp: QApplication, tmp_path: Path) -> None:
    compiled = tmp_path / "vmwb_de.qm"
    command = [tool("pyside6-lrelease"), str(GERMAN), "-qm", str(compiled)]
    subprocess.run(command, check=True, capture_output=True)
    translator = QTranslator()
    assert translator.load(str(compiled))
    wanted = [spec.text for spec in ACTIONS.values()] + [title for title, _ in MENUS]
    assert [text for text in wanted if not translator.translate(CONTEXT, text)] == []


@pytest.mark.parametrize(("source", "german"), [("&Start", "&Starten"), ("&File", "&Datei")])
def test_german_says_what_is_meant(source: str, german: str) -> None:
    assert messages(GERMAN)[CONTEXT, source].findtext("translation") == german
