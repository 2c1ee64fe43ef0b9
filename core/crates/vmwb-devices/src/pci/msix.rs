//! MSI-X: the capability, the vector table and the pending bits (PCI Local Bus Specification 3.0, section 6.8.2).
//!
//! A part of a device, not a device: the owner adds the capability to its [`ConfigSpace`], shows table and pending bits
//! behind a base address, calls [`Msix::settle`] after configuration writes, and saves [`MsixV1`] in its own payload.
//! Enable and function mask live in the capability's control word alone.
//!
//! | Threat | Answer |
//! |---|---|
//! | Vectors beyond the table, accesses over its end | ignored; read as ones |
//! | Messages to addresses that are not the APICs' | passed on as they are; the board knows its own window |
//! | Restored table of another size | refused |

use serde::{Deserialize, Serialize};
use vmwb_hw::{Ctx, MsiMessage, SnapshotError};

use super::{ConfigSpace, PciFunction, regs};

/// Most vectors of one function here: as many as one double quadword of pending bits has halves for.
pub const MAX_MSIX_VECTORS: u16 = 64;
/// Bytes of one table entry.
pub const MSIX_ENTRY_BYTES: u64 = 16;

/// Capability identification.
const CAPABILITY_ID: u32 = 0x11;
/// Message control: MSI-X is on.
const CONTROL_ENABLE: u32 = 1 << 31;
/// Message control: every vector is masked.
const CONTROL_MASK_ALL: u32 = 1 << 30;
/// Vector control: the vector is masked.
const VECTOR_MASKED: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Vector {
    address: u64,
    data: u32,
    control: u32,
}

const POWER_ON: Vector = Vector {
    address: 0,
    data: 0,
    control: VECTOR_MASKED,
};

/// Table and pending bits of one function. See the module's head.
#[derive(Debug, Clone)]
pub struct Msix {
    /// Where the capability stands in configuration space.
    at: u8,
    vectors: Vec<Vector>,
    /// One bit a vector.
    pending: u64,
}

/// Where a capability and its structures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MsixPlace {
    /// Offset of the capability in configuration space, a multiple of 4.
    pub capability: u8,
    /// Offset of the next capability; 0: none.
    pub next: u8,
    /// Base address (0 to 5) of both structures.
    pub bar: u8,
    /// Offset of the table behind it, a multiple of 8.
    pub table: u32,
    /// Offset of the pending bits, a multiple of 8.
    pub pending: u32,
}

impl Msix {
    /// Adds the capability for `vectors` (1 to [`MAX_MSIX_VECTORS`], cut to that) to `config`.
    #[must_use]
    pub fn new(config: &mut ConfigSpace, place: MsixPlace, vectors: u16) -> Self {
        let vectors = vectors.clamp(1, MAX_MSIX_VECTORS);
        let control = u32::from(vectors - 1) << 16;
        config.fix(
            place.capability,
            CAPABILITY_ID | u32::from(place.next) << 8 | control,
        );
        config.allow(place.capability, CONTROL_ENABLE | CONTROL_MASK_ALL);
        config.fix(place.capability + 4, place.table | u32::from(place.bar));
        config.fix(place.capability + 8, place.pending | u32::from(place.bar));
        Self {
            at: place.capability,
            vectors: vec![POWER_ON; usize::from(vectors)],
            pending: 0,
        }
    }

    /// Number of vectors.
    #[must_use]
    pub fn vectors(&self) -> u16 {
        u16::try_from(self.vectors.len()).expect("at most MAX_MSIX_VECTORS")
    }

    /// Whether the guest has switched MSI-X on: the function then uses no interrupt pin.
    #[must_use]
    pub fn is_enabled(&self, config: &ConfigSpace) -> bool {
        config.config_read(self.at) & CONTROL_ENABLE != 0
    }

    /// Back to the reset values; the capability's control word is reset with its configuration space.
    pub fn reset(&mut self) {
        self.vectors.fill(POWER_ON);
        self.pending = 0;
    }

    /// Sends the vector's message, or remembers it while it is masked or the function may not write to the bus. Nothing
    /// happens while MSI-X is off or for a vector that does not exist.
    pub fn raise(&mut self, ctx: &mut Ctx<'_>, config: &ConfigSpace, vector: u16) {
        if vector < self.vectors() && self.is_enabled(config) {
            self.pending |= 1 << vector;
            self.settle(ctx, config);
        }
    }

    /// Sends what was remembered and may go now. Due after every write to configuration space or table.
    pub fn settle(&mut self, ctx: &mut Ctx<'_>, config: &ConfigSpace) {
        if self.pending == 0 {
            return;
        }
        let control = config.config_read(self.at);
        if control & CONTROL_ENABLE == 0 {
            self.pending = 0;
            return;
        }
        let master = config.config_read(regs::COMMAND_STATUS) & regs::COMMAND_MASTER != 0;
        if control & CONTROL_MASK_ALL != 0 || !master {
            return;
        }
        for (index, vector) in self.vectors.iter().enumerate() {
            if self.pending >> index & 1 != 0 && vector.control & VECTOR_MASKED == 0 {
                self.pending &= !(1 << index);
                ctx.lines.send(MsiMessage {
                    address: vector.address,
                    data: vector.data,
                });
            }
        }
    }

    /// The table's byte at `offset`; ones beyond its end.
    #[must_use]
    pub fn table_byte(&self, offset: u64) -> u8 {
        self.entry_of(offset)
            .map_or(u8::MAX, |(index, byte)| self.entry_bytes(index)[byte])
    }

    /// Writes `bytes` at `offset` of the table and sends what this unmasks.
    pub fn table_write(
        &mut self,
        ctx: &mut Ctx<'_>,
        config: &ConfigSpace,
        offset: u64,
        bytes: &[u8],
    ) {
        for (at, &byte) in (offset..=u64::MAX).zip(bytes) {
            if let Some((index, position)) = self.entry_of(at) {
                let mut image = self.entry_bytes(index);
                image[position] = byte;
                let word = |at: usize| {
                    u32::from_le_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]])
                };
                self.vectors[index] = Vector {
                    // Bits 1:0 of the address are reserved as zeros.
                    address: u64::from(word(4)) << 32 | u64::from(word(0) & !3),
                    data: word(8),
                    control: word(12) & VECTOR_MASKED,
                };
            }
        }
        self.settle(ctx, config);
    }

    /// The byte at `offset` of the pending bits; ones beyond their end.
    #[must_use]
    pub fn pending_byte(&self, offset: u64) -> u8 {
        let at = usize::try_from(offset).ok();
        at.and_then(|at| self.pending.to_le_bytes().get(at).copied())
            .unwrap_or(u8::MAX)
    }

    fn entry_of(&self, offset: u64) -> Option<(usize, usize)> {
        let index = usize::try_from(offset / MSIX_ENTRY_BYTES).ok()?;
        let byte = usize::try_from(offset % MSIX_ENTRY_BYTES).ok()?;
        (index < self.vectors.len()).then_some((index, byte))
    }

    fn entry_bytes(&self, index: usize) -> [u8; 16] {
        let v = self.vectors[index];
        let mut image = [0; 16];
        image[..8].copy_from_slice(&v.address.to_le_bytes());
        image[8..12].copy_from_slice(&v.data.to_le_bytes());
        image[12..].copy_from_slice(&v.control.to_le_bytes());
        image
    }

    /// Its saved state.
    #[must_use]
    pub fn to_v1(&self) -> MsixV1 {
        let vector = |v: &Vector| MsixVectorV1 {
            address: v.address,
            data: v.data,
            masked: v.control & VECTOR_MASKED != 0,
        };
        MsixV1 {
            vectors: self.vectors.iter().map(vector).collect(),
            pending: self.pending,
        }
    }

    /// Takes saved state over, for the device of this `kind`.
    ///
    /// # Errors
    /// A table of another size, pending bits of vectors that do not exist, reserved address bits.
    pub fn take_v1(&mut self, kind: &str, saved: &MsixV1) -> Result<(), SnapshotError> {
        let exist = u64::MAX >> (64 - u32::from(self.vectors()));
        let fits = saved.vectors.len() == self.vectors.len()
            && saved.pending & !exist == 0
            && saved.vectors.iter().all(|v| v.address & 3 == 0);
        if !fits {
            return Err(SnapshotError::damaged(
                kind,
                "its MSI-X table is another device's",
            ));
        }
        for (vector, v) in self.vectors.iter_mut().zip(&saved.vectors) {
            *vector = Vector {
                address: v.address,
                data: v.data,
                control: u32::from(v.masked),
            };
        }
        self.pending = saved.pending;
        Ok(())
    }
}

/// Saved MSI-X state, part of its device's payload. Frozen: a change is a new type with an upgrade from this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MsixV1 {
    /// The table, by vector.
    pub vectors: Vec<MsixVectorV1>,
    /// Pending bits.
    pub pending: u64,
}

/// One saved table entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MsixVectorV1 {
    /// Message address.
    pub address: u64,
    /// Message data.
    pub data: u32,
    /// Vector control bit 0.
    pub masked: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbench::Bench;

    const AT: u8 = 0x40;
    const PLACE: MsixPlace = MsixPlace {
        capability: AT,
        next: 0x4C,
        bar: 1,
        table: 0,
        pending: 0x800,
    };

    fn part() -> (Bench, ConfigSpace, Msix) {
        let mut config = ConfigSpace::new(0x1234_5678, 0x0200_0001, 0);
        let msix = Msix::new(&mut config, PLACE, 3);
        (Bench::new(), config, msix)
    }

    fn enable(config: &mut ConfigSpace, control: u32) {
        config.config_write(regs::COMMAND_STATUS, regs::COMMAND_MASTER, 0xFFFF);
        config.config_write(AT, control, 0xFFFF_0000);
    }

    fn program(b: &mut Bench, config: &ConfigSpace, msix: &mut Msix, vector: u64, masked: u8) {
        let mut entry = [0; 16];
        entry[..4].copy_from_slice(&(0xFEE0_1000_u32).to_le_bytes());
        entry[8] = 0x40 + u8::try_from(vector).unwrap();
        entry[12] = masked;
        msix.table_write(&mut b.ctx(), config, vector * MSIX_ENTRY_BYTES, &entry);
    }

    fn sent(b: &mut Bench) -> Vec<(u64, u32)> {
        b.lines
            .drain_messages()
            .map(|m| (m.address, m.data))
            .collect()
    }

    #[test]
    fn capability_names_its_size_and_places() {
        let (_, config, _) = part();
        assert_eq!(config.config_read(AT), 0x0002_4C11);
        assert_eq!(config.config_read(AT + 4), 1);
        assert_eq!(config.config_read(AT + 8), 0x801);
    }

    #[test]
    fn raised_vector_sends_its_message() {
        let (mut b, mut config, mut msix) = part();
        enable(&mut config, CONTROL_ENABLE);
        program(&mut b, &config, &mut msix, 2, 0);
        msix.raise(&mut b.ctx(), &config, 2);
        assert_eq!(sent(&mut b), [(0xFEE0_1000, 0x42)]);
    }

    #[test]
    fn masked_vector_waits_and_goes_once_when_unmasked() {
        let (mut b, mut config, mut msix) = part();
        enable(&mut config, CONTROL_ENABLE);
        program(&mut b, &config, &mut msix, 1, 1);
        msix.raise(&mut b.ctx(), &config, 1);
        msix.raise(&mut b.ctx(), &config, 1);
        assert_eq!((sent(&mut b), msix.pending_byte(0)), (vec![], 2));
        msix.table_write(&mut b.ctx(), &config, 16 + 12, &[0]);
        assert_eq!(sent(&mut b), [(0xFEE0_1000, 0x41)]);
        assert_eq!(msix.pending_byte(0), 0);
    }

    #[test]
    fn function_mask_and_bus_mastering_hold_messages_back() {
        let (mut b, mut config, mut msix) = part();
        enable(&mut config, CONTROL_ENABLE | CONTROL_MASK_ALL);
        program(&mut b, &config, &mut msix, 0, 0);
        msix.raise(&mut b.ctx(), &config, 0);
        config.config_write(AT, CONTROL_ENABLE, 0xFFFF_0000);
        config.config_write(regs::COMMAND_STATUS, 0, 0xFFFF);
        msix.settle(&mut b.ctx(), &config);
        assert_eq!(sent(&mut b), []);
        enable(&mut config, CONTROL_ENABLE);
        msix.settle(&mut b.ctx(), &config);
        assert_eq!(sent(&mut b), [(0xFEE0_1000, 0x40)]);
    }

    #[test]
    fn nothing_is_sent_or_kept_while_off_or_for_an_absent_vector() {
        let (mut b, mut config, mut msix) = part();
        program(&mut b, &config, &mut msix, 0, 0);
        msix.raise(&mut b.ctx(), &config, 0);
        enable(&mut config, CONTROL_ENABLE);
        msix.raise(&mut b.ctx(), &config, 3);
        msix.settle(&mut b.ctx(), &config);
        assert_eq!(sent(&mut b), []);
    }

    #[test]
    fn accesses_over_the_table_s_end_read_ones_and_change_nothing() {
        let (mut b, config, mut msix) = part();
        let before = msix.to_v1();
        msix.table_write(&mut b.ctx(), &config, 3 * MSIX_ENTRY_BYTES, &[0; 8]);
        msix.table_write(&mut b.ctx(), &config, u64::MAX - 1, &[0]);
        assert_eq!(msix.to_v1(), before);
        assert_eq!((msix.table_byte(48), msix.pending_byte(8)), (0xFF, 0xFF));
    }

    #[test]
    fn saved_table_of_another_size_is_refused() {
        let (_, _, mut msix) = part();
        let mut saved = msix.to_v1();
        assert!(msix.take_v1("x", &saved).is_ok());
        saved.pending = 8;
        assert!(msix.take_v1("x", &saved).is_err());
        saved.pending = 0;
        saved.vectors.pop();
        assert!(msix.take_v1("x", &saved).is_err());
    }
}
