"""The main window and what it asks of the services."""
