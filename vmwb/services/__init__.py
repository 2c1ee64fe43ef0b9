"""Use cases of VM Workbench: the whole API that the window, the command line and scripts see.

``vmwb.services.api`` holds the protocols, ``vmwb.services.types`` the values that cross; the
implementation for machines of this host is wired by ``vmwb.app.build_services``.
"""
