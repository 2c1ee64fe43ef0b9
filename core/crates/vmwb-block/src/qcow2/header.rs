//! The header of a qcow2 image, its extensions, and what they allow (docs/interop/qcow2.txt of QEMU, "Header").

use crate::error::ImageError;
use crate::host::HostFile;
use crate::image::round_up;

/// First bytes of every qcow2 image: "QFI" and FBh.
pub(super) const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Length of a header of version 2, and of the shortest and the longest known one of version 3.
const V2_BYTES: usize = 72;
const V3_BYTES: usize = 104;
pub(super) const V3_LONG_BYTES: usize = 112;

/// Largest L1 table: QEMU's own limit.
pub(super) const MAX_L1_BYTES: u64 = 32 << 20;
/// Largest refcount table: QEMU's own limit.
pub(super) const MAX_REFTABLE_BYTES: u64 = 8 << 20;
/// Longest name of a backing image.
pub(super) const MAX_NAME_BYTES: u64 = 1023;
/// No host offset reaches this far: entries have bits 9 to 55.
pub(super) const MAX_HOST_BYTES: u64 = 1 << 56;

/// Offsets of fields that are written one by one.
pub(super) const AT_REFTABLE: u64 = 48;
pub(super) const AT_INCOMPATIBLE: u64 = 72;
pub(super) const AT_AUTOCLEAR: u64 = 88;

/// Bits of `incompatible_features`.
pub(super) const DIRTY: u64 = 1 << 0;
pub(super) const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
/// Those that we can deal with.
const KNOWN: u64 = DIRTY | CORRUPT | COMPRESSION_TYPE;
/// Bit of `compatible_features`: refcounts may be written late.
pub(super) const LAZY_REFCOUNTS: u64 = 1 << 0;

/// Types of header extensions.
pub(super) const EXT_END: u32 = 0;
pub(super) const EXT_BACKING_FORMAT: u32 = 0xe279_2aca;
const EXT_FEATURE_NAMES: u32 = 0x6803_f857;
const EXT_BITMAPS: u32 = 0x2385_2875;

/// Sizes that follow from the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes of a cluster are 2 to this power: 9 to 21.
    pub cluster_bits: u32,
    /// Bits of a refcount are 2 to this power: 0 to 6.
    pub refcount_order: u32,
}

impl Geometry {
    pub fn cluster_bytes(self) -> u64 {
        1 << self.cluster_bits
    }

    /// Entries of an L2 table.
    pub fn l2_entries(self) -> u64 {
        self.cluster_bytes() / 8
    }

    /// Bytes of the medium that one L2 table describes.
    pub fn l2_reach(self) -> u64 {
        self.l2_entries() << self.cluster_bits
    }

    /// Entries of a refcount block.
    pub fn block_entries(self) -> u64 {
        (self.cluster_bytes() * 8) >> self.refcount_order
    }

    /// Largest refcount.
    pub fn refcount_max(self) -> u64 {
        u64::MAX >> (64 - (1u32 << self.refcount_order))
    }

    /// Entries that the L1 table of a medium needs.
    pub fn l1_entries(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.l2_reach())
    }

    pub fn is_aligned(self, offset: u64) -> bool {
        offset & (self.cluster_bytes() - 1) == 0
    }

    /// Clusters that so many bytes fill.
    pub fn clusters(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.cluster_bytes())
    }
}

/// How clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Zlib,
    Zstd,
}

/// Where the bitmaps of an image are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bitmaps {
    pub count: u32,
    pub directory_bytes: u64,
    pub directory_offset: u64,
}

/// The image that this one is based on, as its header tells it. Nobody may follow the name without the user's consent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Backing {
    /// Its name: a path relative to this image, or whatever the program that made it understands.
    pub name: String,
    /// Its format, if it is told: "raw", "qcow2" or another of QEMU's names.
    pub format: Option<String>,
}

/// A header that has been checked: every number in it is within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub version: u32,
    pub geometry: Geometry,
    /// Size of the medium.
    pub bytes: u64,
    pub l1_offset: u64,
    pub l1_entries: u64,
    pub reftable_offset: u64,
    pub reftable_clusters: u64,
    pub snapshot_count: u32,
    pub snapshots_offset: u64,
    pub incompatible: u64,
    pub compatible: u64,
    pub autoclear: u64,
    pub compression: Compression,
    pub backing: Option<Backing>,
    pub bitmaps: Option<Bitmaps>,
}

pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

pub(super) fn be64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(word)
}

/// Text of an image, made harmless.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Header {
    /// Reads and checks a header.
    pub fn read(file: &dyn HostFile) -> Result<Self, ImageError> {
        let mut start = [0; V3_LONG_BYTES];
        file.read_at(0, &mut start)
            .map_err(ImageError::host("read"))?;
        let file_bytes = file.size_bytes().map_err(ImageError::host("read"))?;
        if start[..4] != MAGIC {
            return Err(ImageError::WrongFormat { format: "qcow2" });
        }
        let version = be32(&start, 4);
        if !matches!(version, 2 | 3) {
            return Err(ImageError::Unsupported {
                feature: format!("version {version} of the qcow2 format"),
            });
        }
        let cluster_bits = be32(&start, 20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(ImageError::damaged(format!(
                "its clusters have 2 to the power of {cluster_bits} bytes, and 512 bytes to 2 MiB are possible"
            )));
        }
        let mut header = Self {
            version,
            geometry: Geometry {
                cluster_bits,
                refcount_order: 4,
            },
            bytes: be64(&start, 24),
            l1_entries: u64::from(be32(&start, 36)),
            l1_offset: be64(&start, 40),
            reftable_offset: be64(&start, 48),
            reftable_clusters: u64::from(be32(&start, 56)),
            snapshot_count: be32(&start, 60),
            snapshots_offset: be64(&start, 64),
            incompatible: 0,
            compatible: 0,
            autoclear: 0,
            compression: Compression::Zlib,
            backing: None,
            bitmaps: None,
        };
        let length = if version == 2 {
            V2_BYTES
        } else {
            header.read_v3(&start)?
        };
        let cluster = read_first_cluster(file, header.geometry)?;
        let extensions = Extensions::find(&cluster, length)?;
        header.refuse_unknown(&extensions)?;
        if be32(&start, 32) != 0 {
            return Err(ImageError::Unsupported {
                feature: "encryption".to_owned(),
            });
        }
        header.bitmaps = extensions.bitmaps;
        header.backing = backing(&start, &cluster, extensions.backing_format)?;
        header.check(file_bytes)?;
        Ok(header)
    }

    /// The fields of version 3; gives the header's length.
    fn read_v3(&mut self, start: &[u8]) -> Result<usize, ImageError> {
        self.incompatible = be64(start, 72);
        self.compatible = be64(start, 80);
        self.autoclear = be64(start, 88);
        self.geometry.refcount_order = be32(start, 96);
        let length = usize::try_from(be32(start, 100)).unwrap_or(usize::MAX);
        if self.geometry.refcount_order > 6 {
            return Err(ImageError::damaged(
                "its reference counts have more than 64 bits",
            ));
        }
        // The extensions follow in the first cluster, which may be no longer than 512 bytes.
        if !(V3_BYTES..=512).contains(&length) || !length.is_multiple_of(8) {
            return Err(ImageError::damaged(format!(
                "its header claims to have {length} bytes"
            )));
        }
        let compression = if length > V3_BYTES { start[104] } else { 0 };
        let told = self.incompatible & COMPRESSION_TYPE != 0;
        self.compression = match compression {
            0 if !told => Compression::Zlib,
            1 if told => Compression::Zstd,
            0 | 1 => {
                return Err(ImageError::damaged(
                    "its header contradicts itself about the kind of compression",
                ));
            }
            other => {
                return Err(ImageError::Unsupported {
                    feature: format!("compression of type {other}"),
                });
            }
        };
        Ok(length)
    }

    fn refuse_unknown(&self, extensions: &Extensions) -> Result<(), ImageError> {
        let unknown = self.incompatible & !KNOWN;
        if unknown == 0 {
            return Ok(());
        }
        let names: Vec<String> = (0..64)
            .filter(|bit| unknown >> bit & 1 != 0)
            .map(|bit| match 1 << bit {
                EXTERNAL_DATA => "a data file of its own".to_owned(),
                EXTENDED_L2 => "subclusters (extended L2 entries)".to_owned(),
                _ => extensions.name_of(bit),
            })
            .collect();
        Err(ImageError::Unsupported {
            feature: names.join(" and "),
        })
    }

    /// Whether all tables lie where they can.
    fn check(&self, file_bytes: u64) -> Result<(), ImageError> {
        let geometry = self.geometry;
        let file_end = round_up(file_bytes, geometry.cluster_bytes())
            .filter(|&end| end <= MAX_HOST_BYTES)
            .ok_or_else(|| ImageError::TooLarge {
                what: format!("a file of {file_bytes} bytes"),
            })?;
        let inside = |what: &str, offset: u64, bytes: u64| {
            let end = offset.checked_add(bytes);
            if offset == 0 || !geometry.is_aligned(offset) {
                Err(ImageError::damaged(format!(
                    "its {what} begins at {offset:#x}, where none can begin"
                )))
            } else if end.is_none_or(|end| end > file_end) {
                Err(ImageError::damaged(format!(
                    "its {what} reaches behind the end of the file; it may have been copied in part"
                )))
            } else {
                Ok(())
            }
        };
        let l1_bytes = self.l1_entries * 8;
        if l1_bytes > MAX_L1_BYTES {
            return Err(ImageError::TooLarge {
                what: format!("an L1 table of {l1_bytes} bytes"),
            });
        }
        if self.bytes > MAX_HOST_BYTES || geometry.l1_entries(self.bytes) * 8 > MAX_L1_BYTES {
            return Err(ImageError::TooLarge {
                what: format!("a medium of {} bytes", self.bytes),
            });
        }
        if self.l1_entries < geometry.l1_entries(self.bytes) {
            return Err(ImageError::damaged(
                "its L1 table is too short for the size of the medium",
            ));
        }
        if self.l1_entries != 0 {
            inside("L1 table", self.l1_offset, l1_bytes)?;
        }
        let reftable_bytes = self.reftable_clusters << geometry.cluster_bits;
        if reftable_bytes > MAX_REFTABLE_BYTES {
            return Err(ImageError::TooLarge {
                what: format!("a refcount table of {reftable_bytes} bytes"),
            });
        }
        if reftable_bytes == 0 {
            return Err(ImageError::damaged("it has no refcount table"));
        }
        inside("refcount table", self.reftable_offset, reftable_bytes)?;
        if self.snapshot_count != 0 {
            inside("table of snapshots", self.snapshots_offset, 40)?;
        }
        Ok(())
    }

    pub fn is_dirty(&self) -> bool {
        self.incompatible & DIRTY != 0
    }

    pub fn is_corrupt(&self) -> bool {
        self.incompatible & CORRUPT != 0
    }

    /// Whether an L2 entry can say that a cluster reads as zeros.
    pub fn has_zero_flag(&self) -> bool {
        self.version >= 3
    }
}

fn read_first_cluster(file: &dyn HostFile, geometry: Geometry) -> Result<Vec<u8>, ImageError> {
    let mut cluster = Vec::new();
    let len = crate::to_usize(geometry.cluster_bytes());
    file.append_at(0, len, &mut cluster)
        .map_err(ImageError::host("read"))?;
    Ok(cluster)
}

/// The header's extensions that matter to us.
#[derive(Debug, Default)]
struct Extensions {
    backing_format: Option<String>,
    bitmaps: Option<Bitmaps>,
    feature_names: Vec<u8>,
}

impl Extensions {
    fn find(cluster: &[u8], from: usize) -> Result<Self, ImageError> {
        let mut found = Self::default();
        let mut at = from;
        // Each takes eight bytes at least, so this ends with the cluster.
        while at + 8 <= cluster.len() {
            let kind = be32(cluster, at);
            let len = usize::try_from(be32(cluster, at + 4)).unwrap_or(usize::MAX);
            if kind == EXT_END {
                break;
            }
            let data = at
                .checked_add(8)
                .and_then(|start| cluster.get(start..start.checked_add(len)?))
                .ok_or_else(|| {
                    ImageError::damaged("an extension of its header is longer than the header")
                })?;
            match kind {
                EXT_BACKING_FORMAT => found.backing_format = Some(text(data)),
                EXT_FEATURE_NAMES => found.feature_names = data.to_vec(),
                EXT_BITMAPS if data.len() >= 24 => {
                    found.bitmaps = Some(Bitmaps {
                        count: be32(data, 0),
                        directory_bytes: be64(data, 8),
                        directory_offset: be64(data, 16),
                    });
                }
                _ => {}
            }
            at = at.saturating_add(8).saturating_add(len).next_multiple_of(8);
        }
        Ok(found)
    }

    /// Name of an incompatible feature, from the image's own table.
    fn name_of(&self, bit: u8) -> String {
        self.feature_names
            .as_chunks::<48>()
            .0
            .iter()
            .find(|entry| entry[0] == 0 && entry[1] == bit)
            .map(|entry| {
                let name: &[u8] = entry[2..].split(|&b| b == 0).next().unwrap_or_default();
                format!("the feature \"{}\"", text(name).escape_default())
            })
            .unwrap_or_else(|| format!("the unknown feature {bit}"))
    }
}

fn backing(
    start: &[u8],
    cluster: &[u8],
    format: Option<String>,
) -> Result<Option<Backing>, ImageError> {
    let (offset, len) = (be64(start, 8), u64::from(be32(start, 16)));
    if offset == 0 {
        return Ok(None);
    }
    let name = (len <= MAX_NAME_BYTES)
        .then(|| offset.checked_add(len))
        .flatten()
        .filter(|&end| end <= cluster.len() as u64)
        .map(|end| &cluster[crate::to_usize(offset)..crate::to_usize(end)])
        .ok_or_else(|| {
            ImageError::damaged("the name of the image that it is based on lies outside its header")
        })?;
    // A name of no length is none, for QEMU too.
    Ok((!name.is_empty()).then(|| Backing {
        name: text(name),
        format,
    }))
}

/// The image that a qcow2 image says it is based on; `None`: it stands alone.
///
/// # Errors
/// It is no qcow2 image, or none that can be opened.
pub fn backing_name(file: &dyn HostFile) -> Result<Option<Backing>, ImageError> {
    Header::read(file).map(|header| header.backing)
}
