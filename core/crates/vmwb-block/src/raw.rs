//! Raw images: the medium's bytes, one after another.
//!
//! A file whose length is no multiple of a sector ends in a sector that is padded with zeros. A write to that sector
//! makes the file as long as the sector.

use crate::error::ImageError;
use crate::host::HostFile;
use crate::image::{SECTOR_BYTES, round_up};

/// A raw image.
#[derive(Debug)]
pub(crate) struct Raw {
    file: Box<dyn HostFile>,
    bytes: u64,
}

impl Raw {
    pub(crate) fn open(file: Box<dyn HostFile>) -> Result<Self, ImageError> {
        let size = file.size_bytes().map_err(ImageError::host("read"))?;
        let bytes = round_up(size, SECTOR_BYTES).ok_or_else(|| ImageError::TooLarge {
            what: format!("{size} bytes"),
        })?;
        Ok(Self { file, bytes })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn read(
        &self,
        offset: u64,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ImageError> {
        self.file
            .append_at(offset, len, out)
            .map_err(ImageError::host("read"))
    }

    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Result<(), ImageError> {
        self.file
            .write_at(offset, data)
            .map_err(ImageError::host("written"))
    }

    pub(crate) fn zero(&self, offset: u64, len: u64) -> Result<(), ImageError> {
        self.file
            .zero(offset, len)
            .map_err(ImageError::host("written"))
    }

    pub(crate) fn discard(&self, offset: u64, len: u64) -> Result<(), ImageError> {
        match self.file.punch(offset, len) {
            Err(error) if error.kind() != std::io::ErrorKind::Unsupported => {
                Err(ImageError::host("written")(error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn flush(&self) -> Result<(), ImageError> {
        self.file.sync().map_err(ImageError::host("stored"))
    }
}
