"""The command line: renders services as text or JSON. Every verb is one call of a service."""
