//! The machine: a board with its devices, direct boot, and the driver that runs it.
#![deny(unsafe_code)]

pub mod acpi;
pub mod boot;
pub mod clock;
pub mod error;
pub mod events;
pub mod input;
pub mod power;
pub mod serial;
pub mod spec;

mod sys;
