//! Files of a boot: read by offset only, so that a handle can be shared, and never whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use vmwb_mem::{GuestAddress, GuestMemory};

use super::error::BootError;

/// Bytes copied from a file to memory at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// The first `most` bytes of a file of `file_bytes`, or all of it.
///
/// # Errors
/// It cannot be read.
pub fn beginning(
    file: &File,
    what: &'static str,
    file_bytes: u64,
    most: usize,
) -> Result<Vec<u8>, BootError> {
    let mut start = vec![0; usize::try_from(file_bytes).map_or(most, |len| len.min(most))];
    file.read_exact_at(&mut start, 0)
        .map_err(read_error(what))?;
    Ok(start)
}

/// Length of a regular file in bytes.
///
/// # Errors
/// It is not one, or says nothing.
pub fn length(file: &File, what: &'static str) -> Result<u64, BootError> {
    let meta = file.metadata().map_err(read_error(what))?;
    if !meta.is_file() {
        return Err(BootError::Read {
            what,
            source: io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"),
        });
    }
    Ok(meta.len())
}

/// Says what could not be read.
pub fn read_error(what: &'static str) -> impl FnOnce(io::Error) -> BootError {
    move |source| BootError::Read { what, source }
}

/// Copies `left` bytes from `offset` of a file into memory at `to`, without holding the file in memory.
///
/// # Errors
/// It cannot be read; there is no RAM.
pub fn copy_in(
    memory: &GuestMemory,
    file: &File,
    what: &'static str,
    mut offset: u64,
    mut to: u64,
    mut left: u64,
) -> Result<(), BootError> {
    let mut buffer = vec![0; CHUNK_BYTES];
    while left > 0 {
        let n = usize::try_from(left).map_or(CHUNK_BYTES, |l| l.min(CHUNK_BYTES));
        file.read_exact_at(&mut buffer[..n], offset)
            .map_err(read_error(what))?;
        memory.write(GuestAddress(to), &buffer[..n])?;
        offset += n as u64;
        to += n as u64;
        left -= n as u64;
    }
    Ok(())
}
