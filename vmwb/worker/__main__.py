"""Entry of ``python -m vmwb.worker``; started by the supervisor only."""

from __future__ import annotations

import sys

from vmwb.worker.core import native_core
from vmwb.worker.main import main

if __name__ == "__main__":
    sys.exit(main(native_core))
