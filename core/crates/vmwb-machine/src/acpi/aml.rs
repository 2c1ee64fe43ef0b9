//! A small builder of ACPI machine language: just the terms that the board's DSDT uses.
//!
//! Encodings are those of the ACPI specification, chapter 20 ("ACPI Machine Language"), and section 6.4 ("Resource Data
//! Types for ACPI"). The crate `acpi_tables` was looked at and left out: it has no short interrupt descriptors, and
//! its word-wide ranges cannot span all 65,536 ports.

const ZERO_OP: u8 = 0x00;
const ONE_OP: u8 = 0x01;
const NAME_OP: u8 = 0x08;
const BYTE_PREFIX: u8 = 0x0A;
const WORD_PREFIX: u8 = 0x0B;
const DWORD_PREFIX: u8 = 0x0C;
const STRING_PREFIX: u8 = 0x0D;
const SCOPE_OP: u8 = 0x10;
const BUFFER_OP: u8 = 0x11;
const PACKAGE_OP: u8 = 0x12;
const METHOD_OP: u8 = 0x14;
const DUAL_NAME_PREFIX: u8 = 0x2E;
const MULTI_NAME_PREFIX: u8 = 0x2F;
const EXT_OP_PREFIX: u8 = 0x5B;
const REGION_OP: u8 = 0x80;
const FIELD_OP: u8 = 0x81;
const DEVICE_OP: u8 = 0x82;
const PROCESSOR_OP: u8 = 0x83;
const ROOT_CHAR: u8 = b'\\';
const ARG0_OP: u8 = 0x68;
const STORE_OP: u8 = 0x70;
const AND_OP: u8 = 0x7B;
const OR_OP: u8 = 0x7D;
const CREATE_DWORD_FIELD_OP: u8 = 0x8A;
const IF_OP: u8 = 0xA0;
const RETURN_OP: u8 = 0xA4;

const IRQ_DESCRIPTOR: u8 = 0x22;
const DMA_DESCRIPTOR: u8 = 0x2A;
const IO_DESCRIPTOR: u8 = 0x47;
const END_TAG: u8 = 0x79;
const DWORD_ADDRESS_SPACE: u8 = 0x87;
const WORD_ADDRESS_SPACE: u8 = 0x88;
const FIXED_MEMORY_32: u8 = 0x86;
const EXTENDED_INTERRUPT: u8 = 0x89;
const QWORD_ADDRESS_SPACE: u8 = 0x8A;
/// Flags of an extended interrupt: consumer, level triggered, active low, shared: a PCI interrupt.
const INTERRUPT_PCI: u8 = 0b1101;
/// Method flags: runs once at a time.
const SERIALIZED: u8 = 1 << 3;
/// Address space of an operation region: PCI configuration.
const REGION_PCI_CONFIG: u8 = 2;
/// General flags of an address space descriptor: minimum and maximum are fixed.
const MIN_MAX_FIXED: u8 = 0x0C;

/// Encoded AML.
pub type Aml = Vec<u8>;

/// A name, or a path of names with `.` between them: each of 1 to 4 characters, padded with `_`. A leading `\\` starts at
/// the root.
pub fn path(text: &str) -> Aml {
    let mut out = Aml::new();
    let rest = text.strip_prefix('\\').map_or(text, |rest| {
        out.push(ROOT_CHAR);
        rest
    });
    let segments: Vec<&str> = rest.split('.').collect();
    match segments.len() {
        1 => {}
        2 => out.push(DUAL_NAME_PREFIX),
        n => out.extend([MULTI_NAME_PREFIX, u8::try_from(n).expect("a path is short")]),
    }
    for segment in segments {
        assert!(
            (1..=4).contains(&segment.len()),
            "an AML name segment has 1 to 4 characters"
        );
        out.extend_from_slice(segment.as_bytes());
        out.resize(out.len() + 4 - segment.len(), b'_');
    }
    out
}

/// Length prefix of a package whose contents have `body` bytes; the prefix counts itself.
fn package_length(body: usize) -> Aml {
    let bytes = |v: usize| u32::try_from(v).expect("a DSDT is small").to_le_bytes();
    if body + 1 < 1 << 6 {
        return vec![bytes(body + 1)[0]];
    }
    let extra = if body + 2 < 1 << 12 { 1u8 } else { 2 };
    let total = body + 1 + usize::from(extra);
    assert!(total < 1 << 20, "a DSDT is small");
    let mut out = vec![extra << 6 | (bytes(total)[0] & 0x0F)];
    out.extend_from_slice(&bytes(total >> 4)[..usize::from(extra)]);
    out
}

fn package_term(opcode: &[u8], body: &[u8]) -> Aml {
    let mut out = opcode.to_vec();
    out.extend(package_length(body.len()));
    out.extend_from_slice(body);
    out
}

/// An integer in its shortest encoding.
pub fn integer(value: u32) -> Aml {
    let b = value.to_le_bytes();
    match value {
        0 => vec![ZERO_OP],
        1 => vec![ONE_OP],
        2..=0xFF => vec![BYTE_PREFIX, b[0]],
        0x100..=0xFFFF => vec![WORD_PREFIX, b[0], b[1]],
        _ => vec![DWORD_PREFIX, b[0], b[1], b[2], b[3]],
    }
}

/// A string.
pub fn string(text: &str) -> Aml {
    let mut out = vec![STRING_PREFIX];
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    out
}

/// A plug-and-play identifier such as `PNP0A03`, compressed to 32 bits.
pub fn eisa_id(id: &str) -> Aml {
    let b = id.as_bytes();
    assert!(
        b.len() == 7,
        "an EISA identifier has 3 letters and 4 digits"
    );
    let letter = |c: u8| u32::from(c - b'@') & 0x1F;
    let number = u32::from_str_radix(&id[3..], 16).expect("the last 4 characters are hexadecimal");
    let value = letter(b[0]) << 26 | letter(b[1]) << 21 | letter(b[2]) << 16 | number;
    let mut out = vec![DWORD_PREFIX];
    out.extend_from_slice(&value.to_be_bytes());
    out
}

/// `Name (name, value)`.
pub fn name(name: &str, value: &[u8]) -> Aml {
    let mut out = vec![NAME_OP];
    out.extend(path(name));
    out.extend_from_slice(value);
    out
}

/// `Package () { elements }`.
pub fn package(elements: &[Aml]) -> Aml {
    let mut body = vec![u8::try_from(elements.len()).expect("a package has at most 255 elements")];
    body.extend(elements.concat());
    package_term(&[PACKAGE_OP], &body)
}

/// `Scope (name) { terms }`.
pub fn scope(name: &str, terms: &[Aml]) -> Aml {
    let mut body = path(name);
    body.extend(terms.concat());
    package_term(&[SCOPE_OP], &body)
}

/// `Device (name) { terms }`.
pub fn device(name: &str, terms: &[Aml]) -> Aml {
    let mut body = path(name);
    body.extend(terms.concat());
    package_term(&[EXT_OP_PREFIX, DEVICE_OP], &body)
}

/// `Processor (name, id, 0, 0) {}`: the form that systems of every age know.
pub fn processor(name: &str, id: u8) -> Aml {
    let mut body = path(name);
    body.push(id);
    body.extend([0; 5]);
    package_term(&[EXT_OP_PREFIX, PROCESSOR_OP], &body)
}

/// `Method (name, arguments, Serialized) { terms }`.
pub fn method(name: &str, arguments: u8, terms: &[Aml]) -> Aml {
    let mut body = path(name);
    body.push(arguments | SERIALIZED);
    body.extend(terms.concat());
    package_term(&[METHOD_OP], &body)
}

/// `OperationRegion (name, PCI_Config, offset, len)` and `Field (name, ByteAcc, NoLock, Preserve) { fields, 8 each }`.
pub fn pci_config_bytes(name: &str, offset: u8, fields: &[&str]) -> Aml {
    let count = u32::try_from(fields.len()).expect("a region is small");
    let mut out = vec![EXT_OP_PREFIX, REGION_OP];
    out.extend(path(name));
    out.push(REGION_PCI_CONFIG);
    out.extend(integer(u32::from(offset)));
    out.extend(integer(count));
    let mut body = path(name);
    body.push(1);
    for field in fields {
        body.extend(path(field));
        body.push(8);
    }
    out.extend(package_term(&[EXT_OP_PREFIX, FIELD_OP], &body));
    out
}

/// `CreateDWordField (buffer, at, name)`.
pub fn dword_field(buffer: &[u8], at: u32, name: &str) -> Aml {
    [
        &[CREATE_DWORD_FIELD_OP],
        buffer,
        &integer(at),
        &path(name)[..],
    ]
    .concat()
}

/// The first argument of a method.
pub fn arg0() -> Aml {
    vec![ARG0_OP]
}

/// `Store (value, target)`.
pub fn store(value: &[u8], target: &[u8]) -> Aml {
    [&[STORE_OP], value, target].concat()
}

/// `And (a, b)`.
pub fn and(a: &[u8], b: &[u8]) -> Aml {
    [&[AND_OP], a, b, &[ZERO_OP]].concat()
}

/// `Or (a, b, target)`.
pub fn or(a: &[u8], b: &[u8], target: &[u8]) -> Aml {
    [&[OR_OP], a, b, target].concat()
}

/// `If (predicate) { terms }`.
pub fn when(predicate: &[u8], terms: &[Aml]) -> Aml {
    let mut body = predicate.to_vec();
    body.extend(terms.concat());
    package_term(&[IF_OP], &body)
}

/// `Return (value)`.
pub fn give(value: &[u8]) -> Aml {
    [&[RETURN_OP], value].concat()
}

/// `Buffer () { data }`.
pub fn buffer(data: &[u8]) -> Aml {
    let mut body = integer(u32::try_from(data.len()).expect("a buffer is small"));
    body.extend_from_slice(data);
    package_term(&[BUFFER_OP], &body)
}

/// `ResourceTemplate () { descriptors }`: a buffer that ends with an end tag.
pub fn resource_template(descriptors: &[Aml]) -> Aml {
    let mut data = descriptors.concat();
    data.extend([END_TAG, 0]);
    buffer(&data)
}

/// `IO (Decode16, first, first, 1, len)`.
pub fn io(first: u16, len: u8) -> Aml {
    let mut out = vec![IO_DESCRIPTOR, 1];
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&first.to_le_bytes());
    out.extend([1, len]);
    out
}

/// `IRQNoFlags () {irq}`: edge triggered, active high.
pub fn irq(irq: u8) -> Aml {
    let mut out = vec![IRQ_DESCRIPTOR];
    out.extend_from_slice(&(1u16 << irq).to_le_bytes());
    out
}

/// `DMA (Compatibility, NotBusMaster, Transfer8) {channel}`; the cascade is a bus master.
pub fn dma(channel: u8, master: bool) -> Aml {
    vec![DMA_DESCRIPTOR, 1 << channel, u8::from(master) << 2]
}

/// `Interrupt (ResourceConsumer, Level, ActiveLow, Shared) { lines }`.
pub fn pci_interrupts(lines: &[u8]) -> Aml {
    let count = u8::try_from(lines.len()).expect("there are few lines");
    let len = u16::from(count) * 4 + 2;
    let mut out = vec![EXTENDED_INTERRUPT];
    out.extend_from_slice(&len.to_le_bytes());
    out.extend([INTERRUPT_PCI, count]);
    for &line in lines {
        out.extend_from_slice(&u32::from(line).to_le_bytes());
    }
    out
}

/// `Memory32Fixed (ReadOnly, first, len)`.
pub fn fixed_memory(first: u32, len: u32) -> Aml {
    let mut out = vec![FIXED_MEMORY_32, 9, 0, 0];
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    out
}

/// What an address space descriptor describes.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub enum Space {
    /// Memory.
    Memory = 0,
    /// I/O ports.
    Io = 1,
    /// PCI bus numbers.
    Bus = 2,
}

/// Type-specific flags: memory is read-write and not cacheable, ports cover ISA and others.
fn space_flags(space: Space) -> u8 {
    match space {
        Space::Memory => 1,
        Space::Io => 3,
        Space::Bus => 0,
    }
}

/// A word-wide window that the bridge passes on, `first` to `last`.
pub fn word_window(space: Space, first: u16, last: u16) -> Aml {
    let len = u32::from(last) - u32::from(first) + 1;
    // A window over all 65,536 values has no length in 16 bits; 0 with fixed ends says the same.
    let len = u16::try_from(len).unwrap_or(0);
    let mut out = vec![
        WORD_ADDRESS_SPACE,
        13,
        0,
        space as u8,
        MIN_MAX_FIXED,
        space_flags(space),
    ];
    for v in [0, first, last, 0, len] {
        out.extend_from_slice(&v.to_le_bytes());
    }
    out
}

/// A doubleword-wide memory window, `first` to `last`.
pub fn memory_window(first: u32, last: u32) -> Aml {
    let space = Space::Memory;
    let mut out = vec![
        DWORD_ADDRESS_SPACE,
        23,
        0,
        space as u8,
        MIN_MAX_FIXED,
        space_flags(space),
    ];
    for v in [0, first, last, 0, last - first + 1] {
        out.extend_from_slice(&v.to_le_bytes());
    }
    out
}

/// A quadword-wide memory window, `first` to `last`.
pub fn high_memory_window(first: u64, last: u64) -> Aml {
    let space = Space::Memory;
    let mut out = vec![
        QWORD_ADDRESS_SPACE,
        43,
        0,
        space as u8,
        MIN_MAX_FIXED,
        space_flags(space),
    ];
    for v in [0, first, last, 0, last - first + 1] {
        out.extend_from_slice(&v.to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_length_switches_encoding_at_63_and_4095_bytes() {
        assert_eq!(package_length(62), [63]);
        assert_eq!(package_length(63), [0x41, 0x04]);
        assert_eq!(package_length(4093), [0x4F, 0xFF]);
        assert_eq!(package_length(4094), [0x81, 0x00, 0x01]);
    }

    #[test]
    fn eisa_id_of_the_pci_bridge_is_the_published_value() {
        assert_eq!(eisa_id("PNP0A03"), [DWORD_PREFIX, 0x41, 0xD0, 0x0A, 0x03]);
    }

    #[test]
    fn path_of_several_names_has_a_prefix_and_a_count() {
        assert_eq!(path("A.B"), *b"\x2EA___B___");
        assert_eq!(path("\\_SB.PCI0.ISA"), *b"\\\x2F\x03_SB_PCI0ISA_");
    }

    #[test]
    fn name_shorter_than_four_characters_is_padded() {
        assert_eq!(name("\\_S5", &[0]), *b"\x08\\_S5_\0");
    }
}
