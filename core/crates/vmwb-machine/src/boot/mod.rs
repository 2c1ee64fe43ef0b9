//! Direct boot: what a firmware and a boot loader would have left in memory, written by us.
//!
//! [`header`] reads the kernel's setup header, [`layout`] decides where everything lies, [`params`] writes the boot
//! parameters, [`linux`] puts it together. Kernel files are hostile: every field is checked before it is used.

mod error;
mod header;
mod layout;
mod linux;
mod params;

pub use error::BootError;
pub use layout::MemoryMap;
pub use linux::{BootOptions, LinuxBoot};

#[cfg(test)]
pub(crate) use linux::tests::tiny_kernel;
