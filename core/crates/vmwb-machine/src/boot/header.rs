//! The setup header of a bzImage (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").

use super::error::BootError;

/// Bytes from the start of the file that hold every header field that is read.
pub const HEADER_BYTES: usize = 0x290;
/// Where the header starts in the file and in the boot parameters.
pub const HEADER_START: usize = 0x1F1;
/// Oldest boot protocol that is accepted: the first with initial RAM disks and kernels above 1 MiB.
const MIN_PROTOCOL: u16 = 0x0200;
/// First boot protocol with the highest address of the initial RAM disk.
const PROTOCOL_WITH_INITRD_MAX: u16 = 0x0203;
/// First boot protocol whose `syssize` has 32 bits; before, the code reaches to the file's end.
const PROTOCOL_WITH_SIZE: u16 = 0x0204;
/// First boot protocol with the longest command line.
const PROTOCOL_WITH_LINE_LIMIT: u16 = 0x0206;
/// Highest address of the initial RAM disk, and longest command line, of kernels that do not say.
const OLD_INITRD_MAX: u64 = 0x37FF_FFFF;
const OLD_LINE_BYTES: u32 = 255;
const SECTOR: u64 = 512;
/// `setup_sects` of 0 means 4, for reasons of history.
const DEFAULT_SETUP_SECTS: u8 = 4;
/// `loadflags` bit 0: the protected-mode code is loaded above 1 MiB (a bzImage).
const LOADED_HIGH: u8 = 1;
/// `xloadflags` bit 0: the 64-bit entry point at offset 200h exists.
const XLF_KERNEL_64: u16 = 1;
/// Load address of protected-mode code before protocol 2.10.
const DEFAULT_LOAD: u64 = 0x10_0000;

/// Checked contents of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupHeader {
    /// Boot protocol, for example 020Fh.
    pub protocol: u16,
    /// Whether the protected-mode code is loaded at 1 MiB (a bzImage), not at 64 KiB (a zImage).
    pub loaded_high: bool,
    /// Offset of the protected-mode code in the file, in bytes.
    pub payload_offset: u64,
    /// Length of the protected-mode code in bytes; the file has that much.
    pub payload_bytes: u64,
    /// Where the kernel wants to run.
    pub preferred_address: u64,
    /// Memory from there on that the kernel needs before it reads the memory map, in bytes.
    pub init_bytes: u64,
    /// Highest address that the initial RAM disk may touch.
    pub initrd_addr_max: u64,
    /// Longest command line without its NUL, in bytes.
    pub cmdline_bytes: usize,
    /// Whether the 64-bit entry point exists.
    pub entry_64: bool,
    /// The raw header, to be copied into the boot parameters: starts at [`HEADER_START`].
    pub raw: Vec<u8>,
}

fn u16_at(b: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([b[at], b[at + 1]])
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from(u32_at(b, at)) | u64::from(u32_at(b, at + 4)) << 32
}

/// Whether a file begins like a Linux kernel image.
pub fn is_linux(start: &[u8]) -> bool {
    start.len() >= 0x206 && u16_at(start, 0x1FE) == 0xAA55 && &start[0x202..0x206] == b"HdrS"
}

impl SetupHeader {
    /// Reads the header. `start` is the beginning of the file ([`HEADER_BYTES`], or the whole file where it is
    /// shorter), `file_bytes` the file's length.
    ///
    /// # Errors
    /// What the file is not, or what is wrong with it.
    pub fn parse(start: &[u8], file_bytes: u64) -> Result<Self, BootError> {
        if start.len() < HEADER_BYTES {
            return Err(BootError::NotAKernel("it is too short"));
        }
        if !is_linux(start) {
            return Err(BootError::NotAKernel("the boot signature is missing"));
        }
        let protocol = u16_at(start, 0x206);
        if protocol < MIN_PROTOCOL {
            let [minor, major] = protocol.to_le_bytes();
            return Err(BootError::TooOld(major, minor));
        }
        let setup_sects = match start[0x1F1] {
            0 => DEFAULT_SETUP_SECTS,
            n => n,
        };
        let payload_offset = (u64::from(setup_sects) + 1) * SECTOR;
        let payload_bytes = if protocol >= PROTOCOL_WITH_SIZE {
            u64::from(u32_at(start, 0x1F4)) * 16
        } else {
            file_bytes.saturating_sub(payload_offset)
        };
        if payload_bytes == 0 {
            return Err(BootError::BadHeader("it names no code (syssize is 0)"));
        }
        // The size is in paragraphs, rounded up: the last one need not be whole.
        if file_bytes.saturating_add(15) < payload_offset + payload_bytes {
            return Err(BootError::Truncated {
                expected: payload_offset + payload_bytes,
                found: file_bytes,
            });
        }
        let payload_bytes = payload_bytes.min(file_bytes - payload_offset);
        let (preferred_address, init_bytes) = if protocol >= 0x020A {
            (u64_at(start, 0x258), u64::from(u32_at(start, 0x260)))
        } else {
            (DEFAULT_LOAD, payload_bytes)
        };
        if !(DEFAULT_LOAD..1 << 32).contains(&preferred_address) {
            return Err(BootError::BadHeader(
                "its preferred address is not between 1 MiB and 4 GiB",
            ));
        }
        let line_bytes = if protocol >= PROTOCOL_WITH_LINE_LIMIT {
            u32_at(start, 0x238)
        } else {
            OLD_LINE_BYTES
        };
        let cmdline_bytes = usize::try_from(line_bytes)
            .map_err(|_| BootError::BadHeader("its command line limit is out of range"))?;
        let initrd_addr_max = if protocol >= PROTOCOL_WITH_INITRD_MAX {
            u64::from(u32_at(start, 0x22C))
        } else {
            OLD_INITRD_MAX
        };
        let header_end = (0x202 + usize::from(start[0x201])).clamp(HEADER_START, HEADER_BYTES);
        Ok(Self {
            protocol,
            loaded_high: start[0x211] & LOADED_HIGH != 0,
            payload_offset,
            payload_bytes,
            preferred_address,
            init_bytes: init_bytes.max(payload_bytes),
            initrd_addr_max,
            cmdline_bytes,
            entry_64: protocol >= 0x020C && u16_at(start, 0x236) & XLF_KERNEL_64 != 0,
            raw: start[HEADER_START..header_end].to_vec(),
        })
    }
}
