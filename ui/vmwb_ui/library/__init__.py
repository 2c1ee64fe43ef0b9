"""The list of machines."""
