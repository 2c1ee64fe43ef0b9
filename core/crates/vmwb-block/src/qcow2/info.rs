//! What an image is, for people and programs that ask.

use serde::Serialize;

use crate::error::ImageError;
use crate::host::HostFile;

use super::header::{Backing, Compression, Header, LAZY_REFCOUNTS};
use super::snapshots;

/// An internal snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotInfo {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was taken, in seconds since 1970.
    pub taken_s: u32,
    /// Bytes of the machine's state that is saved with it.
    pub state_bytes: u64,
}

/// What the header of an image says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Version of the format: 2 or 3.
    pub version: u32,
    /// Size of the medium.
    pub bytes: u64,
    /// Size of the file; holes are counted.
    pub file_bytes: u64,
    /// Size of a cluster.
    pub cluster_bytes: u64,
    /// Width of a reference count.
    pub refcount_bits: u32,
    /// The image that it is based on.
    pub backing: Option<Backing>,
    /// How clusters are compressed, if any are: "zlib" or "zstd".
    pub compression: &'static str,
    /// Other programs may write counts late.
    pub lazy_refcounts: bool,
    /// Counts may be stale; they are repaired when it is opened for writing.
    pub marked_dirty: bool,
    /// It is damaged and not written any more.
    pub marked_corrupt: bool,
    /// Bitmaps of changed clusters, which end to be valid when it is written.
    pub bitmaps: u32,
    /// Its internal snapshots.
    pub snapshots: Vec<SnapshotInfo>,
}

/// Says what an image is.
///
/// # Errors
/// It is no qcow2 image, or none that can be opened.
pub fn info(file: &dyn HostFile) -> Result<Info, ImageError> {
    let header = Header::read(file)?;
    let snapshots = snapshots::read(file, &header)?;
    Ok(Info {
        version: header.version,
        bytes: header.bytes,
        file_bytes: file.size_bytes().map_err(ImageError::host("read"))?,
        cluster_bytes: header.geometry.cluster_bytes(),
        refcount_bits: 1 << header.geometry.refcount_order,
        compression: match header.compression {
            Compression::Zlib => "zlib",
            Compression::Zstd => "zstd",
        },
        lazy_refcounts: header.compatible & LAZY_REFCOUNTS != 0,
        marked_dirty: header.is_dirty(),
        marked_corrupt: header.is_corrupt(),
        bitmaps: header.bitmaps.map_or(0, |bitmaps| bitmaps.count),
        snapshots: snapshots
            .list
            .into_iter()
            .map(|s| SnapshotInfo {
                id: s.id,
                name: s.name,
                taken_s: s.taken_s,
                state_bytes: s.state_bytes,
            })
            .collect(),
        backing: header.backing,
    })
}
