"""Pure definitions: machines, power states and policy, events, errors. No I/O, no other rooms."""
