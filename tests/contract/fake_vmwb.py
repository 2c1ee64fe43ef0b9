"""The command `vmwb` whose workers run the fake core: an entry for tests of the whole command."""

from __future__ import annotations

import sys
from pathlib import Path

from vmwb.cli.execute import Settings
from vmwb.cli.main import run

WORKER = (sys.executable, "-P", str(Path(__file__).with_name("fake_worker.py")))

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], Settings(worker_command=WORKER)))
