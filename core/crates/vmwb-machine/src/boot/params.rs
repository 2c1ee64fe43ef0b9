//! The boot parameters ("zero page") of the Linux boot protocol (Documentation/arch/x86/zero-page.rst).

use super::header::{HEADER_START, SetupHeader};
use super::layout::{BOOT_PARAMS, COMMAND_LINE, MemoryMap, Placement};

/// Bytes of the structure.
pub const BOOT_PARAMS_BYTES: usize = 4096;
/// A boot loader without a number of its own.
const LOADER_UNDEFINED: u8 = 0xFF;
/// First protocol whose boot parameters carry the RSDP's address.
const PROTOCOL_WITH_RSDP: u16 = 0x020E;
/// First protocol whose header points to the command line.
const PROTOCOL_WITH_LINE_POINTER: u16 = 0x0202;
/// Before, this number stood at 20h and the line's offset from the parameters at 22h.
const OLD_LINE_MAGIC: u16 = 0xA33F;
const E820_TABLE: usize = 0x2D0;
const E820_ENTRY_BYTES: usize = 20;
const E820_MAX: usize = 128;
/// `loadflags` bit 7: `heap_end_ptr` is valid.
const CAN_USE_HEAP: u8 = 0x80;

/// What the parameters say besides the kernel's own header.
#[derive(Debug, Clone, Copy)]
pub struct ParamsInput<'a> {
    /// Checked header of the kernel.
    pub header: &'a SetupHeader,
    /// Where things lie.
    pub placement: Placement,
    /// Length of the initial RAM disk in bytes.
    pub initrd_bytes: u64,
    /// Memory map.
    pub map: &'a MemoryMap,
    /// Address of the RSDP.
    pub rsdp: u64,
    /// Whether a VGA adapter in text mode 3 is there.
    pub vga: bool,
}

struct Page(Box<[u8; BOOT_PARAMS_BYTES]>);

impl Page {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

fn low32(value: u64) -> [u8; 4] {
    let b = value.to_le_bytes();
    [b[0], b[1], b[2], b[3]]
}

fn high32(value: u64) -> [u8; 4] {
    low32(value >> 32)
}

/// Builds the page.
pub fn build(input: &ParamsInput<'_>) -> Box<[u8; BOOT_PARAMS_BYTES]> {
    let mut page = Page(Box::new([0; BOOT_PARAMS_BYTES]));
    if input.vga {
        put_screen_info(&mut page);
    }
    if input.header.protocol >= PROTOCOL_WITH_RSDP {
        page.put(0x070, &input.rsdp.to_le_bytes());
    }
    page.put(HEADER_START, &input.header.raw);
    page.put(0x1FA, &0xFFFFu16.to_le_bytes()); // vid_mode: "normal"
    page.put(0x210, &[LOADER_UNDEFINED]);
    page.0[0x211] |= CAN_USE_HEAP;
    page.put(0x214, &low32(input.placement.kernel)); // code32_start
    page.put(0x218, &low32(input.placement.initrd));
    page.put(0x0C0, &high32(input.placement.initrd));
    let initrd_bytes = input.initrd_bytes;
    page.put(0x21C, &low32(initrd_bytes));
    page.put(0x0C4, &high32(initrd_bytes));
    if input.header.protocol < PROTOCOL_WITH_LINE_POINTER {
        page.put(0x020, &OLD_LINE_MAGIC.to_le_bytes());
        let from_params = low32(COMMAND_LINE - BOOT_PARAMS);
        page.put(0x022, &from_params[..2]);
    }
    page.put(0x224, &0xFE00u16.to_le_bytes()); // heap_end_ptr, as loaders set it
    page.put(0x228, &low32(COMMAND_LINE));
    page.put(0x250, &[0; 8]); // setup_data: none
    put_memory(&mut page, input.map);
    page.0
}

/// `screen_info`: text mode 3 as a VGA BIOS leaves it, 80x25 characters of 16 lines.
fn put_screen_info(page: &mut Page) {
    page.put(0x06, &[3, 80]); // orig_video_mode, orig_video_cols
    page.put(0x0A, &3u16.to_le_bytes()); // orig_video_ega_bx: colour, 256 KiB
    page.put(0x0E, &[25, 1]); // orig_video_lines, orig_video_isVGA
    page.put(0x10, &16u16.to_le_bytes()); // orig_video_points
}

fn put_memory(page: &mut Page, map: &MemoryMap) {
    let above_1m_kib = (map.acpi_start() - (1 << 20)) >> 10;
    page.put(
        0x02,
        &u16::try_from(above_1m_kib)
            .unwrap_or(u16::MAX)
            .to_le_bytes(),
    ); // ext_mem_k
    page.put(0x1E0, &low32(above_1m_kib)); // alt_mem_k
    let mut count = 0u8;
    for (i, e) in map.entries().iter().take(E820_MAX).enumerate() {
        let at = E820_TABLE + i * E820_ENTRY_BYTES;
        page.put(at, &e.start.to_le_bytes());
        page.put(at + 8, &e.len_bytes.to_le_bytes());
        page.put(at + 16, &(e.kind as u32).to_le_bytes());
        count += 1;
    }
    page.put(0x1E8, &[count]);
}
