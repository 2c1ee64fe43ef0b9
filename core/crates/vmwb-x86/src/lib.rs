//! The processor: one description of the instruction set, a decoder, an interpreter of pre-decoded traces, the MMU.
//!
//! * `isa/*.toml` is the one description of the instruction set; `build.rs` expands it into tables.
//! * [`fpu`] 80-bit floating point, pure functions on values; [`simd`] SSE arithmetic, pure functions on values.
//! * [`vcpu`] is the door: the trait every engine implements and what it asks of the board.

pub mod fpu;
pub mod simd;
pub mod vcpu;

pub use vcpu::{BootState, CpuBus, CpuConfig, CpuStop, Exit, Vcpu};
