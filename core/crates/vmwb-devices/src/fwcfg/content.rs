//! What the device shows: items behind keys, some of them with a name in the file directory.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;

use thiserror::Error;

use super::regs::{
    ARCH_LOCAL, DIR_ENTRY_BYTES, FEATURES, KEY_FILE_DIR, KEY_FIRST_FILE, KEY_ID, KEY_SIGNATURE,
    NAME_BYTES, SIGNATURE, WRITE_CHANNEL,
};

/// Most files of one device.
pub const MAX_FILES: usize = 256;

/// Contents that are too large to be kept in memory, such as an initial RAM disk.
pub trait Source: Debug + Send {
    /// Length in bytes; never changes.
    fn len_bytes(&self) -> u32;
    /// Fills `out` from `offset` on, all of it inside the length.
    ///
    /// # Errors
    /// The host's answer.
    fn read(&self, offset: u32, out: &mut [u8]) -> io::Result<()>;
}

/// Contents of an item.
#[derive(Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What a source gives.
    Source(Box<dyn Source>),
}

impl Content {
    /// Length in bytes; what lies beyond 4 GiB is not shown.
    #[must_use]
    pub fn len_bytes(&self) -> u32 {
        match self {
            Self::Bytes(bytes) => u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            Self::Source(source) => source.len_bytes(),
        }
    }

    /// Fills `out` from `offset` on; behind the end there are zeros.
    pub(super) fn read(&self, offset: u32, out: &mut [u8]) -> io::Result<()> {
        let left = self.len_bytes().saturating_sub(offset);
        let n = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
        let (inside, behind) = out.split_at_mut(n);
        behind.fill(0);
        if n == 0 {
            return Ok(());
        }
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                inside.copy_from_slice(&bytes[start..start + n]);
                Ok(())
            }
            Self::Source(source) => source.read(offset, inside),
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// How the guest finds an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// By a key that firmware knows: below [`KEY_FIRST_FILE`], with or without [`ARCH_LOCAL`].
    Key(u16),
    /// By a name in the file directory.
    Name(String),
}

/// One item.
#[derive(Debug)]
pub struct Item {
    /// How it is found.
    pub place: Place,
    /// What it holds.
    pub content: Content,
}

impl Item {
    /// An item behind a known key.
    #[must_use]
    pub fn key(key: u16, content: impl Into<Content>) -> Self {
        Self {
            place: Place::Key(key),
            content: content.into(),
        }
    }

    /// A named file.
    #[must_use]
    pub fn file(name: &str, content: impl Into<Content>) -> Self {
        Self {
            place: Place::Name(name.to_owned()),
            content: content.into(),
        }
    }
}

/// Why items were refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ContentError {
    /// The key is the device's own, a file's, or has the write channel's bit.
    #[error("firmware configuration key {0:#06x} cannot be given away")]
    BadKey(u16),
    /// Two items share a key or a name.
    #[error("the firmware configuration has two items at {0}")]
    Twice(String),
    /// The name does not fit into the directory.
    #[error("a firmware configuration file has a name of 1 to 55 printable ASCII characters")]
    BadName,
    /// Too many files.
    #[error("a firmware configuration has at most 256 files")]
    TooManyFiles,
}

/// All items by their keys, the device's own included, and a fingerprint of them.
pub(super) fn arrange(items: Vec<Item>) -> Result<(BTreeMap<u16, Content>, u64), ContentError> {
    let mut all = BTreeMap::new();
    let mut names: Vec<(String, u32, u16)> = Vec::new();
    for Item { place, content } in items {
        let key = match place {
            Place::Key(key) => {
                let own = [KEY_SIGNATURE, KEY_ID, KEY_FILE_DIR].contains(&key);
                if own || key & WRITE_CHANNEL != 0 || key & !ARCH_LOCAL >= KEY_FIRST_FILE {
                    return Err(ContentError::BadKey(key));
                }
                key
            }
            Place::Name(name) => {
                let printable = name.bytes().all(|b| b.is_ascii_graphic());
                if name.is_empty() || name.len() >= NAME_BYTES || !printable {
                    return Err(ContentError::BadName);
                }
                if names.iter().any(|(other, ..)| *other == name) {
                    return Err(ContentError::Twice(name));
                }
                let slot = u16::try_from(names.len()).unwrap_or(u16::MAX);
                if names.len() >= MAX_FILES {
                    return Err(ContentError::TooManyFiles);
                }
                let key = KEY_FIRST_FILE + slot;
                names.push((name, content.len_bytes(), key));
                key
            }
        };
        if all.insert(key, content).is_some() {
            return Err(ContentError::Twice(format!("key {key:#06x}")));
        }
    }
    all.insert(KEY_SIGNATURE, Content::Bytes(SIGNATURE.to_vec()));
    all.insert(KEY_ID, Content::Bytes(FEATURES.to_le_bytes().to_vec()));
    all.insert(KEY_FILE_DIR, Content::Bytes(directory(&names)));
    let fingerprint = fingerprint(&all);
    Ok((all, fingerprint))
}

/// The file directory: a count and the entries, all numbers big-endian.
fn directory(names: &[(String, u32, u16)]) -> Vec<u8> {
    let count = u32::try_from(names.len()).expect("there are at most 256 files");
    let mut dir = count.to_be_bytes().to_vec();
    for (name, len_bytes, key) in names {
        let end = dir.len() + DIR_ENTRY_BYTES;
        dir.extend_from_slice(&len_bytes.to_be_bytes());
        dir.extend_from_slice(&key.to_be_bytes());
        dir.extend([0, 0]);
        dir.extend_from_slice(name.as_bytes());
        dir.resize(end, 0);
    }
    dir
}

/// FNV-1a over keys, lengths and bytes (a source counts by its length alone). Not against forgery: it tells whether a
/// restored offset still points into the same thing.
fn fingerprint(all: &BTreeMap<u16, Content>) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325u64;
    let mut add = |bytes: &[u8]| {
        for &b in bytes {
            hash = (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    };
    for (key, content) in all {
        add(&key.to_le_bytes());
        add(&content.len_bytes().to_le_bytes());
        if let Content::Bytes(bytes) = content {
            add(bytes);
        }
    }
    hash
}
