//! 80-bit extended precision floating point (x87): pure functions on values, no processor state.
