//! The interpreter: semantics over the operations trait, handlers made from them, helpers for what is not worth emitting.
//!
//! * [`ops`] the operations trait; [`sem`] the semantics, written once over it.
//! * [`operations`] the interpreter's operations; [`interp`] its chained handlers; [`select`] which handler an instruction gets.
//! * `helpers` everything that any engine calls as a function; `memory` guest accesses by linear address.
//!
//! Unsafe code is allowed here: handlers take raw pointers so that they compile to plain jumps.

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod emit_trial;
pub(crate) mod helpers;
pub(crate) mod interp;
pub(crate) mod memory;
pub(crate) mod operations;
pub(crate) mod ops;
pub(crate) mod select;
pub(crate) mod sem;
