//! Descriptors in words (SDM volume 3, sections 3.4.5, 3.5 and 6.11).

use serde::Serialize;

/// One descriptor of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DescriptorView {
    /// Index in its table: the vector, in the IDT.
    pub index: u32,
    /// Bits 63:0 as they stand in memory.
    pub low: u64,
    /// Bits 127:64 of a descriptor of 16 bytes.
    pub high: Option<u64>,
    /// What it is.
    pub kind: &'static str,
    /// Base of a segment, or offset of a gate.
    pub base: u64,
    /// Limit of a segment in bytes.
    pub limit: u32,
    /// Selector of a gate.
    pub selector: u16,
    /// Descriptor privilege level.
    pub dpl: u8,
    /// Present.
    pub present: bool,
}

const SYSTEM: [&str; 16] = [
    "reserved",
    "16-bit TSS",
    "LDT",
    "busy 16-bit TSS",
    "16-bit call gate",
    "task gate",
    "16-bit interrupt gate",
    "16-bit trap gate",
    "reserved",
    "TSS",
    "reserved",
    "busy TSS",
    "call gate",
    "reserved",
    "interrupt gate",
    "trap gate",
];

fn kind(low: u64) -> &'static str {
    let kind = low >> 40 & 0xF;
    if low >> 44 & 1 == 0 {
        return SYSTEM[usize::try_from(kind).unwrap_or(0)];
    }
    let (long, big) = (low >> 53 & 1 != 0, low >> 54 & 1 != 0);
    match (kind & 8 != 0, kind & 4 != 0, kind & 2 != 0) {
        (false, false, false) => "read-only data",
        (false, false, true) => "data",
        (false, true, false) => "read-only expand-down data",
        (false, true, true) => "expand-down data",
        (true, conforming, _) => match (long, big, conforming) {
            (true, _, false) => "64-bit code",
            (true, _, true) => "64-bit conforming code",
            (false, true, false) => "32-bit code",
            (false, true, true) => "32-bit conforming code",
            (false, false, false) => "16-bit code",
            (false, false, true) => "16-bit conforming code",
        },
    }
}

/// Whether a descriptor of the GDT or LDT takes 16 bytes in long mode.
#[must_use]
pub fn is_wide(low: u64) -> bool {
    low >> 44 & 1 == 0 && matches!(low >> 40 & 0xF, 2 | 9 | 11 | 12)
}

/// A descriptor in words.
#[must_use]
pub fn view(index: u32, low: u64, high: Option<u64>) -> DescriptorView {
    let gate = low >> 44 & 1 == 0 && matches!(low >> 40 & 0xF, 4..=7 | 12 | 14 | 15);
    let upper = high.unwrap_or(0) << 32;
    let small = |v: u64| u16::try_from(v & 0xFFFF).unwrap_or(0);
    let raw = u32::try_from(low & 0xFFFF | low >> 32 & 0xF_0000).unwrap_or(0);
    let granular = low >> 55 & 1 != 0;
    DescriptorView {
        index,
        low,
        high,
        kind: if low == 0 && high.unwrap_or(0) == 0 {
            "null"
        } else {
            kind(low)
        },
        base: if gate {
            low & 0xFFFF | low >> 32 & 0xFFFF_0000 | upper
        } else {
            low >> 16 & 0xFF_FFFF | low >> 32 & 0xFF00_0000 | upper
        },
        limit: match (gate, granular) {
            (true, _) => 0,
            (false, true) => raw << 12 | 0xFFF,
            (false, false) => raw,
        },
        selector: if gate { small(low >> 16) } else { 0 },
        dpl: u8::try_from(low >> 45 & 3).unwrap_or(0),
        present: low >> 47 & 1 != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_of_flat_code_and_data() {
        let code = view(2, 0x00AF_9B00_0000_FFFF, None);
        assert_eq!(
            (code.kind, code.limit, code.dpl),
            ("64-bit code", u32::MAX, 0)
        );
        let data = view(3, 0x00CF_F300_0000_FFFF, None);
        assert_eq!((data.kind, data.dpl, data.present), ("data", 3, true));
    }

    #[test]
    fn view_of_a_wide_gate_joins_its_offset() {
        let gate = view(14, 0x8180_8E03_0010_1234, Some(0xFFFF_FFFF));
        assert_eq!((gate.kind, gate.selector), ("interrupt gate", 0x10));
        assert_eq!(gate.base, 0xFFFF_FFFF_8180_1234);
    }

    #[test]
    fn view_of_nothing_is_null() {
        assert_eq!(view(0, 0, None).kind, "null");
    }
}
