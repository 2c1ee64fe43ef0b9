"""Make a checkout ready: system packages, .venv, locked Python packages, the core, the three parts.

Runs on the system's Python with the standard library alone, because nothing else is there yet. Each
step is skipped when its inputs have not changed since it last succeeded, so that calling it first
thing in every `make` target is cheap. `--without-qt` prepares a second environment that has no Qt
in it, for the tests that prove it is not needed.

It is not a packager: wheels and .deb are made by packaging/dist.py.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import system_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
VENV = ROOT / ".venv"
VENV_WITHOUT_QT = BUILD / "venv-without-qt"
LOCK = ROOT / "requirements.lock"
#: Distributions that bring Qt or are of no use without it.
QT_DISTRIBUTIONS = frozenset({"pyside6-essentials", "shiboken6", "qasync", "pytest-qt"})
MINIMUM_PYTHON = (3, 11)
MINIMUM_RUST = (1, 95)


class SetupError(Exception):
    """The set-up cannot go on; the text says what to do."""


def main(arguments: Sequence[str]) -> int:
    """Run the steps and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--without-qt", action="store_true", help="prepare the environment that has no Qt"
    )
    parser.add_argument("--no-core", action="store_true", help="leave the Rust core as it is")
    options = parser.parse_args(arguments)
    try:
        check_python()
        if not options.no_core:
            check_rust()
        with _only_one():
            system_packages.ensure(package_groups(with_qt=not options.without_qt))
            prepare_environment(VENV, skip=frozenset())
            if not options.without_qt:
                compile_translations()
            if not options.no_core:
                build_core()
            if options.without_qt:
                prepare_environment(VENV_WITHOUT_QT, skip=QT_DISTRIBUTIONS)
                _link_core(VENV_WITHOUT_QT)
        if not options.no_core:
            verify(VENV_WITHOUT_QT if options.without_qt else VENV, with_qt=not options.without_qt)
    except (SetupError, system_packages.MissingPackagesError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def check_python() -> None:
    """Refuse a Python that is too old."""
    if sys.version_info < MINIMUM_PYTHON:
        wanted = ".".join(map(str, MINIMUM_PYTHON))
        raise SetupError(
            f"Python {wanted} or later is needed, but {sys.executable} is {sys.version.split()[0]}."
        )


def package_groups(*, with_qt: bool) -> list[str]:
    """Return the groups of system packages that the set-up needs, to be seen to in one go.

    Debian splits venv and its pip off from Python; a Python from elsewhere brings them along.
    """
    complete = all(importlib.util.find_spec(name) is not None for name in ("ensurepip", "venv"))
    return [
        *([] if complete else ["venv"]),
        *("build", "guests", "tests"),
        *(["qt"] if with_qt else []),
    ]


def check_rust() -> None:
    """Refuse a missing or old Rust toolchain with a sentence that says how to get one."""
    cargo = shutil.which("cargo")
    wanted = ".".join(map(str, MINIMUM_RUST))
    if cargo is None:
        raise SetupError(
            f"cargo was not found. Install Rust {wanted} or later (rustup does) and put it on PATH."
        )
    version = subprocess.run(
        [cargo, "--version"], capture_output=True, text=True, check=False
    ).stdout
    match = re.search(r"(\d+)\.(\d+)", version)
    if match is None or (int(match[1]), int(match[2])) < MINIMUM_RUST:
        raise SetupError(
            f"Rust {wanted} or later is needed; {cargo} says: {version.strip() or 'nothing'}"
        )


def prepare_environment(venv: Path, *, skip: frozenset[str]) -> None:
    """Create the environment and install the locked packages and the Python parts in it."""
    stamp = venv / "setup.json"
    inputs = [LOCK, ROOT / "pyproject.toml", ROOT / "ui" / "pyproject.toml", Path(__file__)]
    state = {"python": sys.version, "inputs": _digest(inputs)}
    if _read_stamp(stamp) == state:
        return
    python = venv / "bin" / "python"
    if not _is_sound(python):
        print(f"Creating {venv.relative_to(ROOT)}", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(venv)])
    print(
        f"Installing the Python packages of {LOCK.name} into {venv.relative_to(ROOT)}", flush=True
    )
    requirements = venv / "requirements.txt"
    requirements.write_text(without(LOCK.read_text(encoding="utf-8"), skip), encoding="utf-8")
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # The lock is complete, so pip must not resolve: asked for `coverage[toml]` it would look at the
    # newest version before the locked one, and refuse that for want of a hash.
    _run(
        [
            *pip,
            "install",
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--requirement",
            str(requirements),
        ]
    )
    parts = [str(ROOT)] if skip else [str(ROOT), str(ROOT / "ui")]
    editable = [argument for part in parts for argument in ("--editable", part)]
    _run([*pip, "install", "--no-deps", "--no-build-isolation", *editable])
    stamp.write_text(json.dumps(state), encoding="utf-8")


def compile_translations(ui: Path = ROOT / "ui") -> None:
    """Compile the window's translations, unless none has changed since they were compiled.

    The build of the distribution does the same; an editable install is not built again for a text.
    """
    sources = sorted((ui / "translations").glob("*.ts"))
    compiled = [ui / "vmwb_ui" / "translations" / f"{source.stem}.qm" for source in sources]
    if all(
        made.exists() and made.stat().st_mtime_ns >= source.stat().st_mtime_ns
        for source, made in zip(sources, compiled, strict=True)
    ):
        return
    print("Compiling the translations of the window", flush=True)
    code = (
        "import hatch_build, pathlib, sys; "
        "hatch_build.compile_translations(*map(pathlib.Path, sys.argv[1:]))"
    )
    folders = [str(ui / "translations"), str(ui / "vmwb_ui" / "translations")]
    _run([str(VENV / "bin" / "python"), "-c", code, *folders], cwd=ROOT / "ui")


def without(lock: str, names: Iterable[str]) -> str:
    """Return the lock file without the entries of the named distributions."""
    unwanted = frozenset(names)
    kept: list[str] = []
    keep = True
    for line in lock.splitlines(keepends=True):
        if line[:1].isalnum():  # an entry begins; its hashes follow on indented lines
            keep = re.split(r"[=<> ;\[]", line, maxsplit=1)[0].lower() not in unwanted
        if keep:
            kept.append(line)
    return "".join(kept)


def build_core() -> None:
    """Compile the core and install it editable, unless no source of it has changed."""
    stamp = BUILD / "core.json"
    state = {"sources": _core_state(), "venv": (VENV / "setup.json").stat().st_mtime_ns}
    if _read_stamp(stamp) == state and _core_module() is not None:
        return
    print("Building the core (the first time takes some minutes)", flush=True)
    command = [str(VENV / "bin" / "maturin"), "develop", "--release", "--quiet"]
    if os.environ.get("CI"):
        command.append("--locked")
    _run(command, cwd=ROOT / "core", extra={"VIRTUAL_ENV": str(VENV)})
    stamp.write_text(json.dumps(state), encoding="utf-8")


def verify(venv: Path, *, with_qt: bool) -> None:
    """Import what was installed, in a process of the new environment and away from the checkout."""
    modules = ["vmwb", "vmwb_core", *(["vmwb_ui", "PySide6.QtWidgets"] if with_qt else [])]
    code = "import importlib,sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = subprocess.run(
        [str(venv / "bin" / "python"), "-c", code, *modules],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason was given"]
        raise SetupError(
            f"The set-up finished, but what it installed cannot be imported: {reason[0]}"
        )


def _core_state() -> str:
    """Return a digest of names, sizes and times of all sources of the core."""
    core = ROOT / "core"
    sources = [core / "Cargo.toml", core / "Cargo.lock", core / "pyproject.toml"]
    for folder in (core / "crates", core / "python"):
        sources.extend(
            path
            for path in sorted(folder.rglob("*"))
            if path.suffix in {".rs", ".toml", ".py", ".pyi", ".bin"}
        )
    facts = [
        (str(path.relative_to(core)), path.stat().st_size, path.stat().st_mtime_ns)
        for path in sources
    ]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _core_module() -> Path | None:
    return next((ROOT / "core" / "python" / "vmwb_core").glob("*.so"), None)


def _link_core(venv: Path) -> None:
    """Let the environment find the core that was built for the main one: the same abi3 module."""
    for site in (venv / "lib").glob("python3*/site-packages"):
        (site / "vmwb_core_source.pth").write_text(
            f"{ROOT / 'core' / 'python'}\n", encoding="utf-8"
        )


def _is_sound(python: Path) -> bool:
    """Tell whether the environment's interpreter runs and is of this one's version."""
    if not python.exists():
        return False
    code = "import sys; print(sys.version_info[:2])"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() == str(sys.version_info[:2])


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read_stamp(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _run(command: Sequence[str], *, cwd: Path = ROOT, extra: dict[str, str] | None = None) -> None:
    """Run a step with its output shown; a failure ends the set-up."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONPATH", "VIRTUAL_ENV"}
    }
    done = subprocess.run(
        command, cwd=cwd, env=environment | (extra or {}), stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise SetupError(
            f"The set-up stopped: status {done.returncode} from:\n  {' '.join(command)}"
        )


@contextmanager
def _only_one() -> Iterator[None]:
    """Hold a lock, so that two targets started at once do not install over each other."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another set-up of this checkout to finish", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
