"""The serial port of a machine as a terminal."""
