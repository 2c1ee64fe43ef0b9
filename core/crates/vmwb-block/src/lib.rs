//! Disk images over files that are open already.
//!
//! * [`host`] what an image asks of the host's file, where tests put failures and power cuts in.
//! * [`image`] an image of any format with the images that it is based on: what a drive reads and writes.
//! * [`qcow2`] QEMU's format: what an image is, making, checking and repairing one.
//!
//! Names in an image are never followed: whoever opens it hands over every file of the chain. Everything in a file is
//! hostile: sizes and offsets are bounded before anything is allocated for them.
#![deny(unsafe_code)]

pub mod error;
pub mod host;
pub mod image;
pub mod qcow2;

mod raw;
mod sys;

pub use error::ImageError;
pub use host::HostFile;
pub use image::{Image, ImageFormat, Layer, MAX_CHAIN, OpenOptions, SECTOR_BYTES};

/// A length that has been bounded, as an index.
pub(crate) fn to_usize(value: u64) -> usize {
    usize::try_from(value).expect("a host of 64 bits")
}
