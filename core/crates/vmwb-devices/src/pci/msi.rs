//! MSI: the capability with a 64-bit address and per-message masks (PCI Local Bus Specification 3.0, section 6.8.1).
//!
//! A part of a device, not a device: the owner adds the capability to its [`ConfigSpace`], shows the pending bits
//! ([`Msi::read`]), calls [`Msi::settle`] after configuration writes, and saves [`MsiV1`] in its own payload. What the
//! guest writes (control, address, data, masks) lives in the configuration space alone. A driver that wants a 32-bit
//! address leaves the upper half 0.
//!
//! | Offset | Register |
//! |---|---|
//! | 00h | identification, next, message control |
//! | 04h, 08h | message address |
//! | 0Ch | message data |
//! | 10h, 14h | mask bits, pending bits |
//!
//! | Threat | Answer |
//! |---|---|
//! | More messages allocated than asked for | the number is cut to what the function asked for |
//! | Messages to addresses that are not the APICs' | passed on as they are; the board knows its own window |
//! | Restored pending bits of messages that do not exist | refused |

use serde::{Deserialize, Serialize};
use vmwb_hw::{Ctx, MsiMessage, SnapshotError};

use super::{ConfigSpace, PciFunction, regs};

/// Most messages of one function.
pub const MAX_MESSAGES: u8 = 32;

const CAPABILITY_ID: u32 = 0x05;
/// Message control: MSI is on.
const CONTROL_ENABLE: u32 = 1 << 16;
/// Message control: how many messages the function asks for, as a power of two.
const CONTROL_CAPABLE_SHIFT: u32 = 17;
/// Message control: how many it was given, as a power of two.
const CONTROL_GIVEN_SHIFT: u32 = 20;
const CONTROL_GIVEN: u32 = 7 << CONTROL_GIVEN_SHIFT;
/// Message control: the address has 64 bits.
const CONTROL_64_BIT: u32 = 1 << 23;
/// Message control: messages can be masked one by one.
const CONTROL_MASKS: u32 = 1 << 24;

const ADDRESS: u8 = 4;
const ADDRESS_HIGH: u8 = 8;
const DATA: u8 = 12;
const MASK: u8 = 16;
const PENDING: u8 = 20;

/// MSI of one function. See the module's head.
#[derive(Debug, Clone)]
pub struct Msi {
    /// Where the capability stands in configuration space.
    at: u8,
    /// Messages that the function asks for, as a power of two.
    capable: u32,
    /// One bit a message.
    pending: u32,
}

impl Msi {
    /// Adds the capability at `at` (a multiple of 4, followed by the one at `next`; 0: by none) for `messages`, a power of
    /// two up to [`MAX_MESSAGES`] (rounded up and cut to that), to `config`.
    #[must_use]
    pub fn new(config: &mut ConfigSpace, (at, next): (u8, u8), messages: u8) -> Self {
        let messages = u32::from(messages.clamp(1, MAX_MESSAGES)).next_power_of_two();
        let capable = messages.trailing_zeros();
        let msi = Self {
            at,
            capable,
            pending: 0,
        };
        config.fix(at, msi.head(next));
        config.allow(at, CONTROL_ENABLE | CONTROL_GIVEN);
        config.allow(at + ADDRESS, !3);
        config.allow(at + ADDRESS_HIGH, u32::MAX);
        config.allow(at + DATA, 0xFFFF);
        config.allow(at + MASK, msi.existing());
        msi
    }

    /// The capability's first double word after a reset.
    fn head(&self, next: u8) -> u32 {
        let control = self.capable << CONTROL_CAPABLE_SHIFT | CONTROL_64_BIT | CONTROL_MASKS;
        CAPABILITY_ID | u32::from(next) << 8 | control
    }

    /// One bit for each message that the function asks for.
    fn existing(&self) -> u32 {
        u32::MAX >> (MAX_MESSAGES as u32 - (1 << self.capable))
    }

    /// Whether the guest has switched MSI on: the function then uses no interrupt pin.
    #[must_use]
    pub fn is_enabled(&self, config: &ConfigSpace) -> bool {
        config.config_read(self.at) & CONTROL_ENABLE != 0
    }

    /// Back to the reset values; the capability's registers are reset with their configuration space.
    pub fn reset(&mut self) {
        self.pending = 0;
    }

    /// What a register of the configuration space that the device cannot see by itself reads as: the pending bits.
    #[must_use]
    pub fn read(&self, register: u8) -> Option<u32> {
        (register == self.at + PENDING).then_some(self.pending)
    }

    /// Sends message `number` (from 0), or remembers it while it is masked or the function may not write to the bus. Of
    /// fewer messages than the function asked for the last stands for the rest. Nothing happens while MSI is off.
    pub fn raise(&mut self, ctx: &mut Ctx<'_>, config: &ConfigSpace, number: u8) {
        let control = config.config_read(self.at);
        if control & CONTROL_ENABLE != 0 {
            let last = (1u32 << self.given(control)) - 1;
            self.pending |= 1 << u32::from(number).min(last);
            self.settle(ctx, config);
        }
    }

    /// Messages that the function was given, as a power of two. Codes beyond what it asked for are the guest's mistake.
    fn given(&self, control: u32) -> u32 {
        ((control & CONTROL_GIVEN) >> CONTROL_GIVEN_SHIFT).min(self.capable)
    }

    /// Sends what was remembered and may go now. Due after every write to configuration space.
    pub fn settle(&mut self, ctx: &mut Ctx<'_>, config: &ConfigSpace) {
        if self.pending == 0 {
            return;
        }
        let control = config.config_read(self.at);
        if control & CONTROL_ENABLE == 0 {
            self.pending = 0;
            return;
        }
        if config.config_read(regs::COMMAND_STATUS) & regs::COMMAND_MASTER == 0 {
            return;
        }
        let register = |offset| config.config_read(self.at + offset);
        let address = u64::from(register(ADDRESS_HIGH)) << 32 | u64::from(register(ADDRESS));
        // The function fills in the low bits of the data, as many as tell its messages apart.
        let own_bits = (1 << self.given(control)) - 1;
        let ready = self.pending & !register(MASK);
        for number in (0..u32::from(MAX_MESSAGES)).filter(|n| ready >> n & 1 != 0) {
            ctx.lines.send(MsiMessage {
                address,
                data: register(DATA) & !own_bits | number & own_bits,
            });
        }
        self.pending &= !ready;
    }

    /// Its saved state.
    #[must_use]
    pub fn to_v1(&self) -> MsiV1 {
        MsiV1 {
            pending: self.pending,
        }
    }

    /// Takes saved state over, for the device of this `kind`.
    ///
    /// # Errors
    /// Pending bits of messages that do not exist.
    pub fn take_v1(&mut self, kind: &str, saved: &MsiV1) -> Result<(), SnapshotError> {
        if saved.pending & !self.existing() != 0 {
            return Err(SnapshotError::damaged(
                kind,
                "an MSI waits that it does not have",
            ));
        }
        self.pending = saved.pending;
        Ok(())
    }

    /// Adds the capability, as after a reset, to saved registers of a function that had none: `before` is the capability
    /// that now has this one behind it.
    pub fn add_to(&self, registers: &mut [u32], before: u8) {
        for (at, bits) in [(before, u32::from(self.at) << 8), (self.at, self.head(0))] {
            if let Some(register) = registers.get_mut(usize::from(at / 4)) {
                *register |= bits;
            }
        }
    }
}

/// Saved MSI state, part of its device's payload. Frozen: a change is a new type with an upgrade from this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MsiV1 {
    /// Pending bits.
    pub pending: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbench::Bench;

    const AT: u8 = 0x40;

    fn part(messages: u8) -> (Bench, ConfigSpace, Msi) {
        let mut config = ConfigSpace::new(0x1234_5678, 0x0200_0001, 0);
        let msi = Msi::new(&mut config, (AT, 0x60), messages);
        config.config_write(regs::COMMAND_STATUS, regs::COMMAND_MASTER, 0xFFFF);
        (Bench::new(), config, msi)
    }

    /// Switches MSI on with `2^given` messages.
    fn enable(config: &mut ConfigSpace, given: u32) {
        let control = CONTROL_ENABLE | given << CONTROL_GIVEN_SHIFT;
        config.config_write(AT, control, 0xFFFF_0000);
        config.config_write(AT + ADDRESS, 0xFEE0_1003, u32::MAX);
        config.config_write(AT + DATA, 0xFFFF_4041, u32::MAX);
    }

    fn sent(b: &mut Bench) -> Vec<(u64, u32)> {
        b.lines
            .drain_messages()
            .map(|m| (m.address, m.data))
            .collect()
    }

    #[test]
    fn capability_says_what_it_can() {
        let (_, config, _) = part(4);
        // 64-bit address, masks, two to the second messages; nothing given, off.
        assert_eq!(config.config_read(AT), 0x0184_6005);
        assert_eq!(config.config_read(AT + MASK), 0);
    }

    #[test]
    fn single_message_keeps_its_whole_data() {
        let (mut b, mut config, mut msi) = part(4);
        enable(&mut config, 0);
        msi.raise(&mut b.ctx(), &config, 3);
        assert_eq!(sent(&mut b), [(0xFEE0_1000, 0x4041)]);
    }

    #[test]
    fn several_messages_differ_in_the_low_bits_of_the_data() {
        let (mut b, mut config, mut msi) = part(4);
        enable(&mut config, 1);
        (0..3).for_each(|n| msi.raise(&mut b.ctx(), &config, n));
        let data: Vec<u32> = sent(&mut b).into_iter().map(|(_, data)| data).collect();
        assert_eq!(data, [0x4040, 0x4041, 0x4041]);
        // More than the function asked for cannot be given.
        enable(&mut config, 5);
        msi.raise(&mut b.ctx(), &config, 31);
        assert_eq!(sent(&mut b), [(0xFEE0_1000, 0x4043)]);
    }

    #[test]
    fn upper_half_makes_a_64_bit_address() {
        let (mut b, mut config, mut msi) = part(1);
        enable(&mut config, 0);
        config.config_write(AT + ADDRESS_HIGH, 0x12, u32::MAX);
        msi.raise(&mut b.ctx(), &config, 0);
        assert_eq!(sent(&mut b), [(0x12_FEE0_1000, 0x4041)]);
    }

    #[test]
    fn masked_message_waits_and_goes_once_when_unmasked() {
        let (mut b, mut config, mut msi) = part(2);
        enable(&mut config, 1);
        config.config_write(AT + MASK, 2, u32::MAX);
        msi.raise(&mut b.ctx(), &config, 1);
        msi.raise(&mut b.ctx(), &config, 1);
        msi.raise(&mut b.ctx(), &config, 0);
        assert_eq!(sent(&mut b), [(0xFEE0_1000, 0x4040)]);
        assert_eq!(msi.read(AT + PENDING), Some(2));
        config.config_write(AT + MASK, 0, u32::MAX);
        msi.settle(&mut b.ctx(), &config);
        assert_eq!(sent(&mut b), [(0xFEE0_1000, 0x4041)]);
        assert_eq!(msi.read(AT + PENDING), Some(0));
        assert_eq!(msi.read(AT + MASK), None);
    }

    #[test]
    fn bus_mastering_holds_messages_back_and_switching_off_drops_them() {
        let (mut b, mut config, mut msi) = part(1);
        enable(&mut config, 0);
        config.config_write(regs::COMMAND_STATUS, 0, 0xFFFF);
        msi.raise(&mut b.ctx(), &config, 0);
        assert_eq!(sent(&mut b), []);
        config.config_write(AT, 0, 0xFFFF_0000);
        msi.settle(&mut b.ctx(), &config);
        config.config_write(regs::COMMAND_STATUS, regs::COMMAND_MASTER, 0xFFFF);
        enable(&mut config, 0);
        msi.settle(&mut b.ctx(), &config);
        assert_eq!(sent(&mut b), []);
    }

    #[test]
    fn nothing_is_sent_or_kept_while_off() {
        let (mut b, mut config, mut msi) = part(1);
        msi.raise(&mut b.ctx(), &config, 0);
        enable(&mut config, 0);
        msi.settle(&mut b.ctx(), &config);
        assert_eq!(sent(&mut b), []);
    }

    #[test]
    fn masks_and_pending_bits_exist_for_messages_that_exist() {
        let (_, mut config, mut msi) = part(2);
        config.config_write(AT + MASK, u32::MAX, u32::MAX);
        assert_eq!(config.config_read(AT + MASK), 3);
        config.config_write(AT + PENDING, u32::MAX, u32::MAX);
        assert_eq!(msi.read(AT + PENDING), Some(0));
        assert!(msi.take_v1("x", &MsiV1 { pending: 4 }).is_err());
        assert!(msi.take_v1("x", &MsiV1 { pending: 3 }).is_ok());
        let (_, _, most) = part(200);
        assert_eq!(most.existing(), u32::MAX);
    }
}
