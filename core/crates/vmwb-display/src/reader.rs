//! The reader's side, for tests and tools in this language. It trusts the memory no more than any other reader does.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::fence;

use thiserror::Error;
use vmwb_hw::{TextCell, TextScreen};

use crate::layout;
use crate::sys::{self, Mapping};

/// How often a reader tries for a sound header before it gives up.
const ATTEMPTS: u32 = 64;

/// Why a picture could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The descriptor is no framebuffer of this version.
    #[error("this is not a shared screen of layout version 1: {0}")]
    NotAFramebuffer(&'static str),
    /// The host refused.
    #[error("the shared screen could not be mapped: {0}")]
    Host(#[from] io::Error),
    /// The header was never sound.
    #[error("the shared screen changes faster than it can be read")]
    Busy,
    /// The header points outside the memory.
    #[error("the shared screen's header points outside its memory")]
    OutOfBounds,
}

/// One picture, copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFrame {
    /// Sequence at which it was sound.
    pub sequence: u64,
    /// Changes of the mode so far.
    pub generation: u32,
    /// Pixels across.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// First and last line that may differ from the picture before.
    pub dirty: (u32, u32),
    /// `width * height` pixels, 00RRGGBBh.
    pub pixels: Vec<u32>,
    /// The text screen, in text modes.
    pub text: Option<TextScreen>,
}

/// A read-only mapping of a framebuffer.
#[derive(Debug)]
pub struct Reader {
    map: Mapping,
}

impl Reader {
    /// Maps the memory behind a descriptor.
    ///
    /// # Errors
    /// [`ReadError::NotAFramebuffer`] when it is something else, or not sealed.
    pub fn open(fd: OwnedFd) -> Result<Self, ReadError> {
        let file = File::from(fd);
        if file.metadata()?.len() != layout::FILE_BYTES {
            return Err(ReadError::NotAFramebuffer("it has another length"));
        }
        // Without this seal a writer could cut the file under the mapping, and reading would end in SIGBUS.
        if sys::seals(&file)? & libc::F_SEAL_SHRINK == 0 {
            return Err(ReadError::NotAFramebuffer("its length is not sealed"));
        }
        let map = Mapping::new(&file, false)?;
        let header = map.header();
        if header.magic.load(Acquire) != layout::MAGIC
            || header.version.load(Relaxed) != layout::LAYOUT_VERSION
        {
            return Err(ReadError::NotAFramebuffer("magic number or version differ"));
        }
        Ok(Self { map })
    }

    /// The sequence now: unchanged means that nothing was published since.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.map.header().sequence.load(Acquire)
    }

    /// Copies the picture.
    ///
    /// # Errors
    /// [`ReadError::Busy`] or [`ReadError::OutOfBounds`].
    pub fn frame(&self) -> Result<ReadFrame, ReadError> {
        for _ in 0..ATTEMPTS {
            let sequence = self.sequence();
            let frame = self.copy(sequence);
            fence(Acquire);
            // Unchanged and even: nothing was published while header, cells and pixels were copied.
            if sequence.is_multiple_of(2) && self.map.header().sequence.load(Relaxed) == sequence {
                return frame;
            }
            std::hint::spin_loop();
        }
        Err(ReadError::Busy)
    }

    fn copy(&self, sequence: u64) -> Result<ReadFrame, ReadError> {
        let h = self.map.header();
        let (width, height, stride) = (
            h.width.load(Relaxed),
            h.height.load(Relaxed),
            h.stride.load(Relaxed),
        );
        let active = h.active.load(Relaxed);
        let sound = width <= layout::MAX_WIDTH
            && height <= layout::MAX_HEIGHT
            && stride >= width * layout::BYTES_PER_PIXEL
            && u64::from(stride) * u64::from(height) <= layout::BUFFER_BYTES
            && active < layout::BUFFER_COUNT;
        if !sound {
            return Err(ReadError::OutOfBounds);
        }
        let start = layout::BUFFER_OFFSET + u64::from(active) * layout::BUFFER_BYTES;
        let mut bytes = vec![0; to_usize(u64::from(stride) * u64::from(height))?];
        self.copy_out(start, &mut bytes)?;
        let row_bytes = to_usize(u64::from(width * layout::BYTES_PER_PIXEL))?;
        let pixels = bytes
            .chunks_exact(to_usize(u64::from(stride))?.max(1))
            .flat_map(|row| row[..row_bytes].as_chunks::<4>().0)
            .map(|&pixel| u32::from_le_bytes(pixel))
            .collect();
        Ok(ReadFrame {
            sequence,
            generation: h.generation.load(Relaxed),
            width,
            height,
            dirty: (h.dirty_first.load(Relaxed), h.dirty_last.load(Relaxed)),
            pixels,
            text: self.copy_text()?,
        })
    }

    fn copy_text(&self) -> Result<Option<TextScreen>, ReadError> {
        let h = self.map.header();
        let (columns, rows) = (h.columns.load(Relaxed), h.rows.load(Relaxed));
        if columns == 0 {
            return Ok(None);
        }
        if columns > layout::MAX_COLUMNS || rows > layout::MAX_ROWS {
            return Err(ReadError::OutOfBounds);
        }
        let mut bytes = vec![0; to_usize(u64::from(columns * rows * layout::BYTES_PER_CELL))?];
        self.copy_out(layout::TEXT_OFFSET, &mut bytes)?;
        let cell = |&[character, attribute]: &[u8; 2]| TextCell {
            character,
            attribute,
        };
        let narrow = |n: u32| u16::try_from(n).map_err(|_| ReadError::OutOfBounds);
        let cursor = (
            narrow(h.cursor_column.load(Relaxed))?,
            narrow(h.cursor_row.load(Relaxed))?,
        );
        Ok(Some(TextScreen {
            columns: narrow(columns)?,
            rows: narrow(rows)?,
            cells: bytes.as_chunks::<2>().0.iter().map(cell).collect(),
            cursor: (h.cursor_visible.load(Relaxed) != 0).then_some(cursor),
        }))
    }

    fn copy_out(&self, offset: u64, bytes: &mut [u8]) -> Result<(), ReadError> {
        if self.map.copy_out(to_usize(offset)?, bytes) {
            Ok(())
        } else {
            Err(ReadError::OutOfBounds)
        }
    }
}

fn to_usize(n: u64) -> Result<usize, ReadError> {
    usize::try_from(n).map_err(|_| ReadError::OutOfBounds)
}
