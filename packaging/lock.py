"""Write requirements.lock: all Python packages of a checkout, with hashes, without addresses.

Run by `make lock` after a dependency changed in one of the three pyproject.toml files. Not part of
the set-up, which only reads the result. uv resolves for all platforms and for Python 3.11 and later
in one file.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
WORKSPACE = frozenset({"vmwb", "vmwb-core", "vmwb-ui"})
HEADER = "# Written by `make lock` from the pyproject.toml files: names and hashes, no addresses.\n"


def requirement_name(requirement: str) -> str:
    """Return the normalized distribution name (PEP 503) that a PEP 508 requirement starts with."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    if match is None:
        raise ValueError(f"not a requirement: {requirement!r}")
    return re.sub(r"[-_.]+", "-", match.group()).lower()


def requirements() -> list[str]:
    """Collect the requirements of the workspace, without its own members, sorted and unique."""
    found: set[str] = set()
    for member in (ROOT, ROOT / "core", ROOT / "ui"):
        settings = tomllib.loads((member / "pyproject.toml").read_text(encoding="utf-8"))
        found.update(settings["project"].get("dependencies", []))
        for group in settings.get("dependency-groups", {}).values():
            found.update(group)
        found.update(settings["build-system"]["requires"])
    return sorted(item for item in found if requirement_name(item) not in WORKSPACE)


def main() -> int:
    """Resolve and write the lock; return the resolver's exit status."""
    command = [
        *(
            sys.executable,
            "-m",
            "uv",
            "pip",
            "compile",
            "-",
            "--quiet",
            "--universal",
            "--generate-hashes",
        ),
        *(
            "--python-version",
            "3.11",
            "--no-header",
            "--no-annotate",
            "--no-emit-index-url",
            "--upgrade",
        ),
        "--system-certs",
    ]
    done = subprocess.run(
        command,
        input="\n".join(requirements()),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT / "packaging",
    )
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        return done.returncode
    LOCK.write_text(HEADER + done.stdout, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
