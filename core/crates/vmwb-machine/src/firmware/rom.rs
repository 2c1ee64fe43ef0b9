//! Whether a file can be a BIOS or an adapter's BIOS, and its bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use thiserror::Error;

use crate::acpi::sum;

/// A BIOS is a multiple of this, in bytes.
const BIOS_UNIT: u64 = 64 << 10;
/// Largest BIOS, in bytes: what fits below 4 GiB without touching the I/O APIC.
pub const MAX_BIOS_BYTES: u64 = 16 << 20;
/// Where the processor's first instruction lies, from the end.
const RESET_VECTOR: usize = 16;
/// Largest option ROM, in bytes: 127.5 KiB, what its length byte can say.
pub const MAX_OPTION_ROM_BYTES: u64 = 255 * 512;
const OPTION_ROM_UNIT: usize = 512;

/// Why a firmware file was refused. Every message is one sentence for the user.
#[derive(Debug, Error)]
pub enum RomError {
    /// The size is not that of a BIOS.
    #[error(
        "The firmware file has {0} bytes; a PC BIOS has a multiple of 64 KiB up to 16 MiB, usually 128 or 256 KiB."
    )]
    Size(u64),
    /// No instruction where the processor starts.
    #[error("The firmware file is not a PC BIOS: there is no code where the processor starts.")]
    NoCode,
    /// Not an option ROM.
    #[error("The display's BIOS file is not an option ROM ({0}).")]
    NotAnOptionRom(&'static str),
    /// The file cannot be read.
    #[error("The firmware file could not be read: {0}.")]
    Read(#[from] std::io::Error),
}

impl RomError {
    /// Stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Size(_) | Self::NoCode | Self::NotAnOptionRom(_) => "bad_firmware",
            Self::Read(_) => "read_error",
        }
    }
}

/// Reads a BIOS. It belongs at the end of the first 4 GiB, and its last 128 KiB at the end of the first MiB too.
///
/// # Errors
/// [`RomError`].
pub fn read_bios(file: &File) -> Result<Vec<u8>, RomError> {
    let len_bytes = file.metadata()?.len();
    if len_bytes == 0 || len_bytes > MAX_BIOS_BYTES || !len_bytes.is_multiple_of(BIOS_UNIT) {
        return Err(RomError::Size(len_bytes));
    }
    let image = read(file, len_bytes)?;
    let start = &image[image.len() - RESET_VECTOR..];
    // Erased and blank images: an instruction that does something is neither.
    if start[..5].iter().all(|&b| b == start[0]) {
        return Err(RomError::NoCode);
    }
    Ok(image)
}

/// Reads the BIOS of the display adapter: an option ROM (Plug and Play BIOS specification 1.0A, section 3).
///
/// # Errors
/// [`RomError`].
pub fn read_option_rom(file: &File) -> Result<Vec<u8>, RomError> {
    let refuse = |why| Err(RomError::NotAnOptionRom(why));
    let len_bytes = file.metadata()?.len();
    if len_bytes > MAX_OPTION_ROM_BYTES {
        return refuse("it is longer than 127.5 KiB");
    }
    let image = read(file, len_bytes)?;
    let [0x55, 0xAA, units, ..] = image[..] else {
        return refuse("it does not begin with 55h AAh");
    };
    let rom_bytes = usize::from(units) * OPTION_ROM_UNIT;
    match image.get(..rom_bytes) {
        None => refuse("it is shorter than it says"),
        Some(rom) if rom_bytes == 0 || sum(rom) != 0 => refuse("its checksum is wrong"),
        Some(_) => Ok(image),
    }
}

fn read(file: &File, len_bytes: u64) -> Result<Vec<u8>, RomError> {
    let len = usize::try_from(len_bytes).map_err(|_| RomError::Size(len_bytes))?;
    let mut image = vec![0; len];
    file.read_exact_at(&mut image, 0)?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file_of(bytes: &[u8]) -> File {
        let mut f = tempfile::tempfile().unwrap();
        f.write_all(bytes).unwrap();
        f
    }

    fn bios(len: usize) -> Vec<u8> {
        let mut image = vec![0xFF; len];
        image[len - 16..len - 11].copy_from_slice(&[0xEA, 0x5B, 0xE0, 0x00, 0xF0]);
        image
    }

    #[test]
    fn bios_of_a_usual_size_is_read() {
        for kib in [64, 128, 256] {
            let image = bios(kib << 10);
            assert_eq!(read_bios(&file_of(&image)).unwrap(), image);
        }
    }

    #[test]
    fn bios_of_another_size_or_without_code_is_refused() {
        for len in [1000, (64 << 10) + 1, (16 << 20) + (64 << 10)] {
            let refused = read_bios(&file_of(&bios(len))).unwrap_err();
            assert!(refused.to_string().contains(&len.to_string()));
        }
        assert!(matches!(read_bios(&file_of(&[])), Err(RomError::Size(0))));
        for filler in [0, 0xFF] {
            let blank = file_of(&vec![filler; 128 << 10]);
            assert!(matches!(read_bios(&blank), Err(RomError::NoCode)));
        }
    }

    #[test]
    fn option_rom_is_read_when_its_sum_is_right() {
        let mut image = vec![0; 1024];
        image[..4].copy_from_slice(&[0x55, 0xAA, 1, 0xCB]);
        let why = |image: &[u8]| read_option_rom(&file_of(image)).map_err(|e| e.to_string());
        assert!(why(&image).unwrap_err().contains("checksum"));
        image[511] = 0u8.wrapping_sub(sum(&image[..511]));
        assert_eq!(why(&image).unwrap(), image);
        image[2] = 3;
        assert!(why(&image).unwrap_err().contains("shorter"));
        assert!(why(b"MZ").unwrap_err().contains("55h"));
        assert!(why(&vec![0; 128 << 10]).unwrap_err().contains("127.5"));
    }
}
