//! One device's saved state: kind, version, CBOR bytes.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// Largest payload that is read, in bytes (guest RAM is not a payload).
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// Why saved state was refused.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The payload belongs to another device.
    #[error("saved state of '{found}' was offered where '{expected}' was expected")]
    WrongKind {
        /// What the reader wanted.
        expected: String,
        /// What the file holds.
        found: String,
    },
    /// The payload was written by a newer version of the program.
    #[error(
        "saved state of '{kind}' has version {found}; this build reads up to version {newest}: use the newer build that wrote it"
    )]
    NewerVersion {
        /// Device.
        kind: String,
        /// Version in the file.
        found: u32,
        /// Newest version known here.
        newest: u32,
    },
    /// The bytes are not what the schema says.
    #[error("saved state of '{kind}' is damaged: {reason}")]
    Damaged {
        /// Device.
        kind: String,
        /// What is wrong.
        reason: String,
    },
    /// A device that the machine has is missing in the file.
    #[error("the saved state has no '{0}'; it was taken from a machine with other hardware")]
    Missing(String),
    /// The file holds state that no device asked for.
    #[error("the saved state holds '{0}', which this machine does not have")]
    Unclaimed(String),
    /// The container's frame is wrong.
    #[error("this is not a saved machine state: {0}")]
    NotAContainer(String),
}

impl SnapshotError {
    /// Reports damage in the payload of `kind`.
    pub fn damaged(kind: &str, reason: impl Into<String>) -> Self {
        Self::Damaged {
            kind: kind.to_owned(),
            reason: reason.into(),
        }
    }
}

/// A frozen payload type: its kind and version never change once released.
pub trait Schema: Serialize + DeserializeOwned {
    /// Stable name of the device or part, for example `"pic"`.
    const KIND: &'static str;
    /// Version of this type, from 1.
    const VERSION: u32;
}

/// Saved state of one device or part, still encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Instance name: the kind, or `kind.n` where a machine has several.
    pub name: String,
    /// Schema kind.
    pub kind: String,
    /// Schema version.
    pub version: u32,
    /// CBOR map with field names (RFC 8949).
    pub bytes: Vec<u8>,
}

impl Payload {
    /// Encodes `state` under the instance name `name`.
    ///
    /// # Errors
    /// [`SnapshotError::Damaged`] when the type cannot be expressed as CBOR.
    pub fn encode<S: Schema>(name: &str, state: &S) -> Result<Self, SnapshotError> {
        let mut bytes = Vec::new();
        ciborium::into_writer(state, &mut bytes)
            .map_err(|e| SnapshotError::damaged(S::KIND, e.to_string()))?;
        Ok(Self {
            name: name.to_owned(),
            kind: S::KIND.to_owned(),
            version: S::VERSION,
            bytes,
        })
    }

    /// Decodes the payload as exactly the version `S`. Devices with older versions match on [`Payload::version`] first.
    ///
    /// # Errors
    /// Wrong kind, newer version, oversize or malformed CBOR.
    pub fn decode<S: Schema>(&self) -> Result<S, SnapshotError> {
        if self.kind != S::KIND {
            return Err(SnapshotError::WrongKind {
                expected: S::KIND.to_owned(),
                found: self.kind.clone(),
            });
        }
        if self.version > S::VERSION {
            return Err(SnapshotError::NewerVersion {
                kind: self.kind.clone(),
                found: self.version,
                newest: S::VERSION,
            });
        }
        if self.version != S::VERSION {
            return Err(SnapshotError::damaged(
                &self.kind,
                format!("version {} has no upgrade", self.version),
            ));
        }
        if self.bytes.len() > MAX_PAYLOAD_BYTES {
            return Err(SnapshotError::damaged(
                &self.kind,
                "it is larger than any real one",
            ));
        }
        ciborium::from_reader(self.bytes.as_slice())
            .map_err(|e| SnapshotError::damaged(&self.kind, e.to_string()))
    }
}
