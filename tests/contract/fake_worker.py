"""A worker process whose core is the fake: what tests give the supervisor as its command."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fake_core import fake_core

from vmwb.worker.main import main

if __name__ == "__main__":
    sys.exit(main(fake_core))
