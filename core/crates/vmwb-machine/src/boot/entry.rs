//! What entry states have in common: descriptors, the BIOS data area, and the entry in 32-bit protected mode.

use std::fmt::Debug;

use vmwb_mem::{GuestAddress, GuestMemory};
use vmwb_x86::BootState;

use super::error::BootError;
use super::image::{Block, Image, Places};
use super::layout::{BIOS_DATA, EBDA, LEGACY_START, MemoryMap};
use super::{BootOptions, DirectBoot, PictureWish, services};

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

/// Writes what a BIOS leaves: vectors that answer, and the words of its data area that kernels read (IBM PC/AT technical
/// reference, "ROM data area").
///
/// # Errors
/// There is no RAM.
pub fn write_bios(memory: &GuestMemory, options: &BootOptions<'_>) -> Result<(), BootError> {
    services::write(memory)?;
    let put = |offset: u64, value: u16| {
        memory.write(GuestAddress(BIOS_DATA + offset), &value.to_le_bytes())
    };
    for (i, port) in (0u64..).zip(options.serial_ports) {
        put(2 * i, port)?;
    }
    let serial_ports = options.serial_ports.iter().filter(|&&p| p != 0).count();
    let serial_ports = u16::try_from(serial_ports).expect("there are four");
    put(
        0x0E,
        u16::try_from(EBDA >> 4).expect("the EBDA lies below 1 MiB"),
    )?;
    // Equipment: a coprocessor, and how many serial ports.
    let mut equipment = 1 << 1 | serial_ports << 9;
    if options.vga {
        // 80 columns in colour: mode 3, bytes of a page, the CRT controller's port, the last row and dots of a row.
        equipment |= 1 << 5;
        for (offset, value) in [
            (0x49, 3),
            (0x4A, 80),
            (0x4C, 0x1000),
            (0x63, 0x3D4),
            (0x84, 16 << 8 | 24),
        ] {
            put(offset, value)?;
        }
    }
    put(0x10, equipment)?;
    put(
        0x13,
        u16::try_from(EBDA >> 10).expect("base memory is below 1 MiB"),
    )?;
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

/// A kernel that is entered in 32-bit protected mode, with EBX pointing at what it is told.
pub trait ProtectedEntry: Debug + Send {
    /// EAX at the entry.
    const EAX: u32;

    /// The kernel and its modules.
    fn image(&self) -> &Image;

    /// The entry's physical address.
    fn entry(&self) -> u32;

    /// The picture that the kernel would like to find; `None`: text.
    fn picture(&self) -> Option<PictureWish>;

    /// The boot structures at `base`, with modules at these starts and ends, and the address that EBX holds.
    fn block(
        &self,
        base: u64,
        map: &MemoryMap,
        modules: &[(u64, u64)],
        options: &BootOptions<'_>,
    ) -> (Block, u32);

    /// Where everything goes.
    ///
    /// # Errors
    /// It does not fit into the memory.
    fn places(&self, map: &MemoryMap, options: &BootOptions<'_>) -> Result<Places, BootError> {
        let modules = vec![(0, 0); self.image().module_lines().count()];
        // What the block says of places does not change its length.
        let (block, _) = self.block(0, map, &modules, options);
        self.image().place(map, block.len_bytes(), options.append)
    }
}

impl<T: ProtectedEntry> DirectBoot for T {
    fn check(&self, map: &MemoryMap, append: &str) -> Result<(), BootError> {
        self.places(map, &BootOptions::plain(append)).map(|_| ())
    }

    fn picture(&self) -> Option<PictureWish> {
        ProtectedEntry::picture(self)
    }

    fn load(
        &self,
        memory: &GuestMemory,
        options: &BootOptions<'_>,
    ) -> Result<BootState, BootError> {
        let map = MemoryMap::of(memory);
        let places = self.places(&map, options)?;
        let (block, ebx) = self.block(places.block, &map, &places.modules, options);
        self.image().copy(memory, &places, &block)?;
        write_bios(memory, options)?;
        Ok(BootState::Protected32 {
            eip: self.entry(),
            esi: 0,
            ebx,
            eax: Self::EAX,
            esp: block.stack_top(),
            gdt: (block.gdt(), GDT_LIMIT),
        })
    }
}
