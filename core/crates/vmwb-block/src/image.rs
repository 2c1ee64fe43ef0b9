//! An image of any format, with the images that it is based on.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

use crate::error::ImageError;
use crate::host::HostFile;
use crate::qcow2::Qcow2;
use crate::raw::Raw;

/// Unit of every offset and length that a guest uses.
pub const SECTOR_BYTES: u64 = 512;
/// Most images that may be based on one another.
pub const MAX_CHAIN: usize = 64;

/// Format of an image file. It is always told, never guessed: a guest could write the header of another format into its
/// raw disk, and be given a file of the host's that it names there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    /// The medium's bytes, nothing else.
    #[default]
    Raw,
    /// QEMU's format, versions 2 and 3.
    Qcow2,
}

impl ImageFormat {
    /// Its name, as in definitions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

impl FromStr for ImageFormat {
    type Err = ImageError;

    fn from_str(name: &str) -> Result<Self, ImageError> {
        [Self::Raw, Self::Qcow2]
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| ImageError::Unsupported {
                feature: format!("the format \"{}\"", name.escape_default()),
            })
    }
}

/// One file of a chain of images.
#[derive(Debug)]
pub struct Layer {
    /// What it is.
    pub format: ImageFormat,
    /// The open file.
    pub file: Box<dyn HostFile>,
}

/// How an image is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// Writes are refused.
    pub read_only: bool,
    /// Memory for tables of each image of the chain; a few tables are kept in any case.
    pub cache_bytes: usize,
}

impl OpenOptions {
    /// 24 MiB of tables an image: enough for 128 GiB of a medium with clusters of 64 KiB.
    #[must_use]
    pub fn new(read_only: bool) -> Self {
        Self {
            read_only,
            cache_bytes: 24 << 20,
        }
    }
}

/// A medium in image files. Offsets and lengths are in bytes and multiples of [`SECTOR_BYTES`].
///
/// What was written is durable after [`Image::flush`] only; whoever drops an image flushes it before.
#[derive(Debug)]
pub struct Image {
    kind: Kind,
    read_only: bool,
}

#[derive(Debug)]
enum Kind {
    Raw(Raw),
    Qcow2(Box<Qcow2>),
}

impl Image {
    /// Opens an image. `chain` begins with the image itself, followed by the one that it is based on, and so on; all but
    /// the first are only read. The files are locked against other writers as long as they are open.
    ///
    /// # Errors
    /// What is wrong with which part; nothing was changed then, except that a repair may have been begun.
    pub fn open(chain: Vec<Layer>, read_only: bool) -> Result<Self, ImageError> {
        Self::open_with(chain, OpenOptions::new(read_only))
    }

    /// The same with all choices.
    ///
    /// # Errors
    /// As of [`Image::open`].
    pub fn open_with(chain: Vec<Layer>, options: OpenOptions) -> Result<Self, ImageError> {
        let read_only = options.read_only;
        if chain.len() > MAX_CHAIN {
            return Err(ImageError::TooLarge {
                what: format!("more than {MAX_CHAIN} images based on one another"),
            });
        }
        for (place, layer) in chain.iter().enumerate() {
            claim(&*layer.file, place == 0 && !read_only)?;
        }
        let mut below: Option<Self> = None;
        for (place, layer) in chain.into_iter().enumerate().rev() {
            let read_only = place != 0 || read_only;
            let kind = match layer.format {
                ImageFormat::Raw if below.is_some() => return Err(ImageError::BackingUnexpected),
                ImageFormat::Raw => Kind::Raw(Raw::open(layer.file)?),
                ImageFormat::Qcow2 => {
                    let options = OpenOptions {
                        read_only,
                        ..options
                    };
                    let opened = Qcow2::open(layer.file, below.take(), options)?;
                    Kind::Qcow2(Box::new(opened))
                }
            };
            below = Some(Self { kind, read_only });
        }
        below.ok_or_else(|| ImageError::BadArgument("No disk image was given.".to_owned()))
    }

    /// Size of the medium.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match &self.kind {
            Kind::Raw(raw) => raw.bytes(),
            Kind::Qcow2(image) => image.bytes(),
        }
    }

    /// Whether writes are refused.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Appends `len` bytes of the medium to a buffer.
    ///
    /// # Errors
    /// The range lies outside, or the file cannot be read; the buffer may then have grown by a part.
    pub fn read(&mut self, offset: u64, len: usize, out: &mut Vec<u8>) -> Result<(), ImageError> {
        self.contains(offset, len as u64)?;
        match &mut self.kind {
            Kind::Raw(raw) => raw.read(offset, len, out),
            Kind::Qcow2(image) => image.read(offset, len, out),
        }
    }

    /// Writes.
    ///
    /// # Errors
    /// Any part may have been written then, and the rest reads as before.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), ImageError> {
        self.may_change(offset, data.len() as u64)?;
        match &mut self.kind {
            Kind::Raw(raw) => raw.write(offset, data),
            Kind::Qcow2(image) => image.write(offset, data),
        }
    }

    /// Makes the range read as zeros, without using space for it where the format can say so.
    ///
    /// # Errors
    /// As of [`Image::write`].
    pub fn write_zeroes(&mut self, offset: u64, len: u64) -> Result<(), ImageError> {
        self.may_change(offset, len)?;
        match &mut self.kind {
            Kind::Raw(raw) => raw.zero(offset, len),
            Kind::Qcow2(image) => image.write_zeroes(offset, len),
        }
    }

    /// The content of the range is not needed any more; it reads as anything that was there, or as zeros.
    ///
    /// # Errors
    /// As of [`Image::write`].
    pub fn discard(&mut self, offset: u64, len: u64) -> Result<(), ImageError> {
        self.may_change(offset, len)?;
        match &mut self.kind {
            Kind::Raw(raw) => raw.discard(offset, len),
            Kind::Qcow2(image) => image.discard(offset, len),
        }
    }

    /// Makes everything durable that was written before.
    ///
    /// # Errors
    /// The host's answer; nothing can be said then about what was written since the last flush.
    pub fn flush(&mut self) -> Result<(), ImageError> {
        if self.read_only {
            return Ok(());
        }
        match &mut self.kind {
            Kind::Raw(raw) => raw.flush(),
            Kind::Qcow2(image) => image.flush(),
        }
    }

    fn contains(&self, offset: u64, len: u64) -> Result<(), ImageError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.bytes() => Ok(()),
            _ => Err(ImageError::OutOfRange),
        }
    }

    fn may_change(&self, offset: u64, len: u64) -> Result<(), ImageError> {
        if self.read_only {
            return Err(ImageError::ReadOnly);
        }
        self.contains(offset, len)
    }
}

pub(crate) fn claim(file: &dyn HostFile, write: bool) -> Result<(), ImageError> {
    use std::io::ErrorKind::{PermissionDenied, ResourceBusy};
    file.claim(write).map_err(|error| match error.kind() {
        ResourceBusy => ImageError::Busy,
        PermissionDenied if write => ImageError::NotWritable,
        _ => ImageError::host("locked")(error),
    })
}

/// The next multiple of `unit`, which is a power of two; `None`: there is none.
pub(crate) fn round_up(value: u64, unit: u64) -> Option<u64> {
    Some(value.checked_add(unit - 1)? & !(unit - 1))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn raw(content: &[u8], read_only: bool) -> (File, Image) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let seen = file.reopen().unwrap();
        seen.write_at(0, content).unwrap();
        let layer = Layer {
            format: ImageFormat::Raw,
            file: Box::new(file.reopen().unwrap()),
        };
        (seen, Image::open(vec![layer], read_only).unwrap())
    }

    fn content(image: &mut Image) -> Vec<u8> {
        let mut all = vec![];
        let len = usize::try_from(image.bytes()).unwrap();
        image.read(0, len, &mut all).unwrap();
        all
    }

    #[test]
    fn raw_of_odd_length_is_padded_with_zeros() {
        let (_, mut image) = raw(&[5; 700], true);
        assert_eq!(image.bytes(), 1024);
        assert_eq!(content(&mut image), [vec![5; 700], vec![0; 324]].concat());
    }

    #[test]
    fn raw_of_odd_length_grows_when_its_last_sector_is_written() {
        let (file, mut image) = raw(&[5; 700], false);
        image.write(512, &[6; 512]).unwrap();
        assert_eq!(file.size_bytes().unwrap(), 1024);
        assert_eq!(content(&mut image), [vec![5; 512], vec![6; 512]].concat());
    }

    #[test]
    fn range_outside_is_refused_whatever_the_sum() {
        let (_, mut image) = raw(&[5; 1024], false);
        for (offset, len) in [(1024, 512), (512, 1024), (u64::MAX - 511, 512)] {
            assert_eq!(
                image.write_zeroes(offset, len).unwrap_err().code(),
                "out_of_range"
            );
            assert_eq!(
                image.discard(offset, len).unwrap_err().code(),
                "out_of_range"
            );
            let len = usize::try_from(len).unwrap();
            assert_eq!(
                image.read(offset, len, &mut vec![]).unwrap_err().code(),
                "out_of_range"
            );
            assert_eq!(
                image.write(offset, &vec![0; len]).unwrap_err().code(),
                "out_of_range"
            );
        }
    }

    #[test]
    fn read_only_image_refuses_every_change() {
        let (_, mut image) = raw(&[5; 1024], true);
        assert_eq!(image.write(0, &[0; 512]).unwrap_err().code(), "read_only");
        assert_eq!(image.write_zeroes(0, 512).unwrap_err().code(), "read_only");
        assert_eq!(image.discard(0, 512).unwrap_err().code(), "read_only");
        image.flush().unwrap();
        assert_eq!(content(&mut image), [5; 1024]);
    }

    #[test]
    fn raw_zeroes_and_discard_read_as_zeros() {
        let (_, mut image) = raw(&[5; 4096], false);
        image.write_zeroes(512, 512).unwrap();
        image.discard(2048, 512).unwrap();
        let all = content(&mut image);
        assert_eq!(all.iter().filter(|&&b| b == 0).count(), 1024);
        assert_eq!((all[512], all[2048]), (0, 0));
    }

    #[test]
    fn raw_on_top_of_another_image_is_refused() {
        let layer = || Layer {
            format: ImageFormat::Raw,
            file: Box::new(tempfile::tempfile().unwrap()),
        };
        let refused = Image::open(vec![layer(), layer()], true).unwrap_err();
        assert_eq!(refused.code(), "backing_unexpected");
    }

    #[test]
    fn image_without_a_file_is_refused() {
        assert_eq!(
            Image::open(vec![], true).unwrap_err().code(),
            "bad_argument"
        );
    }

    #[test]
    fn format_that_is_not_known_is_refused_by_name() {
        assert_eq!("qcow2".parse::<ImageFormat>().unwrap(), ImageFormat::Qcow2);
        let refused = "vhd\n".parse::<ImageFormat>().unwrap_err();
        assert!(refused.to_string().contains("vhd\\n"), "{refused}");
    }
}
