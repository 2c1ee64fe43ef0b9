//! Saved state of the 8259A pair. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::regs::{CASCADE, ELCR1_WRITABLE, ELCR2_WRITABLE, ICW2_BASE, LEVEL};
use super::{Chip, Pic, Stage};

/// Version 1 of the pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PicV1 {
    /// Master, inputs 0-7.
    pub master: ChipV1,
    /// Slave, inputs 8-15.
    pub slave: ChipV1,
}

/// Version 1 of one chip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChipV1 {
    /// Levels of the inputs.
    pub lines: u8,
    /// Latched edge requests.
    pub edges: u8,
    /// Level-triggered inputs.
    pub elcr: u8,
    /// In-service register.
    pub isr: u8,
    /// Mask register.
    pub imr: u8,
    /// Vector of input 0, a multiple of 8.
    pub base: u8,
    /// Input of lowest priority, 0-7.
    pub lowest: u8,
    /// 0: initialized; 2, 3, 4: that ICW is expected.
    pub stage: u8,
    /// ICW1 last written.
    pub icw1: u8,
    /// ICW4 AEOI.
    pub auto_eoi: bool,
    /// Rotation in AEOI mode.
    pub rotate_on_auto_eoi: bool,
    /// Special mask mode.
    pub special_mask: bool,
    /// ICW4 SFNM.
    pub fully_nested: bool,
    /// OCW3 RIS.
    pub read_isr: bool,
    /// A poll command waits for its read.
    pub poll: bool,
}

impl Schema for PicV1 {
    const KIND: &'static str = "pic";
    const VERSION: u32 = 1;
}

impl From<&Pic> for PicV1 {
    fn from(pic: &Pic) -> Self {
        Self {
            master: ChipV1::from(&pic.master),
            slave: ChipV1::from(&pic.slave),
        }
    }
}

impl TryFrom<PicV1> for Pic {
    type Error = SnapshotError;

    fn try_from(v: PicV1) -> Result<Self, SnapshotError> {
        let cascade = 1 << CASCADE;
        check(
            (v.master.lines | v.master.edges) & cascade == 0,
            "input 2 of the master is wired",
        )?;
        Ok(Self {
            master: v.master.into_chip(ELCR1_WRITABLE)?,
            slave: v.slave.into_chip(ELCR2_WRITABLE)?,
        })
    }
}

fn check(holds: bool, reason: &str) -> Result<(), SnapshotError> {
    if holds {
        Ok(())
    } else {
        Err(SnapshotError::damaged(PicV1::KIND, reason))
    }
}

impl From<&Chip> for ChipV1 {
    fn from(chip: &Chip) -> Self {
        Self {
            lines: chip.lines,
            edges: chip.edges,
            elcr: chip.elcr,
            isr: chip.isr,
            imr: chip.imr,
            base: chip.base,
            lowest: chip.lowest,
            stage: match chip.stage {
                Stage::Ready => 0,
                Stage::Icw2 => 2,
                Stage::Icw3 => 3,
                Stage::Icw4 => 4,
            },
            icw1: chip.icw1,
            auto_eoi: chip.auto_eoi,
            rotate_on_auto_eoi: chip.rotate_on_auto_eoi,
            special_mask: chip.special_mask,
            fully_nested: chip.fully_nested,
            read_isr: chip.read_isr,
            poll: chip.poll,
        }
    }
}

impl ChipV1 {
    fn into_chip(self, elcr_writable: u8) -> Result<Chip, SnapshotError> {
        check(self.lowest <= LEVEL, "the lowest priority is not an input")?;
        check(
            self.base & !ICW2_BASE == 0,
            "the vector base is not a multiple of 8",
        )?;
        check(
            self.elcr & !elcr_writable == 0,
            "a fixed input is level-triggered",
        )?;
        let stage = match self.stage {
            0 => Stage::Ready,
            2 => Stage::Icw2,
            3 => Stage::Icw3,
            4 => Stage::Icw4,
            _ => {
                return Err(SnapshotError::damaged(
                    PicV1::KIND,
                    "unknown initialization stage",
                ));
            }
        };
        Ok(Chip {
            lines: self.lines,
            edges: self.edges,
            elcr: self.elcr,
            isr: self.isr,
            imr: self.imr,
            base: self.base,
            lowest: self.lowest,
            stage,
            icw1: self.icw1,
            auto_eoi: self.auto_eoi,
            rotate_on_auto_eoi: self.rotate_on_auto_eoi,
            special_mask: self.special_mask,
            fully_nested: self.fully_nested,
            read_isr: self.read_isr,
            poll: self.poll,
        })
    }
}
