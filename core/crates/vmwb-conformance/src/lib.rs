//! What the processor is compared with, as far as it is done in Rust: test images that run step by step beside another
//! processor.
//!
//! * [`image`] a test image: registers, memory, a number of steps; what became of it after each.
//! * [`bus`] a board without devices, whose interrupts come at chosen counts.
//! * [`random`] the generator of whatever is random here.
//!
//! The other side of [`image`] is `tests/conformance/`, which runs the same images on an independent processor.
#![forbid(unsafe_code)]

pub mod bus;
pub mod image;
pub mod random;
