//! How a machine gets its first instruction: a kernel that is booted directly, or a BIOS.

use std::fs::File;
use std::os::unix::fs::FileExt;

use vmwb_mem::{GuestAddress, GuestMemory, MemError, RegionId};

use super::error::BootError;
use super::linux::LinuxBoot;

/// Sizes of BIOS images: whole 64-KiB segments, up to 16 MiB below 4 GiB.
const BIOS_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=16 << 20;
const BIOS_STEP: u64 = 64 << 10;
/// Sizes of option ROMs (their header counts 512-byte blocks in one byte).
const OPTION_ROM_BYTES: std::ops::RangeInclusive<u64> = 512..=255 * 512;
const FOUR_GIB: u64 = 1 << 32;

/// What a machine starts with.
#[derive(Debug)]
pub enum Start {
    /// A kernel in memory; the processor begins at its entry.
    Kernel(LinuxBoot),
    /// A BIOS; the processor begins at its reset vector.
    Firmware(Firmware),
}

/// The image of a BIOS.
#[derive(Debug)]
pub struct Firmware {
    bios: Vec<u8>,
}

impl Firmware {
    /// Reads a BIOS image.
    ///
    /// # Errors
    /// Its size is not a BIOS's; it cannot be read.
    pub fn open(file: &File) -> Result<Self, BootError> {
        let bios = read_rom(file, "firmware", |len| {
            BIOS_BYTES.contains(&len) && len.is_multiple_of(BIOS_STEP)
        })?;
        Ok(Self { bios })
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

/// Reads the image of the display adapter's BIOS.
///
/// # Errors
/// Its size is not an option ROM's; it cannot be read.
pub fn read_option_rom(file: &File) -> Result<Vec<u8>, BootError> {
    read_rom(file, "display adapter's firmware", |len| {
        OPTION_ROM_BYTES.contains(&len)
    })
}

fn read_rom(
    file: &File,
    what: &'static str,
    fits: impl Fn(u64) -> bool,
) -> Result<Vec<u8>, BootError> {
    let unreadable = |source| BootError::Read { what, source };
    let len = file.metadata().map_err(unreadable)?.len();
    if !fits(len) {
        return Err(BootError::BadFirmware { what, bytes: len });
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).map_err(unreadable)?;
    Ok(bytes)
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
        let bios = Firmware::open(&file(&image)).unwrap();
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

    #[test]
    fn images_of_impossible_sizes_are_refused() {
        for len in [0, 512, (64 << 10) + 1, 17 << 20] {
            let refused = Firmware::open(&file(&vec![0; len])).unwrap_err();
            assert_eq!(refused.code(), "bad_firmware", "{len}");
        }
        assert!(read_option_rom(&file(&[0; 100])).is_err());
        assert_eq!(read_option_rom(&file(&[0x55; 512])).unwrap().len(), 512);
    }
}
