"""The screen of a machine: picture, keyboard and who has it."""
