//! Where a direct boot puts things.
//!
//! ```text
//! 00000000  interrupt vectors of the stand-in for a BIOS
//! 00000400  BIOS data area: serial port addresses, EBDA segment, equipment, base memory size, text mode
//! 00001000  GDT
//! 00002000  boot parameters ("zero page")
//! 00003000  kernel command line, at most 2,047 bytes and a NUL
//! 00004000  page tables of the 64-bit entry: PML4, PDPT, 4 page directories
//! 00010000  end of the entry stack (4 KiB below)
//! 0009FC00  extended BIOS data area (reserved; its first byte is its size in KiB)
//! 000A0000  display window, option ROM area (no RAM, or not used)
//! 000F0000  RSDP (the reserved BIOS area)
//! 000FE000  what the interrupt vectors lead to
//! 00100000  RAM: kernel at its preferred address, initial RAM disk as high as it may
//! top-64K   ACPI tables (reclaimable), last page: FACS (NVS)
//! 4 GiB     RAM above the PCI hole
//! ```

use vmwb_mem::GuestMemory;

use super::error::BootError;
use super::header::SetupHeader;

/// BIOS data area.
pub const BIOS_DATA: u64 = 0x400;
/// Global descriptor table of the entry state.
pub const GDT: u64 = 0x1000;
/// Boot parameters.
pub const BOOT_PARAMS: u64 = 0x2000;
/// Kernel command line.
pub const COMMAND_LINE: u64 = 0x3000;
/// First of six pages of page tables.
pub const PAGE_TABLES: u64 = 0x4000;
/// Initial stack pointer.
pub const STACK_TOP: u64 = 0x1_0000;
/// Extended BIOS data area, up to [`LEGACY_START`].
pub const EBDA: u64 = 0x9_FC00;
/// End of base memory.
pub const LEGACY_START: u64 = 0xA_0000;
/// Reserved BIOS area, up to 1 MiB; the RSDP is its first object.
pub const BIOS_AREA: u64 = 0xF_0000;
/// First byte of RAM above the legacy area.
pub const ONE_MIB: u64 = 0x10_0000;
/// Bytes at the end of low RAM for ACPI tables, FACS included.
pub const ACPI_BYTES: u64 = 0x1_0000;
/// Bytes of the last part of it, which the guest may never reclaim.
pub const ACPI_NVS_BYTES: u64 = 0x1000;

/// Longest kernel command line, in bytes without its NUL.
pub const MAX_COMMAND_LINE: usize = 2047;
/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Kinds of memory, as the BIOS call INT 15h E820h numbers them (ACPI specification, "Address Range Types").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum RangeKind {
    /// RAM for the guest.
    Usable = 1,
    /// Not for the guest.
    Reserved = 2,
    /// ACPI tables: RAM once they have been read.
    AcpiReclaim = 3,
    /// Kept for the firmware.
    AcpiNvs = 4,
}

/// One range of the memory map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapEntry {
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub len_bytes: u64,
    /// What it is.
    pub kind: RangeKind,
}

/// What the guest is told about its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryMap {
    entries: Vec<MapEntry>,
    low_end: u64,
    ram_bytes: u64,
}

impl MemoryMap {
    /// The map of a machine with this memory.
    #[must_use]
    pub fn of(memory: &GuestMemory) -> Self {
        let low_end = memory.ranges().first().map_or(0, |r| r.end);
        let mut entries = Vec::new();
        let mut add = |start: u64, end: u64, kind| {
            entries.push(MapEntry {
                start,
                len_bytes: end - start,
                kind,
            });
        };
        let (acpi, nvs) = (low_end - ACPI_BYTES, low_end - ACPI_NVS_BYTES);
        add(0, EBDA, RangeKind::Usable);
        add(EBDA, LEGACY_START, RangeKind::Reserved);
        add(BIOS_AREA, ONE_MIB, RangeKind::Reserved);
        add(ONE_MIB, acpi, RangeKind::Usable);
        add(acpi, nvs, RangeKind::AcpiReclaim);
        add(nvs, low_end, RangeKind::AcpiNvs);
        for r in memory.ranges().iter().skip(1) {
            add(r.start, r.end, RangeKind::Usable);
        }
        Self {
            entries,
            low_end,
            ram_bytes: memory.ram_bytes(),
        }
    }

    /// Ranges in ascending order.
    #[must_use]
    pub fn entries(&self) -> &[MapEntry] {
        &self.entries
    }

    /// First byte of the ACPI tables; RAM for the guest ends here.
    #[must_use]
    pub fn acpi_start(&self) -> u64 {
        self.low_end - ACPI_BYTES
    }

    /// First byte of the FACS's page.
    #[must_use]
    pub fn acpi_nvs_start(&self) -> u64 {
        self.low_end - ACPI_NVS_BYTES
    }

    /// End of RAM below the PCI hole.
    #[must_use]
    pub fn low_end(&self) -> u64 {
        self.low_end
    }

    /// The machine's memory in MiB, for sentences.
    #[must_use]
    pub fn have_mib(&self) -> u64 {
        self.ram_bytes >> 20
    }
}

/// Addresses of kernel and initial RAM disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Load address of the protected-mode code.
    pub kernel: u64,
    /// Address of the initial RAM disk, 0 without one.
    pub initrd: u64,
}

/// Decides where kernel and initial RAM disk go, or says why they do not fit.
pub fn place(
    header: &SetupHeader,
    initrd_bytes: u64,
    map: &MemoryMap,
) -> Result<Placement, BootError> {
    let have_mib = map.have_mib();
    let kernel = header.preferred_address;
    let kernel_end = kernel + header.init_bytes;
    if kernel_end > map.acpi_start() {
        let need_mib = (kernel_end + ACPI_BYTES).div_ceil(1 << 20);
        return Err(BootError::KernelTooLarge { need_mib, have_mib });
    }
    if initrd_bytes == 0 {
        return Ok(Placement { kernel, initrd: 0 });
    }
    let too_large = || BootError::InitrdTooLarge {
        size_mib: initrd_bytes.div_ceil(1 << 20),
        have_mib,
    };
    let ceiling = map
        .acpi_start()
        .min(header.initrd_addr_max.saturating_add(1));
    let initrd = ceiling.checked_sub(initrd_bytes).ok_or_else(too_large)? / PAGE * PAGE;
    if initrd < kernel_end {
        return Err(too_large());
    }
    Ok(Placement { kernel, initrd })
}
