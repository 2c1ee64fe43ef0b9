//! Saved state of a machine as a whole: which machine it was, and the inputs that waited.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};
use vmwb_snapshot::{Schema, SnapshotError};

use crate::error::MachineError;
use crate::input::Input;
use crate::spec::MachineSpec;

/// The machine that a state belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineV1 {
    /// Its definition as JSON.
    pub spec_json: String,
}

impl Schema for MachineV1 {
    const KIND: &'static str = "machine";
    const VERSION: u32 = 1;
}

impl MachineV1 {
    /// The identity of a machine with this definition.
    #[must_use]
    pub fn of(spec: &MachineSpec) -> Self {
        Self {
            spec_json: spec.to_json(),
        }
    }

    /// Whether the state fits a machine with this definition. Name and pace may differ: the guest does not see them.
    ///
    /// # Errors
    /// It was taken from other hardware, or is damaged.
    pub fn check(&self, spec: &MachineSpec) -> Result<(), MachineError> {
        let saved = MachineSpec::from_json(&self.spec_json)
            .map_err(|e| SnapshotError::damaged(Self::KIND, e.to_string()))?;
        let comparable = |s: &MachineSpec| MachineSpec {
            name: String::new(),
            pace: true,
            ..s.clone()
        };
        if comparable(&saved) == comparable(spec) {
            return Ok(());
        }
        let reason = "it was taken from a machine with another definition; restore the definition of that time";
        Err(SnapshotError::damaged(Self::KIND, reason).into())
    }
}

/// Inputs that had not been delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputV1 {
    /// In the order of their arrival.
    pub waiting: Vec<Input>,
}

impl Schema for InputV1 {
    const KIND: &'static str = "input";
    const VERSION: u32 = 1;
}

/// Replaces a file's content and waits until it is on disk.
///
/// # Errors
/// The host's answer.
pub fn write_all(file: &File, bytes: &[u8]) -> Result<(), MachineError> {
    let write = || -> io::Result<()> {
        file.set_len(0)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()
    };
    write().map_err(MachineError::host("The machine's state could not be saved"))
}
