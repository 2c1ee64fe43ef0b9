"""Why a form is compared with no oracle, and what checks it instead. By mnemonic.

A form of this table that some oracle has been compared with fails the test of the report: then the
reason is out of date.
"""

from __future__ import annotations

REASONS: dict[str, tuple[str, ...]] = {
    "within an ulp of the true value, not equal to any one processor: "
    "vmwb-x86/src/fpu/transcendental_tests.rs": (
        *("fsin", "fcos", "fsincos", "fptan", "fpatan", "f2xm1", "fyl2x", "fyl2xp1"),
    ),
    "one table of our own on every host: vmwb-x86/src/simd/approx.rs": (
        *("rcpps", "rcpss", "rsqrtps", "rsqrtss"),
    ),
    "ports end the oracle; their permissions: vmwb-x86/tests/gates.rs, basics.rs, v86.rs": (
        *("in", "out", "ins", "outs"),
    ),
    "images of a state: vmwb-x86/tests/x87.rs and xsave.rs": (
        *("fldenv", "fnsave", "fnstenv", "frstor", "fxrstor", "xrstor", "xsave", "xsaveopt"),
    ),
    "clocks and chance agree with nobody's: vmwb-x86/tests": (
        *("rdtsc", "rdtscp", "rdrand", "rdseed"),
    ),
    "hints of idling that an oracle without interrupts never leaves": ("monitor", "mwait"),
}


def reason(form: str) -> str:
    """Return the reason of a form, by the mnemonic that it begins with; empty if it has none."""
    mnemonic = form.split(" [", maxsplit=1)[0].split(" ", maxsplit=1)[0]
    return next((why for why, names in REASONS.items() if mnemonic in names), "")
