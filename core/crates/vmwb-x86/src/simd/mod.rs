//! MMX and SSE arithmetic: pure functions on register bits, no processor state.
//!
//! * [`xmm`] and [`mmx`]: the integer operations on 128-bit and 64-bit registers, lane by lane in plain Rust.
//! * [`float`]: SSE and SSE2 (and SSE3's horizontal forms) floating point, bit-exact with MXCSR in and flags out.
//! * [`ssse3`]: the integer operations that SSSE3, SSE4.1 and SSE4.2 added; [`text`]: their string comparisons;
//!   [`cipher`]: AES, SHA, carry-less products and CRC-32C.
//! * [`approx`]: RCPPS and RSQRTPS from one table of our own, the same on every host.
//!
//! What it is not: it fetches no operands, checks no alignment and raises nothing. An unmasked floating-point exception
//! comes back as [`Unmasked`], with the flags already set, and the engine raises #XM.
//!
//! Registers are `u128` and `u64` with lane 0 in the low bits. `soft` is the portable arithmetic and the oracle of the
//! tests; `host` runs the same operations on the SSE unit of an x86-64 host.

pub mod approx;
pub mod cipher;
pub mod float;
#[cfg(target_arch = "x86_64")]
mod host;
mod integer;
#[cfg(target_arch = "x86_64")]
mod integer_host;
mod lanes;
pub mod mxcsr;
mod shuffle;
mod soft;
pub mod ssse3;
pub mod text;

#[cfg(all(test, target_arch = "x86_64"))]
mod float_tests;
#[cfg(all(test, target_arch = "x86_64"))]
mod integer_tests;

pub use integer::{mmx, xmm};
pub use mxcsr::Unmasked;
