//! Direct boot: what a firmware and a boot loader would have left in memory, written by us.
//!
//! [`open`] looks at a kernel file and finds out how it wants to be started:
//! * [`linux`] a bzImage: [`header`] reads its setup header, [`layout`] decides where everything lies, [`params`] writes
//!   the boot parameters.
//! * [`multiboot`] an ELF or plain image with a multiboot 1 header.
//! * [`pvh`] an ELF image with the note of Xen's PVH entry, as an uncompressed Linux (vmlinux) has.
//!
//! [`elf`] and [`image`] serve the last two, [`services`] stands for a BIOS. Under a BIOS, [`linux16`] starts a Linux by its 16-bit entry, with an
//! [`option_rom`] of its own. Files are hostile: every field is checked before it is used.
//! [`start`] joins direct boots with firmware.

mod elf;
mod entry;
mod error;
mod files;
mod header;
mod image;
mod layout;
mod linux;
mod linux16;
mod multiboot;
mod option_rom;
mod params;
mod pvh;
mod services;
mod start;

use std::fmt::Debug;
use std::fs::File;

use vmwb_devices::vga::{LinearPicture, Vga};
use vmwb_mem::GuestMemory;
use vmwb_x86::BootState;

pub use error::BootError;
pub use layout::MemoryMap;
pub use linux::LinuxBoot;
pub use linux16::{KERNEL_ROM, Linux16};
pub use start::{Firmware, Start};

#[cfg(test)]
pub(crate) use linux::tests::tiny_kernel;

/// What the boot is told besides the files.
#[derive(Debug, Clone, Copy)]
pub struct BootOptions<'a> {
    /// Kernel command line without its NUL.
    pub append: &'a str,
    /// Address of the RSDP.
    pub rsdp: u64,
    /// Whether a VGA adapter is there, in text mode 3 unless it shows a picture.
    pub vga: bool,
    /// The picture that it shows.
    pub picture: Option<LinearPicture>,
    /// Addresses of the serial ports for the BIOS data area, 0 where there is none.
    pub serial_ports: [u16; 4],
}

impl<'a> BootOptions<'a> {
    /// A command line, and nothing that changes what fits.
    fn plain(append: &'a str) -> Self {
        Self {
            append,
            rsdp: 0,
            vga: false,
            picture: None,
            serial_ports: [0; 4],
        }
    }
}

/// A file that a kernel is given beside itself: an initial RAM disk, or a multiboot module.
#[derive(Debug)]
pub struct Module {
    /// The file.
    pub file: File,
    /// What the kernel is told about it; Linux takes nothing.
    pub line: String,
}

impl From<File> for Module {
    fn from(file: File) -> Self {
        Self {
            file,
            line: String::new(),
        }
    }
}

/// The picture that a kernel would like to find on the screen; a zero stands for no preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureWish {
    /// Dots across.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Bits of a dot.
    pub bits: u32,
}

impl PictureWish {
    /// What stands for no preference, and for a wish that cannot be met.
    const USUAL: (u16, u16, u16) = (1024, 768, 32);

    /// Switches the picture on, or the usual one where the adapter has none of this size. A depth that it has not becomes 32
    /// bits.
    pub fn meet(self, vga: &mut Vga) -> Option<LinearPicture> {
        let (usual_width, usual_height, usual_bits) = Self::USUAL;
        let or = |wish: u32, usual: u16| match wish {
            0 => usual,
            size => u16::try_from(size).unwrap_or(u16::MAX),
        };
        let (width, height) = (or(self.width, usual_width), or(self.height, usual_height));
        let bits = or(self.bits, usual_bits);
        vga.show_picture(width, height, bits)
            .or_else(|| vga.show_picture(width, height, usual_bits))
            .or_else(|| vga.show_picture(usual_width, usual_height, usual_bits))
    }
}

/// A kernel and its modules, checked and ready to be loaded any number of times (each reset loads again).
pub trait DirectBoot: Debug + Send {
    /// Checks that everything fits, without touching memory.
    ///
    /// # Errors
    /// Kernel, a module or the command line too large.
    fn check(&self, map: &MemoryMap, append: &str) -> Result<(), BootError>;

    /// The picture that the kernel would like to find; `None`: text.
    fn picture(&self) -> Option<PictureWish>;

    /// Writes kernel, modules and boot structures into memory, which is all zeros, and gives the entry state.
    ///
    /// # Errors
    /// As [`DirectBoot::check`], and unreadable files.
    fn load(&self, memory: &GuestMemory, options: &BootOptions<'_>)
    -> Result<BootState, BootError>;
}

/// Finds out what kind of kernel a file is and checks it. The files stay open, are read by offset only, and must be
/// regular files. A file that is several things is started as a bzImage, by multiboot, by PVH, in this order.
///
/// # Errors
/// What is wrong with the file or the modules.
pub fn open(kernel: File, mut modules: Vec<Module>) -> Result<Box<dyn DirectBoot>, BootError> {
    let file_bytes = files::length(&kernel, "kernel")?;
    let start = files::beginning(&kernel, "kernel", file_bytes, multiboot::SEARCH_BYTES)?;
    if !header::is_linux(&start) {
        if let Some(header) = multiboot::find(&start)? {
            let boot = multiboot::MultibootBoot::open(kernel, file_bytes, header, modules)?;
            return Ok(Box::new(boot));
        }
        if elf::is_elf(&start) {
            return Ok(Box::new(pvh::PvhBoot::open(kernel, file_bytes, modules)?));
        }
    }
    let initrd = modules.pop();
    if !modules.is_empty() {
        return Err(BootError::OneRamDisk);
    }
    Ok(Box::new(LinuxBoot::open(kernel, initrd.map(|m| m.file))?))
}
