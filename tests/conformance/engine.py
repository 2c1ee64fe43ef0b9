"""Our side: the runner of test images (`vmwb-conform`) in a process, fed by lines of JSON."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from images import Image, Outcome

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "core" / "Cargo.toml"
RUNNER = ROOT / "core" / "target" / "debug" / "vmwb-conform"


def build() -> None:
    """Build the runner; nothing to do for cargo when it is up to date."""
    command = ["cargo", "build", "--quiet", "--manifest-path", str(MANIFEST)]
    subprocess.run([*command, "--package", "vmwb-conformance"], check=True)


class Engine:
    """The running runner."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [str(RUNNER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()

    def run(self, image: Image) -> Outcome:
        """Run an image and return what became of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(image.to_json()) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the runner died of {image.name}")
        return Outcome.of(json.loads(answer))
