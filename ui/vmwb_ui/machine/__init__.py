"""One machine in a tab: summary, screen and serial port."""
