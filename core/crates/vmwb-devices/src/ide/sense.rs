//! Sense of packet devices (SPC-3, section 4.5; MMC-5, annex F).

/// Key, additional code and qualifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sense {
    pub(super) key: u8,
    pub(super) code: u8,
    pub(super) qualifier: u8,
}

const fn sense(key: u8, code: u8, qualifier: u8) -> Sense {
    Sense {
        key,
        code,
        qualifier,
    }
}

impl Sense {
    pub(super) const NONE: Self = sense(0, 0, 0);
    pub(super) const NO_MEDIUM: Self = sense(2, 0x3A, 1);
    pub(super) const TRAY_OPEN: Self = sense(2, 0x3A, 2);
    pub(super) const READ_ERROR: Self = sense(3, 0x11, 0);
    pub(super) const BAD_COMMAND: Self = sense(5, 0x20, 0);
    pub(super) const OUT_OF_RANGE: Self = sense(5, 0x21, 0);
    pub(super) const BAD_FIELD: Self = sense(5, 0x24, 0);
    pub(super) const BAD_PARAMETER: Self = sense(5, 0x26, 0);
    pub(super) const WRONG_MEDIUM: Self = sense(5, 0x30, 2);
    pub(super) const OTHER_TRACK: Self = sense(5, 0x64, 0);
    pub(super) const NOT_SAVED: Self = sense(5, 0x39, 0);
    pub(super) const REMOVAL_PREVENTED: Self = sense(5, 0x53, 2);
    pub(super) const MEDIUM_CHANGED: Self = sense(6, 0x28, 0);
    pub(super) const RESET: Self = sense(6, 0x29, 0);
    pub(super) const ABORTED: Self = sense(0xB, 0x4B, 0);

    /// The Error register: the key in its upper half, ABRT for what cannot be carried out.
    pub(super) fn error(self) -> u8 {
        let abort = if matches!(self.key, 5 | 0xB) {
            super::regs::ABRT
        } else {
            0
        };
        self.key << 4 | abort
    }

    /// Fixed format, 18 bytes, current.
    pub(super) fn data(self) -> [u8; 18] {
        let mut out = [0; 18];
        out[0] = 0x70;
        out[2] = self.key;
        out[7] = 10;
        out[12] = self.code;
        out[13] = self.qualifier;
        out
    }
}
