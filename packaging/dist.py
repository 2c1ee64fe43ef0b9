"""`make dist`: the wheels and the .deb, which install without Rust, and a trial of both.

Wheels: vmwb-core (abi3, so one for every Python from 3.11 on), vmwb and vmwb-ui. The .deb is for
Debian 12: a ready environment under /opt/vmwb on the system's Python, with the locked run-time
packages in it, so that installing runs nothing and fetches nothing but Debian's own libraries.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import setup
import system_packages
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = setup.ROOT
DIST = ROOT / "dist"
STAGE = setup.BUILD / "deb"
PREFIX = Path("opt/vmwb")
LINUX = ROOT / "packaging" / "linux"
PARTS = ("vmwb", "vmwb-ui")
OWN = frozenset({"vmwb", "vmwb-core", "vmwb-ui"})
#: Parts of PySide6 that serve developers of Qt programs, not their users.
DEVELOPMENT = (
    *("assistant", "designer", "linguist", "lrelease", "lupdate", "qmlformat", "qmllint", "qmlls"),
    *("balsam", "balsamui", "qsb", "svgtoqml", "include", "typesystems", "glue", "scripts"),
    *("Qt/qml", "Qt/metatypes"),
)
TRIAL_MODULES = "import vmwb, vmwb_core, vmwb_ui"


class DistError(Exception):
    """The packages cannot be built or do not work; the text says why."""


def main(arguments: Sequence[str]) -> int:
    """Build, try, and list what was made."""
    parser = argparse.ArgumentParser(description="Build the wheels and the .deb into dist/.")
    parser.add_argument("--no-trial", action="store_true", help="do not install what was built")
    options = parser.parse_args(arguments)
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    try:
        _wheels()
        package = _deb()
        if not options.no_trial:
            _try_wheels()
            _try_deb(package)
    except (DistError, setup.SetupError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    for path in sorted(DIST.iterdir()):
        print(f"{path.stat().st_size / 1e6:8.1f} MB  {path.relative_to(ROOT)}")
    return 0


def closure(names: Sequence[str]) -> frozenset[str]:
    """Return the distributions that the named ones need at run time, by what is installed here."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    return frozenset(found)


def locked_names(lock: str) -> frozenset[str]:
    """Return the names of all distributions in the lock file."""
    return frozenset(
        canonicalize_name(match[1])
        for match in re.finditer(r"^([A-Za-z0-9][\w.-]*)==", lock, re.MULTILINE)
    )


def _wheels() -> None:
    """Build the three wheels."""
    maturin = [str(setup.VENV / "bin" / "maturin"), "build", "--release", "--locked", "--strip"]
    _run([*maturin, "--quiet", "--out", str(DIST)], ROOT / "core")
    for part in (ROOT, ROOT / "ui"):
        _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(DIST)], part)


def _deb() -> Path:
    """Lay the files out as they will be installed, and pack them."""
    version = sysconfig.get_python_version()
    if version != "3.11":
        raise DistError(f"The .deb is for Debian 12, whose Python is 3.11; .venv has {version}.")
    shutil.rmtree(STAGE, ignore_errors=True)
    site = STAGE / PREFIX / "lib" / f"python{version}" / "site-packages"
    site.mkdir(parents=True)
    _install_into(site)
    _environment(version)
    _desktop()
    _control(version)
    architecture = _output(["dpkg", "--print-architecture"])
    package = DIST / f"vmwb_{_version()}_{architecture}.deb"
    _run(
        ["dpkg-deb", "--build", "--root-owner-group", "-Zxz", "-z3", str(STAGE), str(package)], ROOT
    )
    return package


def _install_into(site: Path) -> None:
    """Install the locked run-time packages and our own wheels into the folder."""
    lock = setup.LOCK.read_text(encoding="utf-8")
    unwanted = locked_names(lock) - closure(PARTS)
    requirements = setup.BUILD / "runtime.txt"
    requirements.write_text(setup.without(lock, unwanted), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(site)]
    hashed = ["--require-hashes", "--only-binary", ":all:", "--no-deps"]
    _run([*pip, *hashed, "--requirement", str(requirements)], ROOT)
    _run([*pip, "--no-deps", "--upgrade", *map(str, sorted(DIST.glob("*.whl")))], ROOT)
    shutil.rmtree(site / "bin", ignore_errors=True)
    for name in DEVELOPMENT:
        path = site / "PySide6" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    # Users cannot write there, so that Python could not keep what it compiles at the first start.
    compile_all = [
        sys.executable,
        "-m",
        "compileall",
        "-q",
        "--invalidation-mode",
        "unchecked-hash",
    ]
    _run([*compile_all, "-s", str(STAGE), str(site)], ROOT)


def _environment(version: str) -> None:
    """Write what makes the folder a virtual environment, and the command in it."""
    programs = STAGE / PREFIX / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(f"/usr/bin/python{version}")
    command = programs / "vmwb"
    command.write_text(
        f"#!/{PREFIX}/bin/python\n"
        "import sys\n\nfrom vmwb.__main__ import main\n\nsys.exit(main())\n",
        encoding="utf-8",
    )
    command.chmod(0o755)
    (STAGE / PREFIX / "pyvenv.cfg").write_text(
        "home = /usr/bin\ninclude-system-site-packages = false\n", encoding="utf-8"
    )
    public = STAGE / "usr" / "bin"
    public.mkdir(parents=True)
    (public / "vmwb").symlink_to(f"/{PREFIX}/bin/vmwb")


def _desktop() -> None:
    """Put the menu entry, the icon and the licence where a desktop looks for them."""
    share = STAGE / "usr" / "share"
    for source, target in (
        (LINUX / "vmwb.desktop", share / "applications" / "vmwb.desktop"),
        (
            ROOT / "resources" / "icons" / "vmwb.svg",
            share / "icons" / "hicolor" / "scalable" / "apps" / "vmwb.svg",
        ),
        (ROOT / "LICENSE", share / "doc" / "vmwb" / "copyright"),
    ):
        target.parent.mkdir(parents=True)
        shutil.copyfile(source, target)


def _control(version: str) -> None:
    """Write the package's description. SeaBIOS is recommended: kernels boot without it."""
    kib = sum(path.lstat().st_size for path in STAGE.rglob("*")) // 1024
    depends = [f"python{version}", "libc6 (>= 2.34)", *system_packages.GROUPS["qt"]]
    text = f"""Package: vmwb
Version: {_version()}
Architecture: {_output(["dpkg", "--print-architecture"])}
Maintainer: The VM Workbench developers <vmwb@localhost>
Installed-Size: {kib}
Depends: {", ".join(depends)}
Recommends: seabios
Section: otherosfs
Priority: optional
Description: workbench for virtual machines with an emulator of its own
 Creates, runs and inspects virtual machines: on the desktop, from the command
 line, and from programs. Every machine runs in a process of its own.
"""
    folder = STAGE / "DEBIAN"
    folder.mkdir()
    (folder / "control").write_text(text, encoding="utf-8")


def _try_wheels() -> None:
    """Install the wheels in a new environment where no Rust is to be found, and use them."""
    with tempfile.TemporaryDirectory(prefix="vmwb-dist-") as scratch:
        venv = Path(scratch) / "venv"
        _run([sys.executable, "-m", "venv", str(venv)], ROOT)
        environment = {**os.environ, "PATH": "/usr/bin:/bin"}
        python = str(venv / "bin" / "python")
        wheels = [str(path) for path in sorted(DIST.glob("*.whl"))]
        pip = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
        _run([*pip, *wheels], Path(scratch), environment)
        _run([python, "-c", TRIAL_MODULES], Path(scratch), environment)
        _run([str(venv / "bin" / "vmwb"), "doctor"], Path(scratch), environment)


def _try_deb(package: Path) -> None:
    """Install the package in a new Debian 12 and run a guest there; that needs root."""
    if os.geteuid() != 0:
        print(
            "Not tried: the .deb. As root, `packaging/fresh.py --deb` installs it in a new Debian."
        )
        return
    _run([sys.executable, str(ROOT / "packaging" / "fresh.py"), "--deb", str(package)], ROOT)


def _version() -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _run(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    """Run a step; its failure ends the build."""
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise DistError(f"Status {done.returncode} from: {' '.join(command)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
