//! How a machine gets its first instruction: a kernel that is booted directly, or a BIOS.

use std::fs::File;

use vmwb_mem::{GuestAddress, GuestMemory, MemError, RegionId};

use vmwb_devices::fwcfg::Item;

use super::error::BootError;
use super::{DirectBoot, Linux16};
use crate::firmware::rom::read_bios;

const FOUR_GIB: u64 = 1 << 32;

/// What a machine starts with.
#[derive(Debug)]
pub enum Start {
    /// A kernel in memory; the processor begins at its entry.
    Kernel(Box<dyn DirectBoot>),
    /// A BIOS; the processor begins at its reset vector.
    Firmware(Firmware),
}

/// The image of a BIOS, and a kernel that it is to start.
#[derive(Debug)]
pub struct Firmware {
    bios: Vec<u8>,
    kernel: Option<Linux16>,
}

impl Firmware {
    /// Reads a BIOS image.
    ///
    /// # Errors
    /// It is not a BIOS, or cannot be read.
    pub fn open(file: &File, kernel: Option<Linux16>) -> Result<Self, BootError> {
        let bios = read_bios(file)?;
        Ok(Self { bios, kernel })
    }

    /// What the firmware configuration device shows of the kernel: nothing without one. RAM below 4 GiB ends at
    /// `low_end`.
    ///
    /// # Errors
    /// The kernel does not fit.
    pub fn kernel_items(&self, low_end: u64, append: &str) -> Result<Vec<Item>, BootError> {
        match &self.kernel {
            Some(kernel) => kernel.items(low_end, append),
            None => Ok(Vec::new()),
        }
    }

    /// Length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bios.len() as u64
    }

    /// Fills the BIOS's region and places it so that it ends at 4 GiB; its end is also seen below 1 MiB.
    ///
    /// # Errors
    /// There is no such region, or it is smaller.
    pub fn load(&self, memory: &GuestMemory, region: RegionId) -> Result<(), MemError> {
        memory.region_load(region, 0, &self.bios)?;
        memory.place(region, Some(GuestAddress(FOUR_GIB - self.bytes())))?;
        memory.set_firmware(Some(region))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use vmwb_mem::{RegionKind, RegionSpec};

    fn file(bytes: &[u8]) -> File {
        let mut f = tempfile::tempfile().unwrap();
        f.write_all(bytes).unwrap();
        f
    }

    #[test]
    fn bios_ends_at_four_gib_and_is_seen_below_one_mib() {
        let mut image = vec![0; 128 << 10];
        image[(128 << 10) - 16] = 0xEA;
        let bios = Firmware::open(&file(&image), None).unwrap();
        let spec = RegionSpec {
            bytes: bios.bytes(),
            kind: RegionKind::Rom,
        };
        let memory = GuestMemory::with_regions(2 << 20, &[spec]).unwrap();
        bios.load(&memory, RegionId(0)).unwrap();
        let mut byte = [0];
        memory.read(GuestAddress(0xFFFF_FFF0), &mut byte).unwrap();
        assert_eq!(byte, [0xEA]);
    }
}
