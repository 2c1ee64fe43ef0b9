//! The machine: a board with its devices, direct boot, and the driver that runs it.
#![deny(unsafe_code)]

pub mod acpi;
pub mod boot;
pub mod error;
pub mod power;
pub mod spec;
