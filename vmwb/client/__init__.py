"""The clients' side of a worker: starting one, and talking to it."""
