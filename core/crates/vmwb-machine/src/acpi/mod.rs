//! ACPI tables of the board: RSDP, RSDT, XSDT, FADT, FACS, MADT, HPET, DSDT (ACPI specification, chapter 5); and in
//! [`mp`] the older tables that say where processors and interrupts are.
//!
//! Built anew at every power-on from the board's own numbers, never read back, and without knowing where they will lie:
//! a direct boot places them ([`install`]), firmware does it with a script ([`Linked::script`]). There is no sleep state
//! but soft-off; the power button is the fixed-feature one.

mod aml;
mod dsdt;
mod link;
mod mp;

use vmwb_mem::{GuestAddress, GuestMemory, MemError};

pub use dsdt::PIRQ_GSI;
#[cfg(test)]
pub(crate) use link::run_script;
pub use link::{Blob, COMMAND_BYTES, Linked, Placed, Zone, sum};
pub use mp::{MP_ADDRESS, MP_FILE};

use crate::boot::MemoryMap;

/// Address of the RSDP in a direct boot: first paragraph of the reserved BIOS area, where operating systems search for it.
pub const RSDP_ADDRESS: u64 = 0xF_0000;
/// File of all tables but those below.
pub const TABLES_FILE: &str = "etc/acpi/tables";
/// File of the FACS, which the guest may never reclaim.
pub const FACS_FILE: &str = "etc/acpi/facs";
/// File of the RSDP.
pub const RSDP_FILE: &str = "etc/acpi/rsdp";
/// Bytes of an HPET's registers.
pub const HPET_BYTES: u32 = 0x400;

const OEM_ID: &[u8; 6] = b"VMWB  ";
const OEM_TABLE_ID: &[u8; 8] = b"VMWBPC  ";
const CREATOR_ID: &[u8; 4] = b"VMWB";
const HEADER_BYTES: usize = 36;
/// System control interrupt.
pub const SCI_IRQ: u8 = 9;
const CMOS_CENTURY: u8 = 0x32;

// FADT flags (ACPI specification, table "Fixed ACPI Description Table Fixed Feature Flags").
const WBINVD: u32 = 1 << 0;
const PROC_C1: u32 = 1 << 2;
/// No fixed-feature sleep button.
const SLP_BUTTON: u32 = 1 << 5;
/// The RTC's wake status is not in the fixed registers.
const FIX_RTC: u32 = 1 << 6;
const TMR_VAL_EXT: u32 = 1 << 8;
const RESET_REG_SUP: u32 = 1 << 10;
// FADT IA-PC boot architecture flags.
const LEGACY_DEVICES: u16 = 1 << 0;
const HAS_8042: u16 = 1 << 1;
const VGA_NOT_PRESENT: u16 = 1 << 2;
/// Latencies that say "no C2, no C3".
const NO_C2_LATENCY: u16 = 0x0FFF;
const NO_C3_LATENCY: u16 = 0x0FFF;

/// Ports and values of the power management hardware, as the board wires it.
#[derive(Debug, Clone, Copy)]
pub struct PmHardware {
    /// First port of the whole block.
    pub base: u16,
    /// PM1a event block, 4 bytes.
    pub event: u16,
    /// PM1a control block, 2 bytes.
    pub control: u16,
    /// PM timer, 4 bytes.
    pub timer: u16,
    /// Whether the timer counts 32 bits (else 24).
    pub timer_32_bit: bool,
    /// General purpose event block 0.
    pub gpe0: u16,
    /// Its length in bytes.
    pub gpe0_bytes: u8,
    /// SMI command port.
    pub smi_command: u16,
    /// Value that switches to ACPI mode.
    pub acpi_enable: u8,
    /// Value that switches back.
    pub acpi_disable: u8,
    /// Sleep type of suspend to RAM, where there is that.
    pub slp_typ_s3: Option<u8>,
    /// Sleep type of soft-off.
    pub slp_typ_s5: u8,
    /// Reset register's port.
    pub reset_port: u16,
    /// Value that resets.
    pub reset_value: u8,
}

/// A high precision event timer block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HpetHardware {
    /// Address of its registers.
    pub address: u32,
    /// Low half of its capabilities register.
    pub block_id: u32,
}

/// Parts that a board may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// Event timers.
    pub hpet: Option<HpetHardware>,
    /// Floppy controller, and which of its drives there are.
    pub floppy: Option<[bool; 2]>,
    /// The two DMA controllers.
    pub dma: bool,
    /// Firmware configuration.
    pub fw_cfg: bool,
}

/// What the tables depend on.
#[derive(Debug, Clone, Copy)]
pub struct AcpiInput {
    /// End of RAM below 4 GiB.
    pub low_end: u64,
    /// First and last address above 4 GiB where PCI memory may lie.
    pub high_pci: Option<(u64, u64)>,
    /// Power management hardware.
    pub pm: PmHardware,
    /// Serial ports: I/O base and interrupt, 0 where there is none.
    pub serial_ports: [(u16, u8); 4],
    /// Whether a VGA adapter is there.
    pub vga: bool,
    /// Address of the local APICs.
    pub lapic: u32,
    /// Address of the IOAPIC, and its identifier.
    pub ioapic: (u32, u8),
    /// Processors, 1 to 255: their local APICs have the identifiers 0, 1 ...
    pub cpus: u8,
    /// Their signature and feature flags: EAX and EDX of CPUID leaf 1, zeros without CPUID.
    pub cpu: (u32, u32),
    /// Other parts.
    pub parts: Parts,
}

/// Writes all tables into memory, where a direct boot's map says.
///
/// # Errors
/// [`MemError`] when the map and the memory disagree.
pub fn install(memory: &GuestMemory, map: &MemoryMap, input: &AcpiInput) -> Result<(), MemError> {
    for placed in placed(map, input) {
        memory.write(GuestAddress(placed.address), &placed.bytes)?;
    }
    Ok(())
}

fn placed(map: &MemoryMap, input: &AcpiInput) -> Vec<Placed> {
    build(input).place(|blob| match blob.name {
        RSDP_FILE => RSDP_ADDRESS,
        MP_FILE => MP_ADDRESS,
        FACS_FILE => map.acpi_nvs_start(),
        _ => {
            let room = map.acpi_nvs_start() - map.acpi_start();
            assert!(
                blob.bytes.len() as u64 <= room,
                "the tables fit into their region"
            );
            map.acpi_start()
        }
    })
}

/// All tables.
#[must_use]
pub fn build(input: &AcpiInput) -> Linked {
    let mut all = Linked::default();
    all.add(TABLES_FILE, Zone::High, 64);
    all.add(FACS_FILE, Zone::High, 64);
    all.add(RSDP_FILE, Zone::FSegment, 16);
    all.append(FACS_FILE, 64, &facs());

    let dsdt = add_table(&mut all, *b"DSDT", 2, &dsdt::build(input));
    let fadt = add_table(&mut all, *b"FACP", 3, &fadt(input));
    all.point(TABLES_FILE, (fadt + 36, 4), FACS_FILE, 0);
    all.point(TABLES_FILE, (fadt + 40, 4), TABLES_FILE, dsdt);
    all.point(TABLES_FILE, (fadt + 140, 8), TABLES_FILE, dsdt);
    let madt = add_table(&mut all, *b"APIC", 1, &madt(input));
    let mut listed = vec![fadt, madt];
    if let Some(hpet) = input.parts.hpet {
        listed.push(add_table(&mut all, *b"HPET", 1, &hpet_table(hpet)));
    }
    let rsdt = add_list(&mut all, *b"RSDT", 4, &listed);
    let xsdt = add_list(&mut all, *b"XSDT", 8, &listed);
    for table in listed.iter().chain([&dsdt, &rsdt, &xsdt]) {
        checksum_table(&mut all, *table);
    }

    all.append(RSDP_FILE, 16, &rsdp());
    all.point(RSDP_FILE, (16, 4), TABLES_FILE, rsdt);
    all.point(RSDP_FILE, (24, 8), TABLES_FILE, xsdt);
    all.checksum(RSDP_FILE, 8, 0, 20);
    all.checksum(RSDP_FILE, 32, 0, 36);
    mp::add(&mut all, input);
    all
}

/// Adds a table and gives its offset.
fn add_table(all: &mut Linked, signature: [u8; 4], revision: u8, body: &[u8]) -> usize {
    all.append(TABLES_FILE, 16, &table(signature, revision, body))
}

/// Adds a table of addresses of `width` bytes each.
fn add_list(all: &mut Linked, signature: [u8; 4], width: u8, targets: &[usize]) -> usize {
    let body = vec![0; targets.len() * usize::from(width)];
    let offset = add_table(all, signature, 1, &body);
    let places = (offset + HEADER_BYTES..).step_by(usize::from(width));
    for (at, &target) in places.zip(targets) {
        all.point(TABLES_FILE, (at, width), TABLES_FILE, target);
    }
    offset
}

fn checksum_table(all: &mut Linked, offset: usize) {
    let tables = all.blobs().iter().find(|b| b.name == TABLES_FILE);
    let bytes = &tables.expect("it has been added").bytes[offset + 4..offset + 8];
    let len = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let len = usize::try_from(len).expect("a table is small");
    all.checksum(TABLES_FILE, offset + 9, offset, len);
}

fn low32(address: u64) -> u32 {
    u32::try_from(address).expect("ACPI tables lie below 4 GiB")
}

/// A table without its checksum.
fn table(signature: [u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(HEADER_BYTES + body.len()).expect("a table is small");
    let mut t = Vec::with_capacity(HEADER_BYTES + body.len());
    t.extend_from_slice(&signature);
    t.extend_from_slice(&len.to_le_bytes());
    t.extend([revision, 0]);
    t.extend_from_slice(OEM_ID);
    t.extend_from_slice(OEM_TABLE_ID);
    t.extend_from_slice(&1u32.to_le_bytes());
    t.extend_from_slice(CREATOR_ID);
    t.extend_from_slice(&1u32.to_le_bytes());
    t.extend_from_slice(body);
    t
}

/// The RSDP without pointers and checksums.
fn rsdp() -> Vec<u8> {
    let mut r = vec![0; 36];
    r[..8].copy_from_slice(b"RSD PTR ");
    r[9..15].copy_from_slice(OEM_ID);
    r[15] = 2;
    r[20..24].copy_from_slice(&36u32.to_le_bytes());
    r
}

fn facs() -> Vec<u8> {
    let mut f = vec![0; 64];
    f[..4].copy_from_slice(b"FACS");
    f[4..8].copy_from_slice(&64u32.to_le_bytes());
    f[32] = 1;
    f
}

/// Generic address structure of an I/O register of `bits` bits.
fn io_register(port: u16, bits: u8) -> [u8; 12] {
    let access = match bits {
        8 => 1,
        16 => 2,
        _ => 3,
    };
    let mut gas = [0; 12];
    if bits > 0 {
        gas[..4].copy_from_slice(&[1, bits, 0, access]);
        gas[4..6].copy_from_slice(&port.to_le_bytes());
    }
    gas
}

/// The FADT's body without its pointers.
fn fadt(input: &AcpiInput) -> Vec<u8> {
    let pm = &input.pm;
    let mut boot_arch = LEGACY_DEVICES | HAS_8042;
    if !input.vga {
        boot_arch |= VGA_NOT_PRESENT;
    }
    let mut flags = WBINVD | PROC_C1 | SLP_BUTTON | FIX_RTC | RESET_REG_SUP;
    if pm.timer_32_bit {
        flags |= TMR_VAL_EXT;
    }
    // Offsets are those of the whole table; revision 3 has 244 bytes.
    let mut t = vec![0u8; 244];
    let mut put = |at: usize, bytes: &[u8]| t[at..at + bytes.len()].copy_from_slice(bytes);
    let port32 = |port: u16| u32::from(port).to_le_bytes();
    put(45, &[1]); // preferred profile: desktop
    put(46, &u16::from(SCI_IRQ).to_le_bytes());
    put(48, &port32(pm.smi_command));
    put(52, &[pm.acpi_enable, pm.acpi_disable]);
    put(56, &port32(pm.event));
    put(64, &port32(pm.control));
    put(76, &port32(pm.timer));
    put(80, &port32(pm.gpe0));
    put(88, &[4, 2, 0, 4, pm.gpe0_bytes]);
    put(96, &NO_C2_LATENCY.to_le_bytes());
    put(98, &NO_C3_LATENCY.to_le_bytes());
    put(108, &[CMOS_CENTURY]);
    put(109, &boot_arch.to_le_bytes());
    put(112, &flags.to_le_bytes());
    put(116, &io_register(pm.reset_port, 8));
    put(128, &[pm.reset_value]);
    put(148, &io_register(pm.event, 32));
    put(172, &io_register(pm.control, 16));
    put(208, &io_register(pm.timer, 32));
    put(220, &io_register(pm.gpe0, pm.gpe0_bytes.saturating_mul(8)));
    t.split_off(HEADER_BYTES)
}

fn hpet_table(hpet: HpetHardware) -> Vec<u8> {
    let mut b = hpet.block_id.to_le_bytes().to_vec();
    // Generic address structure: memory, 64 bits.
    b.extend([0, 64, 0, 0]);
    b.extend_from_slice(&u64::from(hpet.address).to_le_bytes());
    // Number 0, least tick 0, no page protection.
    b.extend([0; 4]);
    b
}

/// The MADT's body.
fn madt(input: &AcpiInput) -> Vec<u8> {
    const PCAT_COMPAT: u32 = 1;
    /// Polarity active high, trigger level.
    const HIGH_LEVEL: u16 = 0b1101;
    let mut b = Vec::new();
    b.extend_from_slice(&input.lapic.to_le_bytes());
    b.extend_from_slice(&PCAT_COMPAT.to_le_bytes());
    for n in 0..input.cpus {
        // Local APIC: processor, identifier, enabled.
        b.extend([0, 8, n, n, 1, 0, 0, 0]);
    }
    let (ioapic, id) = input.ioapic;
    b.extend([1, 12, id, 0]);
    b.extend_from_slice(&ioapic.to_le_bytes());
    b.extend_from_slice(&0u32.to_le_bytes());
    for (irq, gsi, flags) in [(0u8, 2u32, 0u16), (SCI_IRQ, u32::from(SCI_IRQ), HIGH_LEVEL)] {
        b.extend([2, 10, 0, irq]);
        b.extend_from_slice(&gsi.to_le_bytes());
        b.extend_from_slice(&flags.to_le_bytes());
    }
    // Local APIC NMI: all processors, LINT1.
    b.extend([4, 6, 0xFF, 0, 0, 1]);
    b
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn pm() -> PmHardware {
        PmHardware {
            base: 0x600,
            event: 0x600,
            control: 0x604,
            timer: 0x608,
            timer_32_bit: true,
            gpe0: 0x60C,
            gpe0_bytes: 4,
            smi_command: 0xB2,
            acpi_enable: 0xF1,
            acpi_disable: 0xF0,
            slp_typ_s3: Some(1),
            slp_typ_s5: 5,
            reset_port: 0xCF9,
            reset_value: 6,
        }
    }

    pub(crate) fn input() -> AcpiInput {
        AcpiInput {
            low_end: 64 << 20,
            high_pci: Some((0x2_0000_0000, 0xF_FFFF_FFFF)),
            pm: pm(),
            serial_ports: [(0x3F8, 4), (0x2F8, 3), (0, 0), (0, 0)],
            vga: true,
            lapic: 0xFEE0_0000,
            ioapic: (0xFEC0_0000, 0),
            cpus: 8,
            cpu: (0x0006_06A1, 0x0783_FBFF),
            parts: Parts {
                hpet: Some(HpetHardware {
                    address: 0xFED0_0000,
                    block_id: 0x8086_A201,
                }),
                floppy: Some([true, false]),
                dma: true,
                fw_cfg: true,
            },
        }
    }

    fn map() -> MemoryMap {
        MemoryMap::of(&GuestMemory::new(64 << 20).unwrap())
    }

    fn u32_at(b: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(b[at..at + 4].try_into().unwrap())
    }

    fn u64_at(b: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(b[at..at + 8].try_into().unwrap())
    }

    /// What a guest finds from the RSDP on: tables by signature.
    struct Found {
        memory: GuestMemory,
    }

    impl Found {
        fn installed(input: &AcpiInput) -> Self {
            let memory = GuestMemory::new(64 << 20).unwrap();
            install(&memory, &map(), input).unwrap();
            Self { memory }
        }

        fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
            let mut out = vec![0; len];
            self.memory.read(GuestAddress(at), &mut out).unwrap();
            out
        }

        fn table(&self, at: u64) -> Vec<u8> {
            let len = u32_at(&self.bytes(at, 8), 4);
            self.bytes(at, usize::try_from(len).unwrap())
        }

        /// The tables that RSDT and XSDT list, which must be the same.
        fn listed(&self) -> Vec<Vec<u8>> {
            let rsdp = self.bytes(RSDP_ADDRESS, 36);
            assert_eq!((sum(&rsdp[..20]), sum(&rsdp)), (0, 0));
            let rsdt = self.table(u64::from(u32_at(&rsdp, 16)));
            let xsdt = self.table(u64_at(&rsdp, 24));
            assert_eq!((&rsdt[..4], &xsdt[..4]), (&b"RSDT"[..], &b"XSDT"[..]));
            assert_eq!((sum(&rsdt), sum(&xsdt)), (0, 0));
            let short: Vec<u64> = rsdt[36..]
                .chunks(4)
                .map(|c| u64::from(u32_at(c, 0)))
                .collect();
            let long: Vec<u64> = xsdt[36..].chunks(8).map(|c| u64_at(c, 0)).collect();
            assert_eq!(short, long);
            short.into_iter().map(|at| self.table(at)).collect()
        }

        fn dsdt(&self) -> Vec<u8> {
            let fadt = &self.listed()[0];
            assert_eq!(u64::from(u32_at(fadt, 40)), u64_at(fadt, 140));
            self.table(u64_at(fadt, 140))
        }
    }

    #[test]
    fn tables_are_found_from_the_rsdp_and_sum_to_zero() {
        let found = Found::installed(&input());
        let listed = found.listed();
        let signatures: Vec<&[u8]> = listed.iter().map(|t| &t[..4]).collect();
        assert_eq!(signatures, [b"FACP", b"APIC", b"HPET"]);
        for table in listed.iter().chain([&found.dsdt()]) {
            assert_eq!(sum(table), 0);
        }
        assert_eq!(&found.dsdt()[..4], b"DSDT");
    }

    #[test]
    fn facs_lies_in_the_page_that_is_never_reclaimed() {
        let found = Found::installed(&input());
        let at = u64::from(u32_at(&found.listed()[0], 36));
        assert_eq!(at, map().acpi_nvs_start());
        assert_eq!(&found.bytes(at, 4), b"FACS");
    }

    #[test]
    fn madt_lists_each_processor_once() {
        let found = Found::installed(&input());
        let madt = &found.listed()[1];
        let (mut at, mut ids) = (44, Vec::new());
        while at < madt.len() {
            if madt[at] == 0 {
                assert_eq!(madt[at + 2], madt[at + 3]);
                assert_eq!(u32_at(madt, at + 4), 1);
                ids.push(madt[at + 3]);
            }
            at += usize::from(madt[at + 1]);
        }
        assert_eq!(ids, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn hpet_table_names_its_registers() {
        let found = Found::installed(&input());
        let hpet = &found.listed()[2];
        assert_eq!((hpet.len(), u32_at(hpet, 36)), (56, 0x8086_A201));
        assert_eq!((hpet[40], u64_at(hpet, 44)), (0, 0xFED0_0000));
    }

    #[test]
    fn parts_that_are_not_there_are_not_described() {
        let bare = AcpiInput {
            parts: Parts::default(),
            high_pci: None,
            ..input()
        };
        let found = Found::installed(&bare);
        assert_eq!(found.listed().len(), 2);
        let with = Found::installed(&input()).dsdt();
        let has = |dsdt: &[u8], name: &[u8; 4]| dsdt.windows(4).any(|w| w == name);
        for name in [b"HPET", b"FDC0", b"DMAC", b"FWCF"] {
            assert!(has(&with, name) && !has(&found.dsdt(), name));
        }
    }

    #[test]
    fn firmware_linking_by_the_script_gives_the_same_tables() {
        let linked = build(&input());
        let address = |b: &Blob| match b.name {
            RSDP_FILE => 0xF_5AC0,
            MP_FILE => 0xF_5800,
            FACS_FILE => 0x3FF_E000,
            _ => 0x3FF_0040,
        };
        let mut files = linked
            .blobs()
            .iter()
            .map(|b| (b.name.to_owned(), (address(b), b.bytes.clone())))
            .collect();
        let allocated = run_script(&linked.script(), &mut files);
        assert_eq!(allocated, [TABLES_FILE, FACS_FILE, RSDP_FILE, MP_FILE]);
        for (blob, placed) in linked.blobs().iter().zip(linked.place(address)) {
            assert_eq!(files[blob.name], (placed.address, placed.bytes));
        }
    }

    /// Set `VMWB_ACPI_DUMP` to a folder to look at the tables with a disassembler.
    #[test]
    fn dsdt_names_soft_off_the_root_bridge_and_the_links() {
        let found = Found::installed(&input());
        let dsdt = found.dsdt();
        for name in [&b"\\_S5_"[..], b"PCI0", b"LNKA", b"LNKD", b"CPU7"] {
            assert!(dsdt.windows(name.len()).any(|w| w == name));
        }
        std::env::var_os("VMWB_ACPI_DUMP")
            .into_iter()
            .for_each(|dir| {
                for t in found.listed().iter().chain([&dsdt]) {
                    let name = String::from_utf8_lossy(&t[..4]).into_owned();
                    std::fs::write(std::path::Path::new(&dir).join(name), t).unwrap();
                }
            });
    }
}
