"""Entry of the command ``vmwb`` and of ``python -m vmwb``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line with the process's arguments and give the exit code."""
    from vmwb.cli.main import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
