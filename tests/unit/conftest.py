"""Fixtures of all unit tests."""

from __future__ import annotations

from leaks import no_leaks, no_tasks

__all__ = ["no_leaks", "no_tasks"]
