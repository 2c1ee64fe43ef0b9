//! The processor: one description of the instruction set, a decoder, an interpreter of pre-decoded traces, the MMU.
//!
//! * `isa/*.toml` is the one description of the instruction set; `build.rs` expands it into the tables of [`isa`].
//! * [`decode`] bytes to instructions; `translate` instructions to traces; `exec` what runs them; `run` the main loop.
//! * `mmu` and `tlb` paging; `descriptor` segments; `exceptions`, `gates`, `task` and `v86` delivery and task switches;
//!   `debug` breakpoints; `branches` last-branch records; `reset` the states that software finds; [`cpuid`] what is announced.
//! * [`fpu`] 80-bit floating point and [`simd`] SSE arithmetic: pure functions on values.
//! * [`observe`] trace points; [`inspect`] the debugger's door.
//! * [`vcpu`] is the door: the trait every engine implements and what it asks of the board.

mod branches;
pub mod cpu;
pub mod cpuid;
mod debug;
pub mod decode;
mod descriptor;
mod exceptions;
mod exec;
mod fetch;
pub mod fpu;
mod gates;
pub mod inspect;
pub mod isa;
mod mmu;
pub mod observe;
mod reset;
mod run;
pub mod simd;
mod state;
mod task;
mod tlb;
mod trace;
mod translate;
mod v86;
pub mod vcpu;

pub use inspect::Inspect;
pub use run::{EngineError, Interpreter};
pub use vcpu::{Activity, BootState, CpuBus, CpuConfig, CpuStop, Exit, MAX_PROCESSORS, Vcpu};
