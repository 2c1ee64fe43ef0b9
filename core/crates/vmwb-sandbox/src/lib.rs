//! The worker's sandbox: what each thread of a worker may still ask of the host.
//!
//! A thread has a [`Role`], and locks itself in before anything of the guest reaches it: no new privileges, Landlock,
//! and the list of system calls of its role. None of the three can be undone; a thread that is made later inherits them
//! from the one that makes it. What is not here: which files are opened before (the worker's broker does that), and who
//! calls (the machine for its own threads, the worker for the control thread).
//!
//! ```text
//!   worker:  order --> files open --> machine built ----------> lock_control --> guest starts --> clients
//!                                      |
//!   core:                              +-- driver, serial threads: lock_thread, before their first turn
//! ```
//! A call that a role may not make ends the whole process, with a line in the log that names thread and call. Two
//! exceptions, both refused with `ENOSYS` as by a kernel that does not know the call: what C libraries try and can do
//! without, and on the control thread everything that is unknown but no way out (`docs/adr` says why).
#![deny(unsafe_code)]

mod attempts;
mod error;
mod files;
mod filter;
mod host;
mod roles;
mod sys;

use std::os::fd::BorrowedFd;

pub use attempts::Attempt;
pub use error::SandboxError;
pub use files::FilesLocked;
pub use host::HostSupport;
pub use roles::Role;

/// How far a thread is locked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locked {
    /// What Landlock does.
    pub files: FilesLocked,
    /// Whether system calls are filtered.
    pub calls: bool,
}

/// Locks the calling thread of the core in: no file can be opened any more, and only its role's calls can be made.
///
/// What the kernel does not offer is left out, and the answer says so.
///
/// # Errors
/// The kernel offers it, and refused nevertheless.
pub fn lock_thread(role: Role) -> Result<Locked, SandboxError> {
    lock(role, None)
}

/// Locks the calling control thread in: of all files only those below the directory `bundle` can be reached.
///
/// Call it while the calling thread is the only one of the embedder: threads that exist already stay as they are.
///
/// # Errors
/// As [`lock_thread`].
pub fn lock_control(bundle: BorrowedFd<'_>) -> Result<Locked, SandboxError> {
    lock(Role::Control, Some(bundle))
}

fn lock(role: Role, bundle: Option<BorrowedFd<'_>>) -> Result<Locked, SandboxError> {
    sys::tell_of_refusals(role).map_err(SandboxError::Refused)?;
    let files = files::restrict(bundle)?;
    let calls = host::filters_calls();
    if calls {
        filter::install(role)?;
    }
    Ok(Locked { files, calls })
}
