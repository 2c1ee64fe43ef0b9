//! Errors of a machine: a stable code and one sentence for the user.

use std::io;

use thiserror::Error;
use vmwb_devices::vga::VgaError;
use vmwb_mem::MemError;
use vmwb_snapshot::SnapshotError;

use crate::boot::BootError;
use crate::drives::DriveError;
use crate::spec::SpecError;

/// Why a machine could not be made, or a request could not be met.
#[derive(Debug, Error)]
pub enum MachineError {
    /// The definition is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The kernel or the initial RAM disk is wrong.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// A medium was refused.
    #[error("Drive {slot}: {source}")]
    Drive {
        /// The drive that it is for.
        slot: String,
        /// Why.
        source: DriveError,
    },
    /// The host has no memory for the guest.
    #[error(transparent)]
    Memory(#[from] MemError),
    /// The display adapter cannot be made with its memory or its ROM.
    #[error(transparent)]
    Display(#[from] VgaError),
    /// Saved state was refused, or could not be encoded.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The power table forbids the request.
    #[error("{0}")]
    WrongState(&'static str),
    /// There is no room or no time for it now; it may be tried again.
    #[error("{0}")]
    Busy(String),
    /// The guest has locked the tray of a drive.
    #[error("{0}")]
    TrayHeld(String),
    /// There is no such port, slot or thing.
    #[error("{0}")]
    NotFound(String),
    /// An argument is malformed.
    #[error("{0}")]
    BadArgument(String),
    /// The host refused an operation.
    #[error("{what}: {}.", reason(source))]
    Host {
        /// What was being done, as the start of a sentence.
        what: &'static str,
        /// The host's answer.
        source: io::Error,
    },
    /// The machine's threads have ended.
    #[error("The machine is closed; make a new one.")]
    Closed,
}

/// What the user can do about the host's answer.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full, free some space and try again".to_owned()
        }
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        _ => error.to_string(),
    }
}

impl MachineError {
    /// Stable code of the error, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Spec(_) => "bad_spec",
            Self::Boot(e) => e.code(),
            Self::Drive { source, .. } => source.code(),
            Self::Memory(_) => "no_memory",
            Self::Display(_) => "bad_firmware",
            Self::Snapshot(_) => "bad_state",
            Self::WrongState(_) => "wrong_state",
            Self::Busy(_) => "busy",
            Self::TrayHeld(_) => "tray_held",
            Self::NotFound(_) => "not_found",
            Self::BadArgument(_) => "bad_argument",
            Self::Host { .. } => "host_error",
            Self::Closed => "closed",
        }
    }

    /// Wraps a host error; `what` is the start of a sentence, for example "the RAM could not be written".
    pub fn host(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Host { what, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_told_as_what_to_do_about_it() {
        let full = io::Error::from_raw_os_error(libc::ENOSPC);
        let error = MachineError::host("The machine's state could not be saved")(full);
        assert_eq!(
            error.to_string(),
            "The machine's state could not be saved: the disk is full, free some space and try again."
        );
    }

    #[test]
    fn every_other_answer_of_the_host_is_a_whole_sentence() {
        for number in [libc::EROFS, libc::EIO, libc::EMFILE] {
            let error = MachineError::host("It failed")(io::Error::from_raw_os_error(number));
            assert!(error.to_string().ends_with('.'));
        }
    }
}
