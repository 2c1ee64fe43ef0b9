//! The media behind the machine's disk controllers: image files, each served by a thread of its own.
//!
//! ```text
//!  device ── submit ──▶ queue ──▶ drive's thread ──▶ image files
//!     ▲                                 │
//!     └── take_reply ◀── answers ◀──────┘── waker ──▶ whoever lets the device look for answers
//! ```
//! The thread opens the image too, so that everything that a file says is parsed where least can be done: it has the
//! drive's own list of system calls. It carries requests out one after another, in order; a flush therefore covers
//! every request before it.
//!
//! In a deterministic machine an answer is there at the request's time plus [`LATENCY`], neither earlier nor later: who
//! asks for it then waits for the thread.

mod counters;
mod file_drive;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use thiserror::Error;
use vmwb_block::{Image, ImageError, ImageFormat, Layer};
use vmwb_devices::fdc::{FloppyFormat, NotAFloppy};
use vmwb_hw::{BlockBackend, Nanos};

use crate::spec::{DriveKind, DriveSlot};
pub use counters::{DriveCounters, DriveStats};
use file_drive::FileDrive;

/// Bytes of a sector of a data CD (ECMA-130, section 14).
const CD_SECTOR_BYTES: u64 = 2048;

/// How long a request of a deterministic machine takes: 100 microseconds of virtual time.
pub const LATENCY: Nanos = Nanos(100_000);

/// The counters of a machine's drives. They are the drive's, not the medium's: a change of the medium goes on counting.
pub type AllCounters = BTreeMap<DriveSlot, Arc<DriveCounters>>;

/// Told from a drive's thread that an answer has arrived; must neither block nor call back into the drive.
pub type Waker = Box<dyn Fn() + Send>;

/// How a drive is opened.
pub struct DriveOptions {
    /// Name of its thread, at most 15 characters, and of nothing else.
    pub name: String,
    /// Writes are refused, and other readers of the image are welcome.
    pub read_only: bool,
    /// Answers arrive at fixed virtual times; the waker is not used then.
    pub deterministic: bool,
    /// Its thread is locked in.
    pub confined: bool,
    /// Told of every answer.
    pub waker: Waker,
    /// What it does is counted there.
    pub counters: Arc<DriveCounters>,
}

impl std::fmt::Debug for DriveOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DriveOptions")
            .field("name", &self.name)
            .field("read_only", &self.read_only)
            .field("deterministic", &self.deterministic)
            .field("confined", &self.confined)
            .finish_non_exhaustive()
    }
}

/// One file of a medium: the image first, then the one that it is based on, and so on.
#[derive(Debug)]
pub struct ImageFile {
    /// Its format.
    pub format: ImageFormat,
    /// Open for reading; the first of a drive that is written, for writing too.
    pub file: File,
}

/// Why a drive could not be opened.
#[derive(Debug, Error)]
pub enum DriveError {
    /// The image was refused.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// No floppy disk has this size.
    #[error(transparent)]
    Floppy(#[from] NotAFloppy),
    /// No CD is so small.
    #[error(
        "A CD image of {bytes} bytes holds not even one sector of 2048 bytes: choose an image of a CD, or a folder to make \
         one of."
    )]
    NoDisc {
        /// Size of the image.
        bytes: u64,
    },
    /// A disk without a sector.
    #[error(
        "The disk image is empty: give it a size, for example with `truncate -s 8G`, or choose another."
    )]
    NoSectors,
    /// The host has no thread to give, or does not let it be locked in.
    #[error("The drive's thread could not be started: {0}.")]
    Thread(#[source] io::Error),
}

impl DriveError {
    /// Stable code of the error, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Image(error) => error.code(),
            Self::Floppy(_) | Self::NoDisc { .. } | Self::NoSectors => "wrong_format",
            Self::Thread(_) => "host_error",
        }
    }
}

/// A drive that is ready.
#[derive(Debug)]
pub struct OpenDrive {
    /// For the device. Dropping it carries out what is under way, makes it durable and closes the files.
    pub backend: Box<dyn BlockBackend>,
}

/// Opens a medium. Makes a thread, so it is called by the embedder's threads, never by one that is locked in.
///
/// # Errors
/// The image was refused, or there is no thread for it.
pub fn open(chain: Vec<ImageFile>, options: DriveOptions) -> Result<OpenDrive, DriveError> {
    let layers: Vec<Layer> = chain
        .into_iter()
        .map(|ImageFile { format, file }| Layer {
            format,
            file: Box::new(file),
        })
        .collect();
    let read_only = options.read_only;
    open_with(move || Image::open(layers, read_only), options)
}

/// Size in bytes of a raw image, which the block layer rounds up to whole sectors; `None` for other formats and host
/// devices.
#[must_use]
pub fn raw_bytes(image: &ImageFile) -> Option<u64> {
    let raw = image.format == ImageFormat::Raw;
    let metadata = image.file.metadata().ok().filter(|m| raw && m.is_file());
    metadata.map(|m| m.len())
}

/// Refuses a medium that no drive of its kind reads. `raw_bytes`: see [`raw_bytes`].
///
/// # Errors
/// No medium of this kind has this size.
pub fn check_size(
    kind: DriveKind,
    opened: &OpenDrive,
    raw_bytes: Option<u64>,
) -> Result<(), DriveError> {
    let bytes = raw_bytes.or(opened.backend.info().map(|info| info.bytes));
    let bytes = bytes.unwrap_or(0);
    match kind {
        DriveKind::Floppy => FloppyFormat::of_size(bytes).map(drop)?,
        DriveKind::Cdrom if bytes < CD_SECTOR_BYTES => return Err(DriveError::NoDisc { bytes }),
        DriveKind::Disk if bytes == 0 => return Err(DriveError::NoSectors),
        DriveKind::Cdrom | DriveKind::Disk => {}
    }
    Ok(())
}

/// Opens a medium that a function makes, in the drive's thread.
fn open_with(
    make: impl FnOnce() -> Result<Image, ImageError> + Send + 'static,
    options: DriveOptions,
) -> Result<OpenDrive, DriveError> {
    let drive = FileDrive::start(make, options)?;
    Ok(OpenDrive {
        backend: Box::new(drive),
    })
}
