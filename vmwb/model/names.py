"""Rules for the names of machines; a name is also a directory name, on any file system."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from vmwb.model.errors import UsageError

NAME_MAX_CHARACTERS: Final = 80
NAME_MAX_BYTES: Final = 200
_FORBIDDEN: Final = frozenset('/\\:*?"<>|')
_ID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def is_machine_id(text: str) -> bool:
    """Tell whether a text has the form of a machine id (a lower-case UUID)."""
    return _ID.fullmatch(text) is not None


def check_machine_name(name: str) -> str:
    """Give the name back in its composed Unicode form (NFC), or say what is wrong with it.

    Raises:
        UsageError: empty, too long, hidden, or with characters that file systems forbid.
    """
    composed = unicodedata.normalize("NFC", name)
    problem = _problem(composed)
    if problem is not None:
        raise UsageError(
            f"A machine cannot be named {name[:100]!r}: {problem}.", {"name": name[:200]}
        )
    return composed


def is_unicode(text: str) -> bool:
    """Tell whether a text can be written down: a file name that is no UTF-8 holds surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _problem(name: str) -> str | None:
    if not name:
        return "a name needs at least one character"
    if len(name) > NAME_MAX_CHARACTERS:
        return f"a name has at most {NAME_MAX_CHARACTERS} characters"
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in name):
        return "a name has no control characters"
    if len(name.encode()) > NAME_MAX_BYTES:
        return f"a name takes at most {NAME_MAX_BYTES} bytes"
    if forbidden := sorted(_FORBIDDEN.intersection(name)):
        return f"a name has none of {' '.join(forbidden)}"
    if name[0] in ".-":
        return "a name does not begin with a dot or a dash"
    if name != name.strip() or name[-1] == ".":
        return "a name does not begin or end with a space, nor end with a dot"
    if is_machine_id(name.lower()):
        return "it looks like a machine id"
    return None
