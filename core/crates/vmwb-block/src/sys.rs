//! The Linux side: reads into new memory, holes of files, locks that belong to a handle. The only unsafe code here.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// QEMU's bytes for locks (its block/file-posix.c): from here on one for each thing that a user of the file does ...
const DOES: i64 = 100;
/// ... and from here on one for each thing that it does not want others to do meanwhile.
const FORBIDS: i64 = 200;
/// What one may do to an image (QEMU's block-common.h): read it, write what it says, change its size.
const READS: i64 = 0;
const WRITES: i64 = 1;
const RESIZES: i64 = 3;

fn offset_of(offset: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// Appends up to `len` bytes from `offset` on to a buffer; 0 at the end of the file (pread(2)).
///
/// # Errors
/// The host's answer; the buffer is as it was.
pub fn append(file: &File, offset: u64, len: usize, out: &mut Vec<u8>) -> io::Result<usize> {
    let offset = offset_of(offset)?;
    out.reserve(len);
    let spare = out.spare_capacity_mut();
    let len = len.min(spare.len());
    // SAFETY: pread writes at most `len` bytes to memory that `out` has to spare.
    let read = unsafe { libc::pread(file.as_raw_fd(), spare.as_mut_ptr().cast(), len, offset) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    debug_assert!(read <= len);
    // SAFETY: that many bytes behind the old length are within the capacity, and the kernel has just filled them.
    unsafe { out.set_len(out.len() + read) };
    Ok(read)
}

/// Makes a hole without changing the size (fallocate(2)).
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] where there are no holes; otherwise the host's answer.
pub fn punch(file: &File, offset: u64, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    let (offset, len) = (offset_of(offset)?, offset_of(len)?);
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    loop {
        // SAFETY: fallocate takes no pointers.
        if unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::ENODEV) => {
                return Err(io::ErrorKind::Unsupported.into());
            }
            _ => return Err(error),
        }
    }
}

/// The first byte of data from `from` on; `None` when only holes follow (lseek(2), SEEK_DATA).
///
/// # Errors
/// The host's answer.
pub fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    let offset = offset_of(from)?;
    // SAFETY: lseek takes no pointers.
    let at = unsafe { libc::lseek(file.as_raw_fd(), offset, libc::SEEK_DATA) };
    if let Ok(at) = u64::try_from(at) {
        return Ok(Some(at));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENXIO) => Ok(None),
        Some(libc::EINVAL) => Ok(Some(from)),
        _ => Err(error),
    }
}

/// Locks an image as QEMU does, so that neither another machine nor a tool of QEMU's changes it meanwhile. The lock
/// belongs to the open handle and its duplicates and ends with the last of them (fcntl(2), open file description locks).
/// Where the file system has no locks there is none.
///
/// # Errors
/// See [`crate::HostFile::claim`].
pub fn lock(file: &File, write: bool) -> io::Result<()> {
    // SAFETY: F_GETFL takes no argument.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    if write && flags & libc::O_ACCMODE == libc::O_RDONLY {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let does: &[i64] = if write {
        &[READS, WRITES, RESIZES]
    } else {
        &[READS]
    };
    let forbids = [WRITES, RESIZES];
    let bytes = does
        .iter()
        .map(|bit| DOES + bit)
        .chain(forbids.iter().map(|bit| FORBIDS + bit));
    for byte in bytes {
        if !take(file, byte)? {
            return Ok(());
        }
    }
    // Taken first, looked around afterwards: of two that come at once at least one sees the other.
    for byte in forbids
        .iter()
        .map(|bit| DOES + bit)
        .chain(does.iter().map(|bit| FORBIDS + bit))
    {
        if taken_by_another(file, byte)? {
            release(file)?;
            return Err(io::ErrorKind::ResourceBusy.into());
        }
    }
    Ok(())
}

fn range(kind: i32, start: i64, len: i64) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: 0,
        l_start: start,
        l_len: len,
        l_pid: 0,
    }
}

/// `false`: this file system has no locks.
fn take(file: &File, byte: i64) -> io::Result<bool> {
    let range = range(libc::F_RDLCK, byte, 1);
    // SAFETY: the structure lives through the call, which only reads it.
    let rc = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) };
    if rc == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Err(io::ErrorKind::ResourceBusy.into()),
        Some(libc::ENOLCK | libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP) => Ok(false),
        // Open for writing only: nothing could be read from it either.
        Some(libc::EBADF) => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Err(error),
    }
}

fn taken_by_another(file: &File, byte: i64) -> io::Result<bool> {
    let mut range = range(libc::F_WRLCK, byte, 1);
    // SAFETY: the structure is ours and lives through the call, which answers in it.
    let rc = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut range) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(i32::from(range.l_type) != libc::F_UNLCK)
}

/// Gives up what was taken.
fn release(file: &File) -> io::Result<()> {
    let range = range(libc::F_UNLCK, DOES, 2 * (FORBIDS - DOES));
    // SAFETY: the structure lives through the call, which only reads it.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
