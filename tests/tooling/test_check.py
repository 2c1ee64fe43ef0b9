"""How `make test` reads the results of its lanes."""

from __future__ import annotations

from pathlib import Path

import check
import pytest
from check import Counts

CARGO = """
test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out
"""
NEXTEST = "     Summary [   1.234s] 40 tests run: 38 passed (1 slow), 2 failed, 3 skipped\n"
REPORT = '<testsuites><testsuite errors="1" failures="2" skipped="1" tests="10"/></testsuites>'


def test_cargo_output_of_several_crates_is_added_up() -> None:
    assert check.cargo(CARGO, 101) == Counts(15, 2)


def test_cargo_that_did_not_compile_counts_as_one_failure() -> None:
    assert check.cargo("error[E0308]: mismatched types", 101) == Counts(0, 1)


def test_nextest_summary_is_read() -> None:
    assert check.cargo(NEXTEST, 100) == Counts(38, 2)


def test_pytest_report_counts_skips_and_errors_as_failures(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)

    assert check.pytest_report(report)("", 1) == Counts(6, 4)


def test_pytest_without_report_counts_as_one_failure(tmp_path: Path) -> None:
    assert check.pytest_report(tmp_path / "none.xml")("", 2) == Counts(0, 1)


@pytest.mark.parametrize(("status", "counts"), [(0, Counts(1, 0)), (3, Counts(0, 1))])
def test_linter_counts_as_one_check(status: int, counts: Counts) -> None:
    assert check.one("", status) == counts


@pytest.mark.parametrize("kind", ["full", "quick", "lint"])
def test_every_kind_begins_with_the_set_up(kind: str) -> None:
    first, *others = check.lanes(kind)

    assert first.needed
    assert not any(lane.needed for lane in others)
