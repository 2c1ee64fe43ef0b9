//! Tables of the MultiProcessor Specification 1.4: what systems without ACPI look for to find the processors.
//!
//! A PC BIOS may write tables of its own, but SeaBIOS lists one processor a package (its src/fw/mptable.c), which hides the
//! cores from such systems. These list every processor and are found first: its linker's memory lies below the BIOS's own.

use super::{AcpiInput, Linked, PIRQ_GSI, SCI_IRQ, Zone, sum};

/// File of the floating pointer and of the configuration table behind it.
pub const MP_FILE: &str = "etc/mp-tables";
/// Address in a direct boot: in the reserved BIOS area, behind the SMBIOS tables.
pub const MP_ADDRESS: u64 = 0xF_8000;

const POINTER_BYTES: usize = 16;
/// Version 1.4 of the specification.
const SPEC_REVISION: u8 = 4;
const LAPIC_VERSION: u8 = 0x14;
const IOAPIC_VERSION: u8 = 0x20;

// Entry types (section 4.3).
const PROCESSOR: u8 = 0;
const BUS: u8 = 1;
const IO_APIC: u8 = 2;
const IO_INTERRUPT: u8 = 3;
const LOCAL_INTERRUPT: u8 = 4;

const PCI_BUS: u8 = 0;
const ISA_BUS: u8 = 1;

const ENABLED: u8 = 1;
const BOOTSTRAP: u8 = 2;

// Interrupt types (table 4-11).
const VECTORED: u8 = 0;
const NMI: u8 = 1;
const EXTINT: u8 = 3;
/// Interrupt flags: polarity and trigger mode as the bus has them.
const OF_THE_BUS: u8 = 0;
/// Interrupt flags: active high, level triggered.
const HIGH_LEVEL: u8 = 0b1101;
const EVERY_LAPIC: u8 = 0xFF;

/// Pin of the I/O APIC that the timer's interrupt is wired to.
const TIMER_PIN: u8 = 2;
/// Slots of PCI devices that may use an interrupt pin; each has one function.
const PCI_SLOTS: std::ops::Range<u8> = 2..16;

/// Adds the tables to the others.
pub fn add(all: &mut Linked, input: &AcpiInput) {
    all.add(MP_FILE, Zone::FSegment, 16);
    all.append(MP_FILE, 16, &pointer());
    let table = all.append(MP_FILE, 16, &configuration(input));
    all.point(MP_FILE, (4, 4), MP_FILE, table);
    all.checksum(MP_FILE, 10, 0, POINTER_BYTES);
}

/// The floating pointer without address and checksum. Feature byte 2 is 0: virtual wire mode, no IMCR.
fn pointer() -> [u8; POINTER_BYTES] {
    let mut p = [0; POINTER_BYTES];
    p[..4].copy_from_slice(b"_MP_");
    p[8] = 1;
    p[9] = SPEC_REVISION;
    p
}

/// The configuration table.
fn configuration(input: &AcpiInput) -> Vec<u8> {
    let entries = entries(input);
    let count = u16::try_from(entries.len()).expect("a few dozen entries");
    let mut t = b"PCMP\0\0\x04\0VMWB    VMWBPC      ".to_vec();
    t.extend([0; 6]);
    t.extend(count.to_le_bytes());
    t.extend(input.lapic.to_le_bytes());
    t.extend([0; 4]);
    t.extend(entries.concat());
    let len = u16::try_from(t.len()).expect("the table is small");
    t[4..6].copy_from_slice(&len.to_le_bytes());
    t[7] = 0u8.wrapping_sub(sum(&t));
    t
}

/// The entries, in the order of their types.
fn entries(input: &AcpiInput) -> Vec<Vec<u8>> {
    let (address, ioapic) = input.ioapic;
    let (signature, features) = input.cpu;
    let mut all = Vec::new();
    for id in 0..input.cpus {
        let flags = if id == 0 {
            ENABLED | BOOTSTRAP
        } else {
            ENABLED
        };
        let mut entry = vec![PROCESSOR, id, LAPIC_VERSION, flags];
        entry.extend(signature.to_le_bytes());
        entry.extend(features.to_le_bytes());
        entry.extend([0; 8]);
        all.push(entry);
    }
    for (id, name) in [(PCI_BUS, b"PCI   "), (ISA_BUS, b"ISA   ")] {
        all.push([&[BUS, id][..], name].concat());
    }
    let unit = [IO_APIC, ioapic, IOAPIC_VERSION, ENABLED];
    all.push([unit, address.to_le_bytes()].concat());
    let mut wire = |flags, bus, source, pin| {
        all.push(vec![
            IO_INTERRUPT,
            VECTORED,
            flags,
            0,
            bus,
            source,
            ioapic,
            pin,
        ]);
    };
    // Slot in bits 6:2, pin INTA; pins rotate over the PIRQs by slot.
    for slot in PCI_SLOTS {
        let pirq = usize::from(slot + 3) % PIRQ_GSI.len();
        wire(OF_THE_BUS, PCI_BUS, slot << 2, PIRQ_GSI[pirq]);
    }
    wire(OF_THE_BUS, ISA_BUS, 0, TIMER_PIN);
    wire(HIGH_LEVEL, ISA_BUS, SCI_IRQ, SCI_IRQ);
    // The cascade's pin is the timer's, and the PIRQs' interrupts are PCI's.
    for irq in (0..16).filter(|irq| ![0, 2, SCI_IRQ].contains(irq) && !PIRQ_GSI.contains(irq)) {
        wire(OF_THE_BUS, ISA_BUS, irq, irq);
    }
    for (kind, lapic, pin) in [(EXTINT, 0, 0), (NMI, EVERY_LAPIC, 1)] {
        all.push(vec![
            LOCAL_INTERRUPT,
            kind,
            OF_THE_BUS,
            0,
            ISA_BUS,
            0,
            lapic,
            pin,
        ]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::tests::input;
    use super::super::{AcpiInput, build};
    use super::*;

    /// The blob of a machine, linked as if it lay at F_6000h.
    fn linked(input: &AcpiInput) -> Vec<u8> {
        let placed = build(input).place(|blob| match blob.name {
            MP_FILE => 0xF_6000,
            _ => 0x3FF_0000,
        });
        placed
            .into_iter()
            .find(|p| p.address == 0xF_6000)
            .unwrap()
            .bytes
    }

    /// The entries of the configuration table, by its own lengths.
    fn walked(blob: &[u8]) -> Vec<&[u8]> {
        let mut rest = &blob[16 + 44..];
        let mut all = Vec::new();
        while !rest.is_empty() {
            let (entry, behind) = rest.split_at(if rest[0] == PROCESSOR { 20 } else { 8 });
            all.push(entry);
            rest = behind;
        }
        all
    }

    #[test]
    fn floating_pointer_leads_to_the_configuration_table_and_both_sum_to_zero() {
        let blob = linked(&input());
        assert_eq!(
            (&blob[..4], &blob[4..8]),
            (&b"_MP_"[..], &0xF_6010u32.to_le_bytes()[..])
        );
        assert_eq!((sum(&blob[..16]), sum(&blob[16..])), (0, 0));
        assert_eq!(&blob[16..20], b"PCMP");
        assert_eq!(
            usize::from(u16::from_le_bytes([blob[20], blob[21]])),
            blob.len() - 16
        );
        assert_eq!(&blob[16 + 36..16 + 40], 0xFEE0_0000u32.to_le_bytes());
        let count = u16::from_le_bytes([blob[16 + 34], blob[16 + 35]]);
        assert_eq!(walked(&blob).len(), usize::from(count));
    }

    #[test]
    fn every_processor_is_listed_and_the_first_one_starts_the_others() {
        let blob = linked(&input());
        let processors: Vec<(u8, u8)> = walked(&blob)
            .into_iter()
            .filter(|entry| entry[0] == PROCESSOR)
            .map(|entry| (entry[1], entry[3]))
            .collect();
        let others = (1..8).map(|id| (id, 1));
        assert_eq!(
            processors,
            std::iter::once((0, 3)).chain(others).collect::<Vec<_>>()
        );
    }

    #[test]
    fn each_isa_interrupt_but_the_cascade_and_pcis_has_its_pin() {
        let blob = linked(&input());
        let pins: Vec<(u8, u8)> = walked(&blob)
            .into_iter()
            .filter(|entry| entry[0] == IO_INTERRUPT && entry[4] == ISA_BUS)
            .map(|entry| (entry[5], entry[7]))
            .collect();
        let same = [9, 1, 3, 4, 5, 6, 7, 8, 12, 13, 14, 15].map(|irq| (irq, irq));
        assert_eq!(pins, [&[(0, 2)][..], &same].concat());
    }

    #[test]
    fn pci_interrupts_rotate_as_the_dsdt_says() {
        let blob = linked(&input());
        let first: Vec<(u8, u8)> = walked(&blob)
            .into_iter()
            .filter(|entry| entry[0] == IO_INTERRUPT && entry[4] == PCI_BUS)
            .map(|entry| (entry[5] >> 2, entry[7]))
            .take(3)
            .collect();
        assert_eq!(first, [(2, 11), (3, 10), (4, 11)]);
    }

    #[test]
    fn tables_of_eight_processors_stay_small_enough_for_the_bios_segment() {
        assert!(linked(&input()).len() <= 600);
    }
}
