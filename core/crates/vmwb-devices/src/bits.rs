//! Small conversions that every register model needs.

use vmwb_hw::AccessSize;

/// Bits 7-0.
pub(crate) fn low(value: u32) -> u8 {
    value.to_le_bytes()[0]
}

/// A byte register's answer to a read of `size`: wider reads are not decoded and give all ones.
pub(crate) fn byte_answer(size: AccessSize, value: u8) -> u32 {
    match size {
        AccessSize::Byte => u32::from(value),
        _ => not_decoded(size),
    }
}

/// What an access that nothing decodes reads.
pub(crate) fn not_decoded(size: AccessSize) -> u32 {
    u32::try_from(size.ones() & u64::from(u32::MAX)).expect("masked to 32 bits")
}
