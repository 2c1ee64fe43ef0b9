//! Memory beside RAM: the BIOS and the display adapter's memory.

use vmwb_mem::{RegionId, RegionKind, RegionSpec};

use crate::spec::{DisplayChoice, MachineSpec};

/// Bytes of the display adapter's memory: 16 MiB, which hold 2560x1600 in 32 bits a pixel. Firmware then places it at
/// FD000000h, as it does for QEMU's adapter of that size: many small systems write there without asking. (Linux's driver
/// offers only modes that leave half of it for a second picture, up to 1920x1080.)
pub const VIDEO_BYTES: u64 = 16 << 20;

/// Which regions a machine has.
#[derive(Debug, Clone, Default)]
pub struct Regions {
    specs: Vec<RegionSpec>,
    /// The BIOS.
    pub bios: Option<RegionId>,
    /// The display adapter's memory.
    pub video: Option<RegionId>,
}

impl Regions {
    /// The regions of a machine with a BIOS of `bios_bytes`, or without one.
    #[must_use]
    pub fn of(spec: &MachineSpec, bios_bytes: Option<u64>) -> Self {
        let mut regions = Self::default();
        // First of all, so that no window hides the reset vector, wherever a guest moves it.
        regions.bios = bios_bytes.map(|bytes| regions.add(RegionKind::Rom, bytes));
        regions.video = (spec.display == DisplayChoice::Vga)
            .then(|| regions.add(RegionKind::Video, VIDEO_BYTES));
        regions
    }

    fn add(&mut self, kind: RegionKind, bytes: u64) -> RegionId {
        self.specs.push(RegionSpec { bytes, kind });
        RegionId(self.specs.len() - 1)
    }

    /// As guest memory is made with.
    #[must_use]
    pub fn specs(&self) -> &[RegionSpec] {
        &self.specs
    }
}
