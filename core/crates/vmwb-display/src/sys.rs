//! The Linux side: sealed memfd, its mappings, and the only unsafe code of the crate.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::NonNull;

use crate::layout::{FILE_BYTES, Header};

/// `F_SEAL_FUTURE_WRITE` of linux/fcntl.h (Linux 5.1): no new writable mappings and no write(2); ours stays writable.
const SEAL_FUTURE_WRITE: libc::c_int = 0x10;

/// Makes the memory: [`FILE_BYTES`] long, sparse, unnamed.
pub(crate) fn create() -> io::Result<File> {
    // SAFETY: the name is a NUL-terminated literal; the result is checked before it is used as a descriptor.
    let fd = unsafe {
        libc::memfd_create(
            c"vmwb-display".as_ptr(),
            libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` is a fresh descriptor that nobody else owns.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(FILE_BYTES)?;
    Ok(file)
}

/// Fixes the memory's length, lets nobody else write to it, and seals the seals.
pub(crate) fn seal(file: &File) -> io::Result<()> {
    let size = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    // A kernel before 5.1 does not know this seal and refuses it; the other seals are what readers rely on.
    match add_seals(file, SEAL_FUTURE_WRITE) {
        Err(e) if e.raw_os_error() != Some(libc::EINVAL) => return Err(e),
        _ => {}
    }
    add_seals(file, size | libc::F_SEAL_SEAL)
}

fn add_seals(file: &File, seals: libc::c_int) -> io::Result<()> {
    // SAFETY: fcntl works on our own descriptor with an integer argument.
    let rc = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) };
    if rc < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The seals of a memfd.
pub(crate) fn seals(file: &File) -> io::Result<libc::c_int> {
    // SAFETY: fcntl works on a descriptor that `file` owns.
    let rc = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    if rc < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(rc)
    }
}

/// A shared mapping of the whole memory, unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len_bytes: usize,
}

// SAFETY: the mapping is plain memory that lives as long as the value and is tied to no thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the first [`FILE_BYTES`] of `file`, which the caller has found to be that long and sealed against shrinking.
    pub(crate) fn new(file: &File, writable: bool) -> io::Result<Self> {
        let len_bytes = usize::try_from(FILE_BYTES).map_err(io::Error::other)?;
        let protection = if writable {
            libc::PROT_READ | libc::PROT_WRITE
        } else {
            libc::PROT_READ
        };
        // SAFETY: a new mapping at an address of the kernel's choice aliases no Rust object; the result is checked.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len_bytes,
                protection,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>())
            .ok_or_else(|| io::Error::other("mmap gave address 0"))?;
        Ok(Self { base, len_bytes })
    }

    /// The header. Its fields are atomics, so both sides may use it at the same time; a reader only loads.
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned and longer than the header, lives as long as `self`, and any bytes are a
        // valid Header.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    /// Copies `bytes` to `offset`. Only for a writable mapping, behind the header.
    pub(crate) fn copy_in(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset >= size_of::<Header>());
        assert!(
            offset
                .checked_add(bytes.len())
                .is_some_and(|end| end <= self.len_bytes)
        );
        // SAFETY: the range was checked against the mapping, whose memory is no Rust object; `bytes` cannot overlap it.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.base.as_ptr().add(offset),
                bytes.len(),
            )
        }
    }

    /// Copies pixels to `offset`, as little-endian words. Only for a writable mapping, behind the header.
    pub(crate) fn copy_in_pixels(&mut self, offset: usize, pixels: &[u32]) {
        // SAFETY: any bytes of a `u32` are valid bytes, `u8` has no alignment, and the length is that of the slice; hosts
        // are little-endian, as the layout says.
        let bytes = unsafe {
            std::slice::from_raw_parts(pixels.as_ptr().cast::<u8>(), size_of_val(pixels))
        };
        self.copy_in(offset, bytes);
    }

    /// Copies from `offset` into `bytes`. `false` when the range lies outside.
    pub(crate) fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> bool {
        let inside = offset
            .checked_add(bytes.len())
            .is_some_and(|end| end <= self.len_bytes);
        if inside {
            // SAFETY: the range was checked against the mapping; `bytes` cannot overlap it. The writer may change the
            // bytes meanwhile: they are copied as they are, and the sequence tells whether they are worth anything.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    self.base.as_ptr().add(offset),
                    bytes.as_mut_ptr(),
                    bytes.len(),
                )
            }
        }
        inside
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and length are those of the mapping made in `new`; nobody can use it after the drop.
        unsafe {
            libc::munmap(self.base.as_ptr().cast(), self.len_bytes);
        }
    }
}
