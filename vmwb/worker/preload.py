"""Loads all modules that a worker will ever use, because a locked-in one can open no more of them.

A module that is imported later would not be found; a test watches that none is.
"""

from __future__ import annotations

import sys


def load_everything() -> None:
    """Import the rest of the worker, and what the standard library imports when first used."""
    # A worker speaks to nobody over a network. asyncio goes without TLS when there is none, and a
    # fifth of the worker's own memory is not taken.
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]

    import asyncio  # noqa: F401
    import concurrent.futures.thread  # noqa: F401
    import linecache  # noqa: F401
    import tokenize  # noqa: F401
    import traceback  # noqa: F401

    import vmwb.worker.server  # noqa: F401
