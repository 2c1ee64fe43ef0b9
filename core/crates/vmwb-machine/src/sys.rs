//! The Linux side of the machine: eventfd, poll, holes of files, CPU time of a thread. The only unsafe code here.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A counter that is readable while it is not zero (eventfd(2)).
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A new counter at 0.
    ///
    /// # Errors
    /// The host's answer.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers; the result is checked before it is used as a descriptor.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is a fresh descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes it readable.
    pub fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the buffer has the 8 bytes that eventfd wants. EAGAIN means that the counter is full: readable.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes it unreadable.
    pub fn clear(&self) {
        let mut count = [0u8; 8];
        // SAFETY: the buffer has the 8 bytes that eventfd gives. EAGAIN means that it was clear.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }

    /// The descriptor.
    #[must_use]
    pub fn raw(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// One descriptor to wait for.
#[derive(Debug, Clone, Copy)]
pub struct Interest {
    /// Descriptor.
    pub fd: i32,
    /// Wait until it can be read.
    pub read: bool,
    /// Wait until it can be written.
    pub write: bool,
}

/// What a descriptor is ready for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// It can be read, or its other end is gone.
    pub read: bool,
    /// It can be written.
    pub write: bool,
    /// Its other end is gone.
    pub gone: bool,
}

/// Waits until a descriptor is ready, or `timeout` is over (poll(2)). One answer an interest.
///
/// # Errors
/// The host's answer; an interrupting signal is not an error and gives no ready descriptor.
pub fn poll(interests: &[Interest], timeout: Option<Duration>) -> io::Result<Vec<Ready>> {
    let mut fds: Vec<libc::pollfd> = interests
        .iter()
        .map(|i| {
            let events =
                if i.read { libc::POLLIN } else { 0 } | if i.write { libc::POLLOUT } else { 0 };
            libc::pollfd {
                fd: i.fd,
                events,
                revents: 0,
            }
        })
        .collect();
    let ms = timeout.map_or(-1, |t| i32::try_from(t.as_millis()).unwrap_or(i32::MAX));
    let count = libc::nfds_t::try_from(fds.len()).map_err(io::Error::other)?;
    // SAFETY: the array has `count` entries and lives through the call.
    let rc = unsafe { libc::poll(fds.as_mut_ptr(), count, ms) };
    if rc < 0 {
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::Interrupted {
            return Ok(vec![Ready::default(); interests.len()]);
        }
        return Err(error);
    }
    let gone = libc::POLLHUP | libc::POLLERR | libc::POLLNVAL;
    Ok(fds
        .iter()
        .map(|f| Ready {
            read: f.revents & (libc::POLLIN | gone) != 0,
            write: f.revents & libc::POLLOUT != 0,
            gone: f.revents & gone != 0,
        })
        .collect())
}

/// The next range of data in a file at or after `from`; `None` when only holes follow (lseek(2), SEEK_DATA).
///
/// # Errors
/// The host's answer.
pub fn next_data(file: &File, from: u64) -> io::Result<Option<(u64, u64)>> {
    let Some(start) = seek(file, from, libc::SEEK_DATA)? else {
        return Ok(None);
    };
    let end = seek(file, start, libc::SEEK_HOLE)?.unwrap_or(start);
    Ok(Some((start, end)))
}

fn seek(file: &File, from: u64, whence: i32) -> io::Result<Option<u64>> {
    let offset = libc::off_t::try_from(from).map_err(io::Error::other)?;
    // SAFETY: lseek takes no pointers; the descriptor is open as long as `file` lives.
    let at = unsafe { libc::lseek(file.as_raw_fd(), offset, whence) };
    match u64::try_from(at) {
        Ok(at) => Ok(Some(at)),
        Err(_) => {
            let error = io::Error::last_os_error();
            if error.raw_os_error() == Some(libc::ENXIO) {
                Ok(None)
            } else {
                Err(error)
            }
        }
    }
}

/// CPU time that the calling thread has used, in seconds.
#[must_use]
pub fn thread_cpu_seconds() -> f64 {
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is ours and lives through the call; the clock exists on every Linux.
    let rc = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut t) };
    if rc != 0 {
        return 0.0;
    }
    let d = Duration::new(
        u64::try_from(t.tv_sec).unwrap_or(0),
        u32::try_from(t.tv_nsec).unwrap_or(0),
    );
    d.as_secs_f64()
}

/// 64 random bits of the host (getrandom(2)).
///
/// # Panics
/// When the host has no random numbers, which Linux rules out once its pool is initialized: a guest must not be given a
/// predictable number in their place.
#[must_use]
pub fn random() -> u64 {
    let mut bytes = [0u8; 8];
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: the pointer and the length are those of our own buffer.
        let n = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(n) {
            Ok(n) => filled += n,
            Err(_) => assert_eq!(
                io::Error::last_os_error().kind(),
                io::ErrorKind::Interrupted,
                "the host gives no random numbers"
            ),
        }
    }
    u64::from_ne_bytes(bytes)
}

/// Whether a file is open for writing, too.
///
/// # Errors
/// The host's answer.
pub fn is_writable(file: &File) -> io::Result<bool> {
    // SAFETY: F_GETFL takes no argument.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(flags & libc::O_ACCMODE != libc::O_RDONLY)
}

/// A descriptor of our own for the caller's `handle`, which stays the caller's.
///
/// # Errors
/// The number is not an open descriptor.
pub fn duplicate(handle: i32) -> io::Result<File> {
    if handle < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the descriptor is only duplicated; if it is not open the call fails and nothing is owned.
    let owned = unsafe { BorrowedFd::borrow_raw(handle) }.try_clone_to_owned()?;
    Ok(File::from(owned))
}
