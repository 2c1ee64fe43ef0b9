"""The report leaves no instruction form out, and its reasons are up to date."""

from __future__ import annotations

from pathlib import Path

import conformance
import pytest
import reasons
from engine import build


@pytest.fixture(scope="module")
def forms() -> list[str]:
    build()
    return conformance.forms()


def test_every_form_has_a_comparison_or_a_reason(forms: list[str]) -> None:
    counts = conformance.read()["forms"]

    missing = [
        form
        for form in forms
        if not any(counts.get(form, {}).values()) and not reasons.reason(form)
    ]

    assert missing == []


def test_no_form_with_a_comparison_has_a_reason_for_none(forms: list[str]) -> None:
    counts = conformance.read()["forms"]

    stale = [form for form in forms if counts.get(form) and reasons.reason(form)]

    assert stale == []


def test_page_is_that_of_the_counts() -> None:
    build()

    assert conformance.PAGE.read_text(encoding="utf-8") == conformance.page(conformance.read())


def test_counts_add_up(tmp_path: Path) -> None:
    data = {"runs": 0, "last": "", "forms": {}, "topics": {}, "engines": {}, "known": {}}
    (tmp_path / "host.json").write_text('{"oracle": "host", "forms": {"nop [90]": 2}}')
    topic = {"compared": 3, "steps": 9, "gave_up": 1, "wrong": 0}
    topic |= {"known": {"why": 1}, "forms": {"nop [90]": 5}}

    for _ in range(2):
        conformance.add(data, tmp_path, {"loops": topic})

    assert data["forms"] == {"nop [90]": {"host": 4, "Bochs": 10}}
    assert data["topics"]["loops"] == {
        "compared": 6,
        "steps": 18,
        "gave_up": 2,
        "wrong": 0,
        "known": 2,
    }
    assert data["known"] == {"why": 2}
