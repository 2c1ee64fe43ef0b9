"""The Qt front end of VM Workbench. It talks to ``vmwb.services`` and to nothing below it."""
