"""The process of one running machine: it owns the core's machine and serves clients.

Nothing here imports pydantic, typer or rich: a worker has to start fast. ``asyncio`` too is only
imported once the guest runs.
"""
