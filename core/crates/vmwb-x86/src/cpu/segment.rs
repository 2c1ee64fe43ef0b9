//! Segment and descriptor-table registers: what their hidden parts allow.

/// A segment register with its hidden part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Segment {
    /// Selector.
    pub selector: u16,
    /// Base address.
    pub base: u64,
    /// Limit in bytes, granularity applied.
    pub limit: u32,
    /// Descriptor bits 40-47 (type, S, DPL, P) in bits 0-7, and 52-55 (AVL, L, D/B, G) in bits 12-15.
    pub attr: u16,
}

impl Segment {
    /// Type field, 4 bits.
    #[must_use]
    pub fn kind(self) -> u8 {
        (self.attr & 0xF) as u8
    }
    /// S: code or data (not a system descriptor).
    #[must_use]
    pub fn is_user(self) -> bool {
        self.attr & 0x10 != 0
    }
    /// Descriptor privilege level.
    #[must_use]
    pub fn dpl(self) -> u8 {
        ((self.attr >> 5) & 3) as u8
    }
    /// P.
    #[must_use]
    pub fn present(self) -> bool {
        self.attr & 0x80 != 0
    }
    /// L: 64-bit code.
    #[must_use]
    pub fn long(self) -> bool {
        self.attr & 0x2000 != 0
    }
    /// D/B: 32-bit default.
    #[must_use]
    pub fn big(self) -> bool {
        self.attr & 0x4000 != 0
    }
    /// Whether the type allows a read or a write: segments that are null or not present allow nothing.
    #[must_use]
    pub fn allows(self, write: bool) -> bool {
        let code = self.kind() & 8 != 0;
        let bit1 = self.kind() & 2 != 0;
        self.present() && if write { !code && bit1 } else { !code || bit1 }
    }
    /// Whether `n` bytes from `offset` lie inside the limit. With `typed` the type may say expand-down (SDM volume 3,
    /// section 5.3).
    #[must_use]
    pub fn covers(self, offset: u64, n: u64, typed: bool) -> bool {
        let last = offset.wrapping_add(n - 1);
        let expand_down = typed && self.kind() & 0b1100 == 0b0100;
        if expand_down {
            let top = if self.big() {
                u64::from(u32::MAX)
            } else {
                0xFFFF
            };
            offset > u64::from(self.limit) && last <= top && last >= offset
        } else {
            // A segment of all 4 GiB has no end to cross.
            let whole = self.limit == u32::MAX && self.base == 0;
            whole || (last <= u64::from(self.limit) && last >= offset)
        }
    }
    /// The end of the offsets that need no check but this: the limit of writable data that grows upwards; with `real`
    /// every limit.
    #[must_use]
    pub fn plain_end(self, real: bool) -> u64 {
        let writable_data = self.present() && self.is_user() && self.kind() & 0b1110 == 0b0010;
        if real || writable_data {
            u64::from(self.limit) + 1
        } else {
            0
        }
    }
    /// Base 0, limit 4 GiB, present, writable and not expand-down data: accesses need no check.
    #[must_use]
    pub fn flat_data(self) -> bool {
        self.base == 0
            && self.limit == u32::MAX
            && self.present()
            && self.is_user()
            && self.kind() & 0b1110 == 0b0010
    }
}

/// GDTR or IDTR.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableRegister {
    /// Linear base.
    pub base: u64,
    /// Limit in bytes.
    pub limit: u16,
}
