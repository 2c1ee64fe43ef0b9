"""Machines on disk: bundles, their definitions, locks, run records and suspended states.

Everything here is synchronous file work; the services call it from threads. Only ``schema`` imports
pydantic, so the worker can share the rest.
"""
