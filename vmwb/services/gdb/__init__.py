"""The GDB remote protocol, between gdb and the debug service.

It runs in the process of ``vmwb gdb``, not in the worker: ``packets`` is its framing, ``target``
the registers as gdb has them, ``stub`` what the packets mean, ``server`` the socket.
"""
