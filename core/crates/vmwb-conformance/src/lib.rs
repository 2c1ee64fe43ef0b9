//! What the processor is compared with, as far as it is done in Rust: test images that run step by step beside another
//! processor, random programs that run on two engines in lockstep, and hostile states that no engine may fall over.
//!
//! * [`image`] a test image: registers, memory, a number of steps; what became of it after each.
//! * [`bus`] a board without devices, whose interrupts come at chosen counts.
//! * [`lockstep`] two engines behind the vCPU trait over the same program.
//! * [`program`] random programs for it; [`hostile`] random states and tables; [`random`] the generator behind both.
//!
//! The other side of [`image`] is `tests/conformance/`, which runs the same images on an independent processor.
#![forbid(unsafe_code)]

pub mod bus;
pub mod hostile;
pub mod image;
pub mod lockstep;
pub mod program;
pub mod random;
pub mod samples;
