//! Why a direct boot was refused.

use thiserror::Error;
use vmwb_mem::MemError;

use crate::firmware::rom::RomError;

/// Why a kernel or an initial RAM disk was refused. Every message is one sentence for the user.
#[derive(Debug, Error)]
pub enum BootError {
    /// No kernel was given.
    #[error("The machine has no kernel to boot; give it a kernel image.")]
    NoKernel,
    /// A machine that starts with firmware was given none.
    #[error(
        "The machine has no firmware to start with; give it a BIOS image, or boot a kernel directly."
    )]
    NoFirmware,
    /// The file cannot be firmware.
    #[error(transparent)]
    Firmware(#[from] RomError),
    /// The file is something else.
    #[error(
        "The kernel file is not a Linux kernel image ({0}); give a bzImage, as distributions install it under the name vmlinuz or linux, or an ELF kernel with a multiboot header or a PVH entry."
    )]
    NotAKernel(&'static str),
    /// The boot protocol is too old.
    #[error(
        "The kernel speaks boot protocol {0}.{1:02}; 2.00 or newer (Linux 1.3.73) is needed. Start it with a boot loader of its time, from a disk."
    )]
    TooOld(u8, u8),
    /// Its code asks the BIOS.
    #[error(
        "The kernel is a zImage, which loads below 1 MiB by 16-bit code that asks a BIOS; start the machine with firmware."
    )]
    NeedsFirmware,
    /// A Linux has one RAM disk.
    #[error(
        "A Linux kernel takes one initial RAM disk and no modules; join several into one file."
    )]
    OneRamDisk,
    /// An ELF file whose headers are wrong.
    #[error("The kernel file is an executable that cannot be loaded: {0}.")]
    BadElf(&'static str),
    /// An ELF file that says no way in.
    #[error(
        "The kernel file is an executable without a multiboot header and without a PVH entry, so nothing says how it wants to be started."
    )]
    NoEntry,
    /// A multiboot header that cannot be followed.
    #[error("The kernel's multiboot header cannot be followed: {0}.")]
    BadMultiboot(&'static str),
    /// Too many modules.
    #[error("A kernel takes at most {max} modules; {found} were given.")]
    TooManyModules {
        /// Most modules.
        max: usize,
        /// How many were given.
        found: usize,
    },
    /// The modules do not fit behind the kernel.
    #[error(
        "The kernel's modules ({size_mib} MiB) do not fit into memory beside it; the machine has {have_mib} MiB, give it more."
    )]
    ModulesTooLarge {
        /// Their size in MiB, rounded up.
        size_mib: u64,
        /// The machine's memory in MiB.
        have_mib: u64,
    },
    /// A module's line is too long, or has a NUL.
    #[error("The line of a module has at most {max} bytes and no NUL; this one has {len} bytes.")]
    ModuleLine {
        /// Most bytes.
        max: usize,
        /// Its bytes.
        len: usize,
    },
    /// A module is an empty file.
    #[error("A module of the kernel is an empty file; copy it again or leave it out.")]
    ModuleEmpty,
    /// The file ends too early.
    #[error(
        "The kernel file is truncated: it should have at least {expected} bytes and has {found}; copy it again."
    )]
    Truncated {
        /// Bytes that the header promises.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// A header field has an impossible value.
    #[error("The kernel's header is damaged: {0}.")]
    BadHeader(&'static str),
    /// The kernel does not fit.
    #[error("The kernel needs {need_mib} MiB of memory to unpack; the machine has {have_mib} MiB.")]
    KernelTooLarge {
        /// Least memory in MiB.
        need_mib: u64,
        /// The machine's memory in MiB.
        have_mib: u64,
    },
    /// The initial RAM disk does not fit beside the kernel.
    #[error(
        "The initial RAM disk ({size_mib} MiB) does not fit into memory beside the kernel; the machine has {have_mib} MiB, give it more."
    )]
    InitrdTooLarge {
        /// Its size in MiB, rounded up.
        size_mib: u64,
        /// The machine's memory in MiB.
        have_mib: u64,
    },
    /// The initial RAM disk is an empty file.
    #[error("The initial RAM disk is an empty file; copy it again or leave it out.")]
    InitrdEmpty,
    /// The command line is longer than the kernel takes.
    #[error("The kernel takes a command line of at most {max} bytes; this one has {len}.")]
    CommandLineTooLong {
        /// Limit of this kernel in bytes.
        max: usize,
        /// Length in bytes.
        len: usize,
    },
    /// The file could not be read.
    #[error("The {what} could not be read: {source}.")]
    Read {
        /// "kernel" or "initial RAM disk".
        what: &'static str,
        /// The host's answer.
        source: std::io::Error,
    },
    /// A place in memory was not RAM: the layout and the memory disagree.
    #[error("The kernel could not be written to the guest's memory: {0}.")]
    Memory(#[from] MemError),
}

impl BootError {
    /// Stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKernel => "no_kernel",
            Self::NoFirmware => "no_firmware",
            Self::Firmware(error) => error.code(),
            Self::NotAKernel(_)
            | Self::TooOld(..)
            | Self::NeedsFirmware
            | Self::BadElf(_)
            | Self::NoEntry
            | Self::BadMultiboot(_)
            | Self::BadHeader(_) => "bad_kernel",
            Self::Truncated { .. } => "kernel_truncated",
            Self::KernelTooLarge { .. }
            | Self::InitrdTooLarge { .. }
            | Self::ModulesTooLarge { .. } => "too_large",
            Self::InitrdEmpty
            | Self::OneRamDisk
            | Self::ModuleEmpty
            | Self::ModuleLine { .. }
            | Self::TooManyModules { .. } => "bad_initrd",
            Self::CommandLineTooLong { .. } => "bad_append",
            Self::Read { .. } => "read_error",
            Self::Memory(_) => "no_memory",
        }
    }
}
