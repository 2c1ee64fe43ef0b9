//! The Linux side of the runner: waiting for two descriptors. The only unsafe code here.
#![allow(unsafe_code)]

use std::io;
use std::time::Duration;

/// Waits until a descriptor can be read, or `timeout` is over (poll(2)).
///
/// # Errors
/// The host's answer; an interrupting signal is none.
pub fn wait_readable(handles: [i32; 2], timeout: Option<Duration>) -> io::Result<[bool; 2]> {
    let mut fds = handles.map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    let ms = timeout.map_or(-1, |t| i32::try_from(t.as_millis()).unwrap_or(i32::MAX));
    // SAFETY: the array has two entries and lives through the call.
    let rc = unsafe { libc::poll(fds.as_mut_ptr(), 2, ms) };
    if rc < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted {
            Ok([false; 2])
        } else {
            Err(error)
        };
    }
    Ok(fds.map(|f| f.revents != 0))
}
