//! Direct boot: what a firmware and a boot loader would have left in memory, written by us.
//!
//! [`header`] reads the kernel's setup header, [`layout`] decides where everything lies, [`params`] writes the boot
//! parameters, [`linux`] puts it together. Kernel files are hostile: every field is checked before it is used.
//! [`start`] chooses between that and a BIOS.

mod error;
mod header;
mod layout;
mod linux;
mod params;
mod start;

pub use error::BootError;
pub use layout::MemoryMap;
pub use linux::{BootOptions, LinuxBoot};
pub use start::{Firmware, Start};

#[cfg(test)]
pub(crate) use linux::tests::tiny_kernel;
