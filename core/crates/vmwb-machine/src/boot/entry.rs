//! What every entry state has: descriptors and the BIOS data area.

use vmwb_mem::{GuestAddress, GuestMemory};

use super::error::BootError;
use super::layout::{BIOS_DATA, EBDA, LEGACY_START};

// Descriptors: present, accessed, 4 GiB flat, granularity 4 KiB (Intel SDM volume 3, "Segment Descriptors").
/// 64-bit code.
pub const CODE_64: u64 = 0x00AF_9B00_0000_FFFF;
/// 32-bit code.
pub const CODE_32: u64 = 0x00CF_9B00_0000_FFFF;
const DATA: u64 = 0x00CF_9300_0000_FFFF;
/// Bytes of the descriptor table.
pub const GDT_BYTES: usize = 32;
/// Limit of the descriptor table.
pub const GDT_LIMIT: u16 = 31;

/// Writes the few words of the BIOS data area that kernels read (IBM PC/AT technical reference, "ROM data area").
///
/// # Errors
/// There is no RAM.
pub fn write_bios_data(memory: &GuestMemory, serial_ports: [u16; 4]) -> Result<(), BootError> {
    for (i, port) in (0u64..).zip(serial_ports) {
        memory.write(GuestAddress(BIOS_DATA + 2 * i), &port.to_le_bytes())?;
    }
    let ebda_segment = u16::try_from(EBDA >> 4).expect("the EBDA lies below 1 MiB");
    let base_kib = u16::try_from(EBDA >> 10).expect("base memory is below 1 MiB");
    memory.write(GuestAddress(BIOS_DATA + 0x0E), &ebda_segment.to_le_bytes())?;
    memory.write(GuestAddress(BIOS_DATA + 0x13), &base_kib.to_le_bytes())?;
    let ebda_kib = u8::try_from((LEGACY_START - EBDA) >> 10).expect("the EBDA has 1 KiB");
    memory.write(GuestAddress(EBDA), &[ebda_kib])?;
    Ok(())
}

/// A descriptor table with `code` at selector 10h and flat data at 18h, as every entry state has them.
pub fn gdt(code: u64) -> [u8; GDT_BYTES] {
    let mut bytes = [0; GDT_BYTES];
    bytes[16..24].copy_from_slice(&code.to_le_bytes());
    bytes[24..].copy_from_slice(&DATA.to_le_bytes());
    bytes
}
