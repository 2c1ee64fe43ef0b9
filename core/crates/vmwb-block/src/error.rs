//! What can be wrong with an image: a stable code, and a sentence that says what to do.

use std::io;

use thiserror::Error;

/// Why an image cannot be opened, or a request on it cannot be carried out.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The host's file failed.
    #[error("The disk image could not be {what}: {}.", told(source))]
    Host {
        /// What was to be done, as in "could not be read".
        what: &'static str,
        /// The host's answer.
        source: io::Error,
    },
    /// Another machine or tool holds the lock.
    #[error(
        "The disk image is in use by another machine or tool; power it off or end it, then try again."
    )]
    Busy,
    /// The handle is for reading only.
    #[error(
        "The disk image may not be written; give yourself the right to write its file, or attach it read-only."
    )]
    NotWritable,
    /// A write to an image that was opened for reading.
    #[error("The disk image is attached read-only and was not changed.")]
    ReadOnly,
    /// Part of the range lies behind the end.
    #[error("The range lies behind the end of the disk image.")]
    OutOfRange,
    /// It is not an image of this format.
    #[error("The file is not a {format} image; choose the right format, or the right file.")]
    WrongFormat {
        /// The format that was expected.
        format: &'static str,
    },
    /// A sound image that needs what we have not got.
    #[error(
        "The disk image uses {feature}, which is not supported; convert it to a plain qcow2 image with the program that made it."
    )]
    Unsupported {
        /// The feature, by name.
        feature: String,
    },
    /// The image contradicts itself or the format.
    #[error("The disk image is damaged: {what}. Restore it from a copy, or try to repair it.")]
    Damaged {
        /// What is wrong, as part of a sentence.
        what: String,
    },
    /// The image says of itself that it is damaged.
    #[error(
        "The disk image is marked as damaged and is not written any more; repair it, or attach it read-only to save its content."
    )]
    MarkedCorrupt,
    /// The host lost writes earlier.
    #[error(
        "The host failed to store what it had accepted earlier, so the disk image is not written any more; power the machine off and check the host's disk."
    )]
    Lost,
    /// Larger than we take.
    #[error(
        "The disk image has {what}, which is more than can be used; convert it to an image with larger clusters."
    )]
    TooLarge {
        /// What is too large, as part of a sentence.
        what: String,
    },
    /// The image is an overlay of another that was not given.
    #[error(
        "The disk image needs the image that it is based on, \"{name}\", which was not given; attach it together with it."
    )]
    BackingMissing {
        /// The name that the image has for it.
        name: String,
    },
    /// More images were given than the chain has.
    #[error("The disk image is not based on another image, but one was given; attach it alone.")]
    BackingUnexpected,
    /// An argument of a new image makes no sense.
    #[error("{0}")]
    BadArgument(String),
}

/// What the user can do about the host's answer.
fn told(error: &io::Error) -> String {
    if is_full(error) {
        "the host's disk is full, free some space and try again".to_owned()
    } else {
        error.to_string()
    }
}

/// Whether the host has no room left.
#[must_use]
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl ImageError {
    /// Stable code of the error, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Host { .. } if self.is_full() => "disk_full",
            Self::Host { .. } => "host_error",
            Self::Busy => "in_use",
            Self::NotWritable => "not_writable",
            Self::ReadOnly => "read_only",
            Self::OutOfRange => "out_of_range",
            Self::WrongFormat { .. } => "wrong_format",
            Self::Unsupported { .. } => "unsupported",
            Self::Damaged { .. } => "damaged",
            Self::MarkedCorrupt => "marked_corrupt",
            Self::Lost => "lost",
            Self::TooLarge { .. } => "image_too_large",
            Self::BackingMissing { .. } => "backing_missing",
            Self::BackingUnexpected => "backing_unexpected",
            Self::BadArgument(_) => "bad_argument",
        }
    }

    /// Whether the host has no room left: it may be tried again later.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Host { source, .. } if is_full(source))
    }

    /// Wraps the host's answer; `what` was to be done.
    pub(crate) fn host(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Host { what, source }
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}
