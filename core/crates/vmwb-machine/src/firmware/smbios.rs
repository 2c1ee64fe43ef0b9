//! SMBIOS tables: what the machine is, for people and for software that asks its maker. Source: DMTF DSP0134 (System
//! Management BIOS), version 2.8; the entry point is the 32-bit one.

use vmwb_mem::{GuestAddress, GuestMemory, MemError};

use crate::acpi::sum;

/// Address of the entry point in a direct boot, in the area that is searched; the tables follow.
pub const ANCHOR_ADDRESS: u64 = 0xF_0040;
const TABLES_ADDRESS: u32 = 0xF_0080;
/// End of the area.
const AREA_END: u64 = 0x10_0000;

const VENDOR: &str = "VM Workbench";
const PRODUCT: &str = "VM Workbench PC";
/// Systems take a BIOS without a recent year for one with old faults.
const BIOS_DATE: &str = "01/01/2026";
const ANCHOR_BYTES: usize = 31;

/// "No structure", "none provided".
const NO_HANDLE: u16 = 0xFFFF;
const NO_ERROR_INFORMATION: u16 = 0xFFFE;
const HANDLE_MEMORY: u16 = 0x1000;
const MIB: u64 = 1 << 20;

/// BIOS characteristics: PCI, Plug and Play, boots from CD, choice of what to boot, enhanced disk drive calls.
const CHARACTERISTICS: u64 = 1 << 7 | 1 << 9 | 1 << 15 | 1 << 16 | 1 << 19;
/// First extension byte: ACPI.
const EXTENSION_ACPI: u8 = 1;
/// Second extension byte: targeted content distribution, virtual machine.
const EXTENSION_VIRTUAL: u8 = 1 << 2 | 1 << 4;

/// What the tables say.
#[derive(Debug, Clone, Copy)]
pub struct SmbiosInput<'a> {
    /// Identity, in the order of its digits; zeros: none.
    pub uuid: [u8; 16],
    /// Processors: cores of one package.
    pub cpus: u8,
    /// Name of the processor's model, and its clock in Hz.
    pub cpu: (&'a str, u64),
    /// RAM below and from 4 GiB on, in bytes.
    pub ram: (u64, u64),
}

/// The structures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Smbios {
    /// All of them, one after the other.
    pub tables: Vec<u8>,
    count: u16,
    largest: usize,
}

fn word(value: usize) -> [u8; 2] {
    u16::try_from(value)
        .expect("the tables are small")
        .to_le_bytes()
}

impl Smbios {
    /// Adds a structure: its formatted part after the header, and its strings (numbered from 1).
    fn add(&mut self, kind: u8, handle: u16, formatted: &[u8], strings: &[&str]) {
        let start = self.tables.len();
        let len = u8::try_from(4 + formatted.len()).expect("a structure is short");
        self.tables.extend([kind, len]);
        self.tables.extend(handle.to_le_bytes());
        self.tables.extend_from_slice(formatted);
        for text in strings {
            self.tables.extend(text.bytes().filter(|&b| b != 0));
            self.tables.push(0);
        }
        if strings.is_empty() {
            self.tables.push(0);
        }
        self.tables.push(0);
        self.count += 1;
        self.largest = self.largest.max(self.tables.len() - start);
    }

    /// The entry point for tables at `address`.
    #[must_use]
    pub fn anchor(&self, address: u32) -> Vec<u8> {
        let mut a = vec![0; ANCHOR_BYTES];
        a[..4].copy_from_slice(b"_SM_");
        a[5..8].copy_from_slice(&[0x1F, 2, 8]);
        a[8..10].copy_from_slice(&word(self.largest));
        a[16..21].copy_from_slice(b"_DMI_");
        a[22..24].copy_from_slice(&word(self.tables.len()));
        a[24..28].copy_from_slice(&address.to_le_bytes());
        a[28..30].copy_from_slice(&self.count.to_le_bytes());
        a[30] = 0x28;
        a[21] = 0u8.wrapping_sub(sum(&a[16..]));
        a[4] = 0u8.wrapping_sub(sum(&a));
        a
    }
}

/// Writes entry point and tables where a direct boot's system searches them.
///
/// # Errors
/// [`MemError`] when there is no RAM.
pub fn install(memory: &GuestMemory, input: &SmbiosInput<'_>) -> Result<(), MemError> {
    let smbios = build(input);
    let end = u64::from(TABLES_ADDRESS) + smbios.tables.len() as u64;
    assert!(end <= AREA_END, "the tables are small");
    memory.write(GuestAddress(ANCHOR_ADDRESS), &smbios.anchor(TABLES_ADDRESS))?;
    memory.write(GuestAddress(u64::from(TABLES_ADDRESS)), &smbios.tables)
}

/// All structures.
#[must_use]
pub fn build(input: &SmbiosInput<'_>) -> Smbios {
    let mut all = Smbios::default();
    bios(&mut all);
    system(&mut all, &input.uuid);
    enclosure(&mut all);
    processor(&mut all, input);
    memory(&mut all, input.ram);
    all.add(32, 0x2000, &[0; 7], &[]);
    all.add(127, 0x7F00, &[], &[]);
    all
}

/// Type 0.
fn bios(all: &mut Smbios) {
    let mut f = vec![1, 2];
    f.extend(0xE800u16.to_le_bytes());
    f.extend([3, 3]); // date; 256 KiB
    f.extend(CHARACTERISTICS.to_le_bytes());
    f.extend([EXTENSION_ACPI, EXTENSION_VIRTUAL]);
    f.extend([0, 0, 0xFF, 0xFF]); // releases of BIOS and embedded controller
    let version = env!("CARGO_PKG_VERSION");
    all.add(0, 0, &f, &[VENDOR, version, BIOS_DATE]);
}

/// Type 1. The first three fields of the identity are little-endian numbers (section 7.2.1).
fn system(all: &mut Smbios, uuid: &[u8; 16]) {
    const ORDER: [usize; 8] = [3, 2, 1, 0, 5, 4, 7, 6];
    const POWER_SWITCH: u8 = 6;
    let mut f = vec![1, 2, 3, 4];
    f.extend(ORDER.map(|i| uuid[i]));
    f.extend(&uuid[8..]);
    f.extend([POWER_SWITCH, 0, 0]);
    let version = env!("CARGO_PKG_VERSION");
    let serial = serial_number(uuid);
    all.add(1, 0x100, &f, &[VENDOR, PRODUCT, version, &serial]);
}

fn serial_number(uuid: &[u8; 16]) -> String {
    if *uuid == [0; 16] {
        return "None".to_owned();
    }
    uuid.iter().map(|b| format!("{b:02x}")).collect()
}

/// Type 3.
fn enclosure(all: &mut Smbios) {
    const OTHER: u8 = 1;
    const SAFE: u8 = 3;
    const NO_SECURITY: u8 = 3;
    let mut f = vec![1, OTHER, 0, 0, 0, SAFE, SAFE, SAFE, NO_SECURITY];
    f.extend([0; 9]);
    all.add(3, 0x300, &f, &[VENDOR]);
}

/// Type 4.
fn processor(all: &mut Smbios, input: &SmbiosInput<'_>) {
    const CENTRAL: u8 = 3;
    const OTHER: u8 = 1;
    const POPULATED_AND_ENABLED: u8 = 0x41;
    const MULTI_CORE: u16 = 1 << 3;
    let (model, hz) = input.cpu;
    let mhz = u16::try_from(hz / 1_000_000).unwrap_or(u16::MAX);
    let mut f = vec![1, CENTRAL, OTHER, 2];
    f.extend([0; 8]); // CPUID tells what it is
    f.extend([3, 0, 0, 0]); // version; voltage, external clock: unknown
    f.extend(mhz.to_le_bytes());
    f.extend(mhz.to_le_bytes());
    f.extend([POPULATED_AND_ENABLED, OTHER]);
    f.extend([NO_HANDLE; 3].map(u16::to_le_bytes).as_flattened());
    f.extend([0, 0, 0, input.cpus, input.cpus, input.cpus]);
    let features = if input.cpus > 1 { MULTI_CORE } else { 0 };
    f.extend(features.to_le_bytes());
    f.extend(u16::from(OTHER).to_le_bytes());
    all.add(4, 0x400, &f, &["CPU 0", VENDOR, model]);
}

/// Types 16, 17 and 19.
fn memory(all: &mut Smbios, (below, above): (u64, u64)) {
    const BOARD: u8 = 3;
    const SYSTEM_MEMORY: u8 = 3;
    const NO_CORRECTION: u8 = 3;
    const DIMM: u8 = 9;
    const RAM: u8 = 7;
    const OTHER: u16 = 2;
    const EXTENDED_SIZE: u16 = 0x7FFF;
    let bytes = below + above;
    let kib = u32::try_from(bytes >> 10).unwrap_or(0x8000_0000);

    let mut f = vec![BOARD, SYSTEM_MEMORY, NO_CORRECTION];
    f.extend(kib.to_le_bytes());
    f.extend(NO_ERROR_INFORMATION.to_le_bytes());
    f.extend(1u16.to_le_bytes());
    f.extend([0; 8]);
    all.add(16, HANDLE_MEMORY, &f, &[]);

    let mib = bytes / MIB;
    let short = u16::try_from(mib).ok().filter(|&mib| mib < EXTENDED_SIZE);
    let mut f = HANDLE_MEMORY.to_le_bytes().to_vec();
    f.extend(NO_ERROR_INFORMATION.to_le_bytes());
    f.extend([64, 0, 64, 0]); // total and data width
    f.extend(short.unwrap_or(EXTENDED_SIZE).to_le_bytes());
    f.extend([DIMM, 0, 1, 0, RAM]);
    f.extend(OTHER.to_le_bytes());
    f.extend([0; 7]); // speed, maker, serial number, tag, part, attributes
    let long = if short.is_some() { 0 } else { mib };
    f.extend(u32::try_from(long).unwrap_or(u32::MAX).to_le_bytes());
    f.extend([0; 8]); // clock, voltages
    all.add(17, 0x1100, &f, &["DIMM 0"]);

    for (handle, (start, len)) in (0x1300u16..).zip([(0, below), (4 << 30, above)]) {
        if len > 0 {
            mapped(all, handle, start, len);
        }
    }
}

/// Type 19.
fn mapped(all: &mut Smbios, handle: u16, start: u64, len: u64) {
    let last = start + len - 1;
    let kib = |address: u64| u32::try_from(address >> 10).ok();
    let short = kib(start).zip(kib(last));
    let (first, end) = short.unwrap_or((u32::MAX, u32::MAX));
    let (long_first, long_last) = if short.is_some() {
        (0, 0)
    } else {
        (start, last)
    };
    let mut f = first.to_le_bytes().to_vec();
    f.extend(end.to_le_bytes());
    f.extend(HANDLE_MEMORY.to_le_bytes());
    f.push(1);
    f.extend(long_first.to_le_bytes());
    f.extend(long_last.to_le_bytes());
    all.add(19, handle, &f, &[]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> SmbiosInput<'static> {
        SmbiosInput {
            uuid: *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xAA\xBB\xCC\xDD\xEE\xFF",
            cpus: 4,
            cpu: ("max", 2_500_000_000),
            ram: (3 << 30, 61 << 30),
        }
    }

    /// Type, formatted part with its header, strings.
    type Structure = (u8, Vec<u8>, Vec<String>);

    fn parse(mut t: &[u8]) -> Vec<Structure> {
        let mut found = Vec::new();
        while let [kind, len, ..] = *t {
            let (formatted, rest) = t.split_at(usize::from(len));
            let end = rest.windows(2).position(|w| w == [0, 0]).unwrap();
            let strings = rest[..end]
                .split(|&b| b == 0)
                .filter(|s| !s.is_empty())
                .map(|s| String::from_utf8(s.to_vec()).unwrap())
                .collect();
            found.push((kind, formatted.to_vec(), strings));
            t = &rest[end + 2..];
        }
        found
    }

    fn only(kind: u8) -> Structure {
        let tables = build(&input()).tables;
        parse(&tables).into_iter().find(|s| s.0 == kind).unwrap()
    }

    #[test]
    fn structures_have_the_lengths_of_version_2_8() {
        let lengths: Vec<(u8, usize)> = parse(&build(&input()).tables)
            .iter()
            .map(|(kind, formatted, _)| (*kind, formatted.len()))
            .collect();
        let want = [
            (0, 0x18),
            (1, 0x1B),
            (3, 0x16),
            (4, 0x2A),
            (16, 0x17),
            (17, 0x28),
            (19, 0x1F),
            (19, 0x1F),
            (32, 0x0B),
            (127, 4),
        ];
        assert_eq!(lengths, want);
    }

    #[test]
    fn strings_are_numbered_as_they_stand() {
        let (_, system, strings) = only(1);
        assert_eq!(system[4..8], [1, 2, 3, 4]);
        assert_eq!(
            (strings[0].as_str(), strings[1].as_str()),
            (VENDOR, PRODUCT)
        );
        assert_eq!(only(4).2, ["CPU 0", VENDOR, "max"]);
        assert_eq!(only(17).2, ["DIMM 0"]);
    }

    #[test]
    fn identity_has_little_endian_fields() {
        let (_, system, _) = only(1);
        let want = b"\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xAA\xBB\xCC\xDD\xEE\xFF";
        assert_eq!(&system[8..24], want);
    }

    #[test]
    fn memory_of_64_gib_uses_the_extended_size() {
        let (_, device, _) = only(17);
        assert_eq!(device[0x0C..0x0E], [0xFF, 0x7F]);
        assert_eq!(device[0x1C..0x20], (64u32 << 10).to_le_bytes());
        let (_, mapped, _) = only(19);
        assert_eq!(mapped[4..12], [0, 0, 0, 0, 0xFF, 0xFF, 0x2F, 0]);
    }

    #[test]
    fn anchor_sums_and_points_to_the_tables() {
        let memory = GuestMemory::new(2 << 20).unwrap();
        install(&memory, &input()).unwrap();
        let mut anchor = [0; ANCHOR_BYTES];
        memory
            .read(GuestAddress(ANCHOR_ADDRESS), &mut anchor)
            .unwrap();
        assert_eq!((sum(&anchor), sum(&anchor[16..])), (0, 0));
        let at = u32::from_le_bytes(anchor[24..28].try_into().unwrap());
        let len = u16::from_le_bytes(anchor[22..24].try_into().unwrap());
        let mut tables = vec![0; usize::from(len)];
        memory
            .read(GuestAddress(u64::from(at)), &mut tables)
            .unwrap();
        let found = parse(&tables);
        let count = u16::from_le_bytes(anchor[28..30].try_into().unwrap());
        assert_eq!(found.len(), usize::from(count));
        assert_eq!(found.last().unwrap().0, 127);
        std::env::var_os("VMWB_SMBIOS_DUMP")
            .into_iter()
            .for_each(|path| {
                // The form that dmidecode reads: the entry point, the tables at 32.
                let mut dump = build(&input()).anchor(32);
                dump.push(0);
                dump.extend(&tables);
                std::fs::write(path, dump).unwrap();
            });
    }
}
