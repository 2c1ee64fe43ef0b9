"""Dialogs that a coroutine can wait for. ``exec()`` would wedge the loop, so they are opened."""

from __future__ import annotations

import asyncio

from PySide6.QtWidgets import QDialog, QMessageBox, QWidget


class _Outcome:
    """Carries a dialog's result into a future, once."""

    def __init__(self) -> None:
        self.future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def settle(self, result: int) -> None:
        if not self.future.done():
            self.future.set_result(result)


async def outcome(dialog: QDialog) -> int:
    """Open a dialog, wait for its end, and give its result code. The dialog stays the caller's.

    A caller that is cancelled meanwhile closes the dialog.
    """
    waiting = _Outcome()
    dialog.finished.connect(waiting.settle)
    dialog.open()
    try:
        return await waiting.future
    finally:
        dialog.finished.disconnect(waiting.settle)
        if dialog.isVisible():
            dialog.close()


async def ask(
    parent: QWidget,
    title: str,
    text: str,
    choices: tuple[tuple[str, QMessageBox.ButtonRole], ...],
    *,
    details: str = "",
) -> int | None:
    """Ask a question and give the index of the chosen answer, ``None`` for cancel.

    ``choices`` are texts with their roles; a button to cancel is added and is what Escape means.
    """
    box = QMessageBox(QMessageBox.Icon.Question, title, text, parent=parent)
    box.setObjectName("question")
    box.setAccessibleName(title)
    box.setInformativeText(details)
    buttons = [box.addButton(label, role) for label, role in choices]
    cancel = box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(cancel)
    box.setEscapeButton(cancel)
    for button in (*buttons, cancel):
        button.setAccessibleName(button.text().replace("&", ""))
    try:
        await outcome(box)
        clicked = box.clickedButton()
        return buttons.index(clicked) if clicked in buttons else None
    finally:
        box.deleteLater()
