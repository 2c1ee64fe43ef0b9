//! The machine: a board with its devices, direct boot, and the driver that runs it.
//!
//! * [`spec`] what a machine is; [`power`] what may be asked of it; [`machine`] the object that an embedder holds.
//! * [`driver`] the thread that owns everything while it runs; [`mailbox`] what it shares with the embedder.
//! * [`board`] devices, ports, interrupt lines; [`clock`] time; [`input`] what comes from outside.
//! * [`drives`] the media behind disk controllers: image files, each with a thread of its own.
//! * [`confine`] the threads, locked in where the embedder wants that.
//! * [`debug`] what a debugger asks, and the answers' pure parts.
//! * [`boot`] and [`acpi`] do what firmware and boot loader would have done; [`firmware`] is what a real one is told.
#![deny(unsafe_code)]

pub mod acpi;
pub mod board;
pub mod boot;
pub mod clock;
pub mod confine;
pub mod debug;
pub mod driver;
pub mod drives;
pub mod error;
pub mod events;
pub mod firmware;
pub mod input;
pub mod machine;
pub mod mailbox;
pub mod power;
pub mod ram;
pub mod regions;
pub mod serial;
pub mod spec;
pub mod state;

mod sys;

pub use error::MachineError;
pub use machine::{DriveFiles, Machine, MachineFiles, MachineOptions, StateFiles, file_of_handle};
pub use mailbox::SaveFiles;
pub use power::{PowerCommand, PowerState};
pub use spec::{DriveSlot, MachineSpec};
