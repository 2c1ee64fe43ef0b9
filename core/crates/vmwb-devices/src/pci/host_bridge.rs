//! The 440FX host bridge's registers that act: the attribute map and SMRAM (datasheet 290549, sections 3.2.18 and 3.2.23).
//! They are the guest's; the memory ([`GuestMemory`]) does what they say.
//!
//! There is no system management mode: SMRAM is RAM at A0000h to BFFFFh that is seen while D_OPEN is set, and never again
//! once D_LCK is.

use vmwb_hw::GuestMemory;

use super::function::{ConfigSpace, PciFunction};
use super::regs;

pub(super) fn host_bridge() -> ConfigSpace {
    let mut space = ConfigSpace::new(regs::HOST_BRIDGE, 0x0600_0002, regs::SUBSYSTEM_VALUE);
    space.fix(regs::COMMAND_STATUS, 0x0280_0006);
    space.allow(0x50, u32::MAX);
    space.allow(regs::PAM, 0x3333_3000);
    space.allow(regs::PAM + 4, 0x3333_3333);
    space.fix(regs::SMRAM, 0x02 << 16);
    space.allow(regs::SMRAM, 0x78 << 16);
    space
}

/// Writes as the guest does: a locked SMRAM stays closed until a reset.
pub(super) fn write(bridge: &mut dyn PciFunction, register: u8, value: u32, mask: u32) {
    let locked = register == regs::SMRAM && bridge.config_read(register) & regs::SMRAM_LOCK != 0;
    let mask = if locked {
        mask & !(regs::SMRAM_LOCK | regs::SMRAM_OPEN)
    } else {
        mask
    };
    bridge.config_write(register, value, mask);
    if bridge.config_read(regs::SMRAM) & regs::SMRAM_LOCK != 0 {
        bridge.config_write(regs::SMRAM, 0, regs::SMRAM_OPEN);
    }
}

/// Brings the memory to what the registers say.
pub(super) fn apply(bridge: &dyn PciFunction, memory: &GuestMemory) {
    let [_, a, b, c] = bridge.config_read(regs::PAM).to_le_bytes();
    let [d, e, f, g] = bridge.config_read(regs::PAM + 4).to_le_bytes();
    memory.set_shadow([a, b, c, d, e, f, g]);
    let smram = bridge.config_read(regs::SMRAM);
    let open = regs::SMRAM_ENABLE | regs::SMRAM_OPEN;
    memory.set_smram_open(smram & open == open && smram & regs::SMRAM_LOCK == 0);
}
