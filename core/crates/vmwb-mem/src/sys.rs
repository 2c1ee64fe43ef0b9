//! The Linux side: memfd and its one mapping.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

/// `n` words that are 0 and cost no memory before they are written.
pub(crate) fn zeroed_words(n: usize) -> Box<[AtomicU32]> {
    // SAFETY: all bits zero is a valid AtomicU32.
    unsafe { Box::new_zeroed_slice(n).assume_init() }
}

/// A shared mapping of an anonymous file, unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len_bytes: usize,
    file: File,
}

// SAFETY: the mapping is plain memory that lives as long as the value; all access goes through raw pointers whose users
// (GuestMemory, the vCPU) accept that contents change under them. Nothing in it is tied to a thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; no method hands out a Rust reference into the mapping.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn new(len_bytes: usize) -> io::Result<Self> {
        // SAFETY: the name is a NUL-terminated literal; the result is checked before it is used as a descriptor.
        let fd = unsafe { libc::memfd_create(c"vmwb-ram".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is a fresh descriptor that nobody else owns.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len(len_bytes as u64)?;
        // SAFETY: a new mapping at an address of the kernel's choice aliases no Rust object; the result is checked.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>())
            .ok_or_else(|| io::Error::other("mmap gave address 0"))?;
        Ok(Self {
            base,
            len_bytes,
            file,
        })
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Copies `bytes` to `offset`; the caller has checked the range.
    pub(crate) fn copy_in(&self, offset: usize, bytes: &[u8]) {
        assert!(
            offset
                .checked_add(bytes.len())
                .is_some_and(|end| end <= self.len_bytes)
        );
        // SAFETY: the range was checked against the mapping; guest RAM never overlaps a host slice.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.base.as_ptr().add(offset),
                bytes.len(),
            )
        }
    }

    /// Copies from `offset` into `bytes`; the caller has checked the range.
    pub(crate) fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        assert!(
            offset
                .checked_add(bytes.len())
                .is_some_and(|end| end <= self.len_bytes)
        );
        // SAFETY: the range was checked against the mapping; guest RAM never overlaps a host slice.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.base.as_ptr().add(offset),
                bytes.as_mut_ptr(),
                bytes.len(),
            )
        }
    }

    /// Gives the pages of `[offset, offset + len)` back to the host; they read as zero afterwards. Page-aligned.
    pub(crate) fn punch(&self, offset: usize, len: usize) -> io::Result<()> {
        let (offset, len) = (
            libc::off_t::try_from(offset).map_err(io::Error::other)?,
            libc::off_t::try_from(len).map_err(io::Error::other)?,
        );
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: fallocate works on our own descriptor; the kernel checks the range.
        let rc = unsafe { libc::fallocate(self.file.as_raw_fd(), mode, offset, len) };
        if rc == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
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
