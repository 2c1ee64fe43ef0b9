//! SSE arithmetic: pure functions on 128-bit values, no processor state.
