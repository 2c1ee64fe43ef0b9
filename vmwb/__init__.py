"""VM Workbench: an open desktop workbench for virtual machines.

This distribution is the headless part: model, library, services, worker and command line. It never
imports Qt; the window is the distribution ``vmwb-ui``.
"""

from __future__ import annotations

__version__ = "0.1.0"
