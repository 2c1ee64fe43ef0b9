//! Guest-physical addresses.

use std::fmt;

/// Bytes of one page of guest memory.
pub const PAGE_BYTES: u64 = 4096;

/// A guest-physical address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GuestAddress(pub u64);

impl GuestAddress {
    /// Number of the page that holds this address.
    #[must_use]
    pub fn page(self) -> u64 {
        self.0 / PAGE_BYTES
    }

    /// Offset inside that page, 0 to 4095.
    #[must_use]
    pub fn page_offset(self) -> u64 {
        self.0 % PAGE_BYTES
    }

    /// The address `bytes` further on; `None` past the end of the address space.
    #[must_use]
    pub fn checked_add(self, bytes: u64) -> Option<Self> {
        self.0.checked_add(bytes).map(Self)
    }
}

impl fmt::Display for GuestAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
