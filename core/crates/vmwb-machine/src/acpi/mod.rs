//! ACPI tables of the board: RSDP, RSDT, XSDT, FADT, FACS, MADT, DSDT (ACPI specification, chapter 5).
//!
//! Built anew at every power-on from the board's own numbers, never read back. There is no HPET and no sleep state but
//! soft-off; the power button is the fixed-feature one.

mod aml;
mod dsdt;

use vmwb_mem::{GuestAddress, GuestMemory, MemError};

use crate::boot::MemoryMap;
pub use dsdt::PIRQ_GSI;

/// Address of the RSDP: first paragraph of the reserved BIOS area, where operating systems search for it.
pub const RSDP_ADDRESS: u64 = 0xF_0000;

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
    /// Sleep type of soft-off.
    pub slp_typ_s5: u8,
    /// Reset register's port.
    pub reset_port: u16,
    /// Value that resets.
    pub reset_value: u8,
}

/// What the tables depend on.
#[derive(Debug, Clone, Copy)]
pub struct AcpiInput<'a> {
    /// Memory map.
    pub map: &'a MemoryMap,
    /// Power management hardware.
    pub pm: PmHardware,
    /// Serial ports: I/O base and interrupt, 0 where there is none.
    pub serial_ports: [(u16, u8); 4],
    /// Whether a VGA adapter is there.
    pub vga: bool,
    /// Address of the local APIC.
    pub lapic: u32,
    /// Address of the IOAPIC, and its identifier.
    pub ioapic: (u32, u8),
}

/// Bytes and the address they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Guest-physical address.
    pub address: u64,
    /// Contents.
    pub bytes: Vec<u8>,
}

/// Writes all tables into memory.
///
/// # Errors
/// [`MemError`] when the map and the memory disagree.
pub fn install(memory: &GuestMemory, input: &AcpiInput<'_>) -> Result<(), MemError> {
    for table in build(input) {
        memory.write(GuestAddress(table.address), &table.bytes)?;
    }
    Ok(())
}

/// All tables with their addresses; the RSDP is the last.
#[must_use]
pub fn build(input: &AcpiInput<'_>) -> Vec<Placed> {
    let mut next = input.map.acpi_start();
    let mut tables = Vec::new();
    let mut place = |bytes: Vec<u8>| {
        let address = next;
        next = (next + bytes.len() as u64).next_multiple_of(16);
        tables.push(Placed { address, bytes });
        address
    };
    let dsdt = place(table(
        b"DSDT",
        2,
        &dsdt::build(&dsdt::DsdtInput {
            serial_ports: input.serial_ports,
            pci_memory_start: low32(input.map.low_end().max(0x1000_0000)),
            slp_typ_s5: input.pm.slp_typ_s5,
            pm_base: input.pm.base,
        }),
    ));
    let facs_address = input.map.acpi_nvs_start();
    let fadt = place(fadt(input, facs_address, dsdt));
    let madt = place(madt(input));
    let rsdt_body: Vec<u8> = [fadt, madt]
        .iter()
        .flat_map(|&a| low32(a).to_le_bytes())
        .collect();
    let xsdt_body: Vec<u8> = [fadt, madt].iter().flat_map(|a| a.to_le_bytes()).collect();
    let rsdt = place(table(b"RSDT", 1, &rsdt_body));
    let xsdt = place(table(b"XSDT", 1, &xsdt_body));
    assert!(next <= facs_address, "the tables fit into their region");
    tables.push(Placed {
        address: facs_address,
        bytes: facs(),
    });
    tables.push(Placed {
        address: RSDP_ADDRESS,
        bytes: rsdp(rsdt, xsdt),
    });
    tables
}

fn low32(address: u64) -> u32 {
    u32::try_from(address).expect("ACPI tables lie below 4 GiB")
}

/// The byte that makes the sum of all bytes 0.
fn checksum(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0u8, |sum, &b| sum.wrapping_add(b))
        .wrapping_neg()
}

fn table(signature: &[u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(HEADER_BYTES + body.len()).expect("a table is small");
    let mut t = Vec::with_capacity(HEADER_BYTES + body.len());
    t.extend_from_slice(signature);
    t.extend_from_slice(&len.to_le_bytes());
    t.extend([revision, 0]);
    t.extend_from_slice(OEM_ID);
    t.extend_from_slice(OEM_TABLE_ID);
    t.extend_from_slice(&1u32.to_le_bytes());
    t.extend_from_slice(CREATOR_ID);
    t.extend_from_slice(&1u32.to_le_bytes());
    t.extend_from_slice(body);
    t[9] = checksum(&t);
    t
}

fn rsdp(rsdt: u64, xsdt: u64) -> Vec<u8> {
    let mut r = Vec::with_capacity(36);
    r.extend_from_slice(b"RSD PTR ");
    r.push(0);
    r.extend_from_slice(OEM_ID);
    r.push(2);
    r.extend_from_slice(&low32(rsdt).to_le_bytes());
    r.extend_from_slice(&36u32.to_le_bytes());
    r.extend_from_slice(&xsdt.to_le_bytes());
    r.extend([0; 4]);
    r[8] = checksum(&r[..20]);
    r[32] = checksum(&r);
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

fn fadt(input: &AcpiInput<'_>, facs: u64, dsdt: u64) -> Vec<u8> {
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
    put(36, &low32(facs).to_le_bytes());
    put(40, &low32(dsdt).to_le_bytes());
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
    put(140, &dsdt.to_le_bytes());
    put(148, &io_register(pm.event, 32));
    put(172, &io_register(pm.control, 16));
    put(208, &io_register(pm.timer, 32));
    put(220, &io_register(pm.gpe0, pm.gpe0_bytes.saturating_mul(8)));
    table(b"FACP", 3, &t[HEADER_BYTES..])
}

fn madt(input: &AcpiInput<'_>) -> Vec<u8> {
    const PCAT_COMPAT: u32 = 1;
    /// Polarity active high, trigger level.
    const HIGH_LEVEL: u16 = 0b1101;
    let mut b = Vec::new();
    b.extend_from_slice(&input.lapic.to_le_bytes());
    b.extend_from_slice(&PCAT_COMPAT.to_le_bytes());
    // Local APIC: processor 0, identifier 0, enabled.
    b.extend([0, 8, 0, 0, 1, 0, 0, 0]);
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
    table(b"APIC", 1, &b)
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
            slp_typ_s5: 5,
            reset_port: 0xCF9,
            reset_value: 6,
        }
    }

    fn tables() -> Vec<Placed> {
        let memory = GuestMemory::new(64 << 20).unwrap();
        let map = MemoryMap::of(&memory);
        build(&AcpiInput {
            map: &map,
            pm: pm(),
            serial_ports: [(0x3F8, 4), (0x2F8, 3), (0, 0), (0, 0)],
            vga: true,
            lapic: 0xFEE0_0000,
            ioapic: (0xFEC0_0000, 0),
        })
    }

    #[test]
    fn every_table_sums_to_zero_and_has_its_length() {
        let with_header: Vec<_> = tables()
            .into_iter()
            .filter(|t| &t.bytes[..4] != b"FACS" && &t.bytes[..4] != b"RSD ")
            .collect();
        assert_eq!(with_header.len(), 5);
        for t in with_header {
            assert_eq!(checksum(&t.bytes), 0);
            assert_eq!(
                u32::from_le_bytes(t.bytes[4..8].try_into().unwrap()) as usize,
                t.bytes.len()
            );
        }
    }

    #[test]
    fn rsdp_both_checksums_are_right_and_it_is_paragraph_aligned() {
        let rsdp = tables().pop().unwrap();
        assert_eq!(rsdp.address % 16, 0);
        assert_eq!((checksum(&rsdp.bytes[..20]), checksum(&rsdp.bytes)), (0, 0));
    }

    #[test]
    fn tables_do_not_overlap() {
        let mut all = tables();
        all.sort_by_key(|t| t.address);
        assert!(
            all.windows(2)
                .all(|w| w[0].address + w[0].bytes.len() as u64 <= w[1].address)
        );
    }

    #[test]
    fn xsdt_points_to_fadt_and_madt() {
        let all = tables();
        let xsdt = all.iter().find(|t| &t.bytes[..4] == b"XSDT").unwrap();
        let signatures: Vec<_> = xsdt.bytes[36..]
            .chunks(8)
            .map(|c| u64::from_le_bytes(c.try_into().unwrap()))
            .map(|a| all.iter().find(|t| t.address == a).unwrap().bytes[..4].to_vec())
            .collect();
        assert_eq!(signatures, [b"FACP".to_vec(), b"APIC".to_vec()]);
    }

    /// Set `VMWB_ACPI_DUMP` to a folder to look at the tables with a disassembler.
    #[test]
    fn dsdt_names_soft_off_and_the_root_bridge() {
        let all = tables();
        let dsdt = &all[0].bytes;
        assert!(dsdt.windows(5).any(|w| w == b"\\_S5_") && dsdt.windows(4).any(|w| w == b"PCI0"));
        std::env::var_os("VMWB_ACPI_DUMP")
            .into_iter()
            .for_each(|dir| {
                for t in &all {
                    let name = String::from_utf8_lossy(&t.bytes[..4]).trim().to_owned();
                    std::fs::write(std::path::Path::new(&dir).join(name), &t.bytes).unwrap();
                }
            });
    }
}
