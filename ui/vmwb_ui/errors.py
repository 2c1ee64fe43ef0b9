"""What went wrong, in the user's language.

The services' sentences are English. In another language the window says what kind of error it is
by its code, with the facts of its context where it has them, and gives the sentence after it, so
that nothing is lost and a report can be searched for. What facts tell whole (``problems``) needs no
English.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

from vmwb.model.errors import VmwbError
from vmwb.model.power import PowerState
from vmwb_ui import texts
from vmwb_ui.problems import known_problem

# By code: what kind of error it is.
KINDS: Final[dict[str, str]] = {
    "failed": QT_TRANSLATE_NOOP("Errors", "It did not work."),
    "usage": QT_TRANSLATE_NOOP("Errors", "What was asked for makes no sense."),
    "not_supported": QT_TRANSLATE_NOOP("Errors", "This version cannot do that yet."),
    "bad_config": QT_TRANSLATE_NOOP("Errors", "The machine's settings are not sound."),
    "not_found": QT_TRANSLATE_NOOP("Errors", "Something that is needed does not exist."),
    "wrong_state": QT_TRANSLATE_NOOP("Errors", "The machine's state does not allow that now."),
    "busy": QT_TRANSLATE_NOOP("Errors", "Another program uses the machine."),
    "name_taken": QT_TRANSLATE_NOOP("Errors", "There is a machine of that name already."),
    "timed_out": QT_TRANSLATE_NOOP("Errors", "It took too long."),
    "interrupted": QT_TRANSLATE_NOOP("Errors", "It was interrupted."),
    "storage": QT_TRANSLATE_NOOP("Errors", "The disk or a file cannot be read or written."),
    "corrupt": QT_TRANSLATE_NOOP("Errors", "A file of the machine is damaged."),
    "protocol": QT_TRANSLATE_NOOP("Errors", "The machine's process is of another version."),
    "worker": QT_TRANSLATE_NOOP("Errors", "The machine's process has died or did not start."),
    "worker_gone": QT_TRANSLATE_NOOP("Errors", "The machine's process has ended."),
    "guest_crashed": QT_TRANSLATE_NOOP("Errors", "The guest cannot run on."),
    "kernel": QT_TRANSLATE_NOOP("Errors", "The kernel or its RAM disk cannot be booted."),
    "engine": QT_TRANSLATE_NOOP("Errors", "The emulator refused or failed."),
    "no_boot_device": QT_TRANSLATE_NOOP("Errors", "No device that can boot was found."),
    "asleep": QT_TRANSLATE_NOOP("Errors", "The guest sleeps."),
    "sandbox": QT_TRANSLATE_NOOP("Errors", "The machine's process was stopped by its own sandbox."),
}
# By the core's word for what is wrong with an image.
IMAGE: Final = QT_TRANSLATE_NOOP("Errors", "The image cannot be used.")
_IMAGE_CODES: Final = frozenset(
    {"wrong_format", "damaged", "unsupported", "marked_corrupt", "image_too_large"}
    | {"not_writable", "backing_missing", "backing_unexpected"}
)
# By code: what is the matter with a machine that runs, in the few words that a status bar has.
NOTICES: Final[dict[str, str]] = {
    "no_boot_device": QT_TRANSLATE_NOOP("Errors", "nothing to boot"),
    "asleep": QT_TRANSLATE_NOOP("Errors", "asleep"),
}
# By code: the whole sentence, for contexts that have all its facts.
SENTENCES: Final[dict[str, str]] = {
    "name_taken": QT_TRANSLATE_NOOP(
        "Errors", "There is a machine named {machine} already: choose another name."
    ),
    "wrong_state": QT_TRANSLATE_NOOP("Errors", "{machine} is {state}: that is not possible now."),
    "not_found": QT_TRANSLATE_NOOP("Errors", "{path} does not exist: check the path."),
}


def error_text(error: VmwbError) -> str:
    """Give what the window says about an error."""
    return problem_text(error.code, error.sentence, error.context)


def notice_text(code: str | None) -> str:
    """Give a few words for the problem of a machine that runs; empty without one."""
    return QCoreApplication.translate("Errors", NOTICES.get(code or "", ""))


def problem_text(
    code: str | None, sentence: str, context: Mapping[str, object] | None = None
) -> str:
    """Give what the window says about a sentence of a code; the sentence itself in English."""
    kind = KINDS.get(code or "", KINDS["failed"])
    if (context or {}).get("remote_code") in _IMAGE_CODES:
        kind = IMAGE
    translated = QCoreApplication.translate("Errors", kind)
    if translated == kind:
        return sentence
    known = known_problem(context or {})
    if known is not None:
        return known
    facts = dict(context or {})
    state = facts.get("state")
    if isinstance(state, str) and state in set(PowerState):
        facts["state"] = texts.state_text(PowerState(state))
    pattern = SENTENCES.get(code or "")
    if pattern is not None:
        try:
            return QCoreApplication.translate("Errors", pattern).format(**facts)
        except KeyError:
            # The context lacks a fact: the general words do.
            pass
    return f"{translated} ({sentence})"
