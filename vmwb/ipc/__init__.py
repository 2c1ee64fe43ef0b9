"""The contract between a worker and its clients: framing, messages, shared framebuffer."""
